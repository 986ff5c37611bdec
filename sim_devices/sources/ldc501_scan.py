"""The LDC501's light in the world: it settles, follows the diode's temperature, and goes up the stairs of a scan.

Written from protocol sheet 02; what `SCAN` means in detail from the LDC500 manual, revision 4.3, section 4.5.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S
from qlab.physics.knob import DIES_OUT, Following, Ramp, Relaxation
from qlab.twin.scpi import ScpiError, command, integer, number, query
from sim_devices.sources.ldc501_settings import LaserSettings

if TYPE_CHECKING:
    from qlab.physics.knob import Knob, Profile

__all__ = ["REFUSED", "ScanningLaser", "Stairs"]

SETTLING_PS = {"CC": PS_PER_S // 400, "CP": PS_PER_S // 200}
"""[V2] 2.5 ms with constant current, 5 ms with constant power."""
REFUSED = 6  # [INF] LEXE? of what may not be done now: switching on, another range, a scan past its limits
V_TRIP = 1 << 10
MOST_STEPS = 1_000_000  # [INF] of one scan
LONGEST_MS = 3_600_000.0  # [INF] of each step
PS_PER_MS = PS_PER_S // 1000


@dataclass(frozen=True, slots=True)
class Stairs:
    """Steps of equal height and length, the first at once, behind a one-pole low-pass filter."""

    t0_ps: int
    v0: float
    step: float
    count: int
    dwell_ps: int
    tau_ps: int
    step_ps: ClassVar[int] = Ramp.step_ps

    @property
    def over_ps(self) -> int:
        """When the last step has lasted."""
        return self.t0_ps + self.count * self.dwell_ps

    @property
    def end_ps(self) -> int:
        """Lab time from which the value no longer changes."""
        return self.over_ps - self.dwell_ps + round(DIES_OUT * self.tau_ps)

    def level(self, t_ps: int) -> float:
        """Return what the filter is asked for at `t_ps`."""
        return self.v0 + self.step * (self._begun(t_ps) + 1)

    def value(self, t_ps: int) -> float:
        """Return what comes out of the filter: behind each step it lags by the sum of what is left of all until then."""
        if t_ps >= self.end_ps:
            return self.level(t_ps)
        begun = self._begun(t_ps)
        left = math.exp(-self.dwell_ps / self.tau_ps)
        lag = self.step * (1.0 - left ** (begun + 1)) / (1.0 - left)
        since_ps = max(t_ps - self.t0_ps - begun * self.dwell_ps, 0)
        return self.level(t_ps) - lag * math.exp(-since_ps / self.tau_ps)

    def _begun(self, t_ps: int) -> int:
        return min(max(t_ps - self.t0_ps, 0) // self.dwell_ps, self.count - 1)


class ScanningLaser(LaserSettings):
    """What turns settings into light."""

    _wavelength: Knob
    _on = False
    _drive: Profile = Relaxation(0, 0.0, 0.0, 1)
    _driven_by = "CC"
    _stairs: Stairs | None = None

    @property
    def scanning(self) -> bool:
        """Whether a scan is on its way."""
        return self._stairs is not None and self.clock.now_ps() < self._stairs.over_ps

    def follow_scan(self) -> None:
        """Bring the set point to where the scan is."""
        if self._stairs is None:
            return
        level = self._stairs.level(self.clock.now_ps())
        if self.mode == "CC":
            self.set_ma = level
        else:
            self.set_ua = level
            self.set_mw = level / float(self.responsivity) if self.responsivity else 0.0
        if not self.scanning:
            self._stairs = None

    @command("SCAN", number(-5000.0, 5000.0), integer(1, MOST_STEPS), number(5.0, LONGEST_MS))
    def _scan(self, step: float, count: int, dwell_ms: float) -> None:
        """Begin a scan of mA, or of uA of the photodiode with constant power; refused if it would leave its limits."""
        in_cc = self.mode == "CC"
        start, most = (float(self.set_ma), float(self.limit_ma)) if in_cc else (self._wanted_ua(), float(self.limit_ua))
        if not 0.0 <= start + count * step <= most or dwell_ms <= float(self.trigger_ms):
            raise ScpiError(REFUSED, "refused")
        now, tau_ps = self.clock.now_ps(), SETTLING_PS[str(self.mode)]
        self._stairs = Stairs(now, start, step, count, round(dwell_ms * PS_PER_MS), tau_ps)
        self.follow_scan()
        if self._on:
            unit = 1e-3 if in_cc else 1e-3 / self._monitor_ua_per_mw()
            self._drive = Stairs(now, start * unit, step * unit, count, self._stairs.dwell_ps, tau_ps)
            self._shine()
        self.refresh_status()

    @query("SCAN?")
    def _scan_query(self) -> str:
        return self._token("ON" if self.scanning else "OFF", value=int(self.scanning))

    def _light_changed(self) -> None:
        """Head for what is set now: whatever is set ends a scan where it is."""
        self._stairs = None
        if not self._on:
            self._drive, self._driven_by = Relaxation(0, 0.0, 0.0, 1), "CC"
            self._power.set(0.0, self.clock.now_ps())
            return
        if self._voltage() > self.limit_v:
            self._trip(V_TRIP)
            return
        now, mode = self.clock.now_ps(), str(self.mode)
        here = self._drive.value(now)
        if mode != self._driven_by:
            watts = self._power.value(now)
            here = watts if mode == "CP" else self._current_for(watts, self.actual_c(), float(self.limit_ma) * 1e-3)
        self._drive, self._driven_by = Relaxation(now, here, self._wanted(), SETTLING_PS[mode]), mode
        self._shine()

    def _shine(self) -> None:
        """Let the light follow current and temperature, both of which may be on their way."""
        if not self._on:
            return
        now, most_a = self.clock.now_ps(), float(self.limit_ma) * 1e-3
        light = self._diode.power_w if self._driven_by == "CC" else partial(self._held_w, most_a)
        self._power.set(Following(light, self._drive, self.course), now)
        colour = partial(self._colour, most_a if self._driven_by == "CP" else None)
        self._wavelength.set(Following(colour, self._drive, self.course), now)

    def _held_w(self, most_a: float, wanted_w: float, celsius: float) -> float:
        """Return the light with constant power: what is wanted, or what the limit of the current leaves."""
        return min(wanted_w, self._diode.power_w(most_a, celsius))

    def _colour(self, most_a: float | None, driven: float, celsius: float) -> float:
        """Return the wavelength of the mode that current and temperature choose."""
        current_a = driven if most_a is None else self._current_for(driven, celsius, most_a)
        return self._diode.wavelength_at(current_a, celsius)

    def _trip(self, bit: int) -> None:
        """Put the light out and say why."""
        raise NotImplementedError
