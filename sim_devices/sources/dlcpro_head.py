"""The laser head on a DLC pro's twin: diode, grating, piezo, temperature and lock, and the light that they make.

Written from protocol sheet 05.  The wavelength is that of the grating's motor, shifted by piezo, current and temperature; a
closed lock holds it.  Scans have no effect on the world: it sees their middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.physics.knob import Following, Knob, Ramp, Relaxation
from qlab.physics.source import LaserDiode
from sim_devices.sources.decop import as_number
from sim_devices.sources.diode import SETTLED_K

if TYPE_CHECKING:
    from qlab.physics.knob import Profile
    from qlab.twin.bench import Bench
    from sim_devices.sources.decop import Value

__all__ = ["IDLE", "LOCKED", "LaserHead", "Parameters"]

IDLE, SCANNING, LOCKING, LOCKED, ON_HOLD, RELOCKING = 0, 1, 4, 5, 6, 9
"""[V1] Lock states, as the DLC pro driver of oxart-devices has them."""
STATES = {0: "Idle", 1: "Scanning", 4: "Locking", 5: "Locked", 6: "On Hold", 9: "Relocking"}
LOCK_PS = PS_PER_S // 2  # [INF] how long locking takes
READY_K = 0.02  # [INF] how near its set point the temperature counts as ready
SERIES_OHM, DIODE_V = 4.0, 1.5  # a red diode, typical data-sheet values
REFERENCE = {"cc:current-set": 120.0, "pc:voltage-set": 70.0, "tc:temp-set": 22.0}
"""Where the grating's scale is true; also the values after delivery."""


class Parameters(BaseModel):
    """The `twin:` section: properties of the laser."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "DLC PRO_012345"
    firmware: str = "3.3.3"
    ctl: bool = Field(True, description="whether the head has a motorised grating")
    wavelength_nm: float = Field(780.241, gt=0, description="the D2 line of rubidium, Steck (2001)")
    shortest_nm: float = Field(765.0, gt=0, description="[INF] of the head")
    longest_nm: float = Field(781.0, gt=0, description="[INF] of the head")
    threshold_ma: float = Field(40.0, ge=0, description="[INF] typical of a near-infrared diode, at 22 degC")
    t0_k: float = Field(120.0, gt=0, description="[INF] the threshold grows by e in so many kelvin; AlGaAs: 120 to 160")
    t1_k: float = Field(500.0, gt=0, description="[INF] the slope falls by e in so many kelvin: a few times t0_k")
    slope_w_per_a: float = Field(0.8, gt=0, description="[INF] typical of a near-infrared diode")
    rollover_per_a: float = Field(0.0, ge=0, description="thermal roll-off of the slope")
    clip_limit_ma: float = Field(250.0, gt=0, description="[INF]")
    current_nm_per_ma: float = Field(1e-4, description="[INF] some 50 MHz/mA")
    piezo_nm_per_v: float = Field(6e-4, description="[INF] some 300 MHz/V")
    temperature_nm_per_k: float = Field(2e-3, description="[INF] of the cavity, some 1 GHz/K")
    mode_spacing_nm: float = Field(0.01, gt=0, description="[INF] of the cavity, some 5 GHz")
    tuning_nm_per_s: float = Field(5.0, gt=0, description="[INF] of the motor")
    tec_tau_s: float = Field(3.0, gt=0, description="[INF]")


class LaserHead:
    """One head; `values` are its settings by name, which the controller's tree writes."""

    def __init__(self, name: str, bench: Bench, parameters: Parameters, values: dict[str, Value]) -> None:
        self._name, self._bench, self._clock = name, bench, bench.clock
        self._parameters = parameters
        self._values = values
        self._diode = LaserDiode(
            parameters.threshold_ma * 1e-3,
            parameters.slope_w_per_a,
            reference_c=22.0,
            t0_k=parameters.t0_k,
            t1_k=parameters.t1_k,
            rollover_per_a=parameters.rollover_per_a,
        )
        self._temperature = Knob(bench.ambient_c(name))
        self._power = bench.knob(name, "power_w")
        self._wavelength = bench.knob(name, "wavelength_nm", parameters.wavelength_nm)
        self._motor = Knob(parameters.wavelength_nm)
        self._motor_ps = 0  # when the motor arrives
        self._heat_ps = 0  # when a set temperature that is approached at a limited rate is reached
        self._lock_ps = 0  # when the lock closes, if there is light
        self._hop_nm = 0.0
        self._armed = False
        self.lock_lost = self.tc_fault = False
        self.regulate()

    def number(self, name: str) -> float:
        """Return a setting."""
        return as_number(self._values[name])

    def on(self, name: str) -> bool:
        """Return a switch."""
        return bool(self._values[name])

    @property
    def emission(self) -> bool:
        """Whether there is light."""
        return self._armed and self.on("cc:enabled") and self.on("enabled")

    @property
    def current_ma(self) -> float:
        """The diode's current: the set one, clipped."""
        return min(self.number("cc:current-set"), self.number("cc:current-clip")) if self.emission else 0.0

    @property
    def voltage_v(self) -> float:
        """The diode's voltage."""
        return DIODE_V + SERIES_OHM * self.current_ma * 1e-3 if self.emission else 0.0

    @property
    def power_w(self) -> float:
        """The light."""
        return self._power.value(self._clock.now_ps())

    @property
    def temperature_c(self) -> float:
        """The cavity's temperature."""
        return self._temperature.value(self._clock.now_ps())

    @property
    def ready(self) -> bool:
        """Whether the temperature has settled."""
        near = abs(self.temperature_c - self.number("tc:temp-set")) <= READY_K
        return near and self.on("tc:enabled") and not self.tc_fault

    @property
    def motor_nm(self) -> float:
        """Where the motor stands, on the grating's scale; it knows nothing of piezo, current and mode hops."""
        return self._motor.value(self._clock.now_ps())

    @property
    def moving(self) -> bool:
        """Whether the motor turns."""
        return self._clock.now_ps() < self._motor_ps

    @property
    def lock_state(self) -> int:
        """The lock's state; without light it goes on looking."""
        idle = SCANNING if self.on("scan:enabled") else IDLE
        if not self.on("lock:lock-enabled"):
            return idle
        if self.lock_lost:
            return RELOCKING if self.on("lock:relock:enabled") else idle
        if not self.emission or self._clock.now_ps() < self._lock_ps:
            return LOCKING
        return ON_HOLD if self.on("lock:hold") else LOCKED

    def switch(self, *, released: bool) -> None:
        """Follow the switches: light is possible if interlock, key and button allow it and the temperature is well."""
        if self.on("cc:enabled") and self.on("enabled"):
            self._armed = released and not self.tc_fault
        self._begin_locking()
        self.drive()

    def darken(self) -> None:
        """Take the light away; it comes back only when it is enabled again."""
        self._armed = False
        self._begin_locking()
        self.drive()

    def drive(self) -> None:
        """Make the light that the current means."""
        now, current_a = self._clock.now_ps(), self.current_ma * 1e-3
        current = Ramp(now, current_a, now, current_a)
        heat = self._approach(self.temperature_c, self._target_c, SETTLED_K)
        self._power.set(Following(self._diode.power_w, current, heat) if self.emission else 0.0, now)
        self.tune()

    def regulate(self) -> None:
        """Head for the set temperature, or for the room's."""
        now, here = self._clock.now_ps(), self.temperature_c
        heats = self.on("tc:enabled") and not self.tc_fault
        there = self.number("tc:temp-set") if heats else self._bench.ambient_c(self._name)
        limited = heats and self.on("tc:temp-roc-enabled")
        seconds = abs(there - here) / self.number("tc:temp-roc-limit") if limited else 0.0
        self._heat_ps, self._target_c = now + round(seconds * PS_PER_S), there
        self._temperature.set(self._approach(here, there), now)
        self.drive()

    def turn_motor(self) -> None:
        """Head for the set wavelength."""
        now, here, there = self._clock.now_ps(), self.motor_nm, self.number("ctl:wavelength-set")
        self._motor_ps = now + max(round(abs(there - here) / self._parameters.tuning_nm_per_s * PS_PER_S), 1)
        self._motor.set(Ramp(now, here, self._motor_ps, there), now)
        self.tune()

    def lock(self) -> None:
        """Follow the lock's switches."""
        self.lock_lost = self.lock_lost and self.on("lock:lock-enabled")
        self._begin_locking()
        self.tune()

    def lose_lock(self, *, lost: bool) -> None:
        """Lose the lock's signal, or find it again."""
        self.lock_lost = lost
        self._begin_locking()
        self.tune()

    def hop(self, *, active: bool) -> None:
        """Jump to the next mode, which no lock survives, or back."""
        self._hop_nm = self._parameters.mode_spacing_nm if active else 0.0
        self.lose_lock(lost=active and self.on("lock:lock-enabled"))

    def tune(self) -> None:
        """Make the wavelength that the settings mean, unless a lock holds it."""
        now = self._clock.now_ps()
        if self.on("lock:lock-enabled") and self.emission and not self.lock_lost and not self.on("lock:hold"):
            self._wavelength.set(self._wavelength.value(now), now)
            return
        p = self._parameters
        shift = self._hop_nm + p.piezo_nm_per_v * (self.number("pc:voltage-set") - REFERENCE["pc:voltage-set"])
        shift += p.current_nm_per_ma * (self.number("cc:current-set") - REFERENCE["cc:current-set"])
        heat = p.temperature_nm_per_k * (self.temperature_c - REFERENCE["tc:temp-set"])
        if self.moving:
            there = self.number("ctl:wavelength-set") + shift + heat
            self._wavelength.set(Ramp(now, self.motor_nm + shift + heat, self._motor_ps, there), now)
            return
        heated = p.temperature_nm_per_k * (self._target_c - REFERENCE["tc:temp-set"])
        self._wavelength.set(self._approach(self.motor_nm + shift + heat, self.motor_nm + shift + heated), now)

    def _begin_locking(self) -> None:
        self._lock_ps = self._clock.now_ps() + LOCK_PS

    def _approach(self, here: float, there: float, close: float = 0.0) -> Profile:
        now = self._clock.now_ps()
        if now < self._heat_ps:
            return Ramp(now, here, self._heat_ps, there)
        return Relaxation(now, here, there, round(self._parameters.tec_tau_s * PS_PER_S), close)
