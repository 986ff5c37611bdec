"""The TEC half of the LDC501's twin.  Written from protocol sheet 02."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Knob, Relaxation
from qlab.twin.scpi import boolean, command, parameter, query
from qlab.twin.scpi_status import StatusGroup
from sim_devices.srs import SrsLastErrors

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["Ldc501Tec"]

TEC_ON, CONSTANT_T, STABLE, SENSOR_FAULT = 1 << 0, 1 << 1, 1 << 2, 1 << 7
STABLE_K = 0.01  # [INF] within which the temperature counts as stable
KOHM_25, BETA_K = 10.0, 3950.0  # [INF] the thermistor


class Ldc501Tec(SrsLastErrors):
    """The laser's temperature."""

    mode_t = parameter("TMOD", "CT", choices=("CC", "CT"))
    sensor = parameter("TSNR", 1, limits=(0, 6))
    tec_set_a = parameter("TCUR", 0.0, limits=(-4.5, 4.5), fmt=".3f")
    tec_limit_a = parameter("TILM", 4.5, limits=(0.0, 4.5), fmt=".3f")
    tec_limit_v = parameter("TVLM", 8.5, limits=(0.0, 8.5), fmt=".3f")
    set_c = parameter("TEMP", 25.0, limits=(-55.0, 150.0), fmt=".3f", changed="drive_tec")
    low_c = parameter("TMIN", -55.0, limits=(-55.0, 150.0), fmt=".3f")
    high_c = parameter("TMAX", 150.0, limits=(-55.0, 150.0), fmt=".3f")
    set_kohm = parameter("TRTH", 10.0, limits=(0.0, 500.0), fmt=".3f")
    low_kohm = parameter("TRMN", 0.0, limits=(0.0, 500.0), fmt=".3f")
    high_kohm = parameter("TRMX", 500.0, limits=(0.0, 500.0), fmt=".3f")
    number_format = ".3f"

    def __init__(self, name: str, bench: Bench, tau_s: float) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._tau_s = tau_s
        self._tec_on = self._sensor_out = False
        self._junction = Knob(bench.ambient_c(name))
        self.tec_status = StatusGroup()

    def actual_c(self) -> float:
        """Return the laser's temperature."""
        return self._junction.value(self.clock.now_ps())

    def drive_tec(self) -> None:
        """Head for the set point, or for the room."""
        now = self.clock.now_ps()
        target = float(self.set_c) if self._tec_on else self._bench.ambient_c(self._name)
        self._junction.set(Relaxation(now, self._junction.value(now), target, round(self._tau_s * PS_PER_S)), now)

    def switch_tec(self, *, on: bool) -> None:
        """Switch the TEC; without its sensor it stays off."""
        self._tec_on = on and not self._sensor_out
        self.drive_tec()

    def tec_bits(self) -> int:
        """Return the condition register."""
        bits = (TEC_ON if self._tec_on else 0) | (CONSTANT_T if self.mode_t == "CT" else 0)
        bits |= STABLE if self._tec_on and abs(self.actual_c() - self.set_c) < STABLE_K else 0
        return bits | (SENSOR_FAULT if self._sensor_out else 0)

    @command("TEON", boolean)
    def _tec_output(self, on: bool) -> None:
        self.switch_tec(on=on)

    @query("TEON?")
    def _tec_output_query(self) -> bool:
        return self._tec_on

    @query("TTRD?")
    def _temperature(self) -> float:
        return self.actual_c()

    @query("TRAW?")
    def _raw(self) -> float:
        return KOHM_25 * math.exp(BETA_K * (1.0 / (self.actual_c() + 273.15) - 1.0 / 298.15))

    @query("TIRD?")
    def _tec_current(self) -> float:
        away = float(self.set_c) - self._bench.ambient_c(self._name)
        return max(min(0.05 * away, float(self.tec_limit_a)), -float(self.tec_limit_a)) if self._tec_on else 0.0

    @query("TVRD?")
    def _tec_voltage(self) -> float:
        return 1.8 * self._tec_current()

    @query("TECR?")
    def _condition(self) -> int:
        self.refresh_status()
        return self.tec_status.condition

    @query("TEEV?")
    def _event(self) -> int:
        self.refresh_status()
        return self.tec_status.read_event()
