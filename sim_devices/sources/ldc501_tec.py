"""The TEC half of the LDC501's twin.  Written from protocol sheet 02."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Relaxation
from qlab.twin.scpi import boolean, command, number, parameter, query
from qlab.twin.scpi_status import StatusGroup
from sim_devices.sources.diode import SETTLED_K
from sim_devices.sources.ldc501_thermistor import celsius, resistance_kohm
from sim_devices.sources.ldc501_tokens import Token
from sim_devices.srs_last_errors import SrsLastErrors

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["Ldc501Tec"]

TEC_ON, CONSTANT_T, STABLE, TUNING, I_MAX, I_MIN, V_LIMIT, SENSOR_FAULT, T_MAX, T_MIN = (1 << bit for bit in range(10))
"""[V1] Bits of `TECR?`; it never tunes here."""
EVENTS = {"tec_open": 1 << 10, "thermal_runaway": 1 << 11}
"""[V1] Bits of `TEEV?` alone."""
A_PER_K, OHM = 0.05, 1.8
"""[INF] Of the Peltier element: current to hold a difference to the room, and its resistance."""
STABLE_K = 0.01  # [INF] within which the temperature counts as stable
COLDEST_C, HOTTEST_C = -55.0, 150.0
KOHM = number(1e-3, 500.0)


class Ldc501Tec(SrsLastErrors):
    """The laser's temperature."""

    mode_t = Token("TMOD", ("CC", "CT"), "drive_tec", at=1)
    sensor = parameter("TSNR", 1, limits=(0, 6))
    tec_set_a = parameter("TCUR", 0.0, limits=(-4.5, 4.5), fmt=".3f", changed="drive_tec")
    tec_limit_a = parameter("TILM", 4.5, limits=(0.0, 4.5), fmt=".3f", changed="drive_tec")
    tec_limit_v = parameter("TVLM", 8.5, limits=(0.0, 8.5), fmt=".3f")
    set_c = parameter("TEMP", 25.0, limits=(-55.0, 150.0), fmt=".3f", changed="drive_tec")
    low_c = parameter("TMIN", -55.0, limits=(-55.0, 150.0), fmt=".3f")
    high_c = parameter("TMAX", 150.0, limits=(-55.0, 150.0), fmt=".3f")
    number_format = ".3f"

    def __init__(self, name: str, bench: Bench, tau_s: float) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._tau_s = tau_s
        self._tec_on = self._sensor_out = False
        room_c = bench.ambient_c(name)
        self.course = Relaxation(0, room_c, room_c, 1)
        self.tec_status = StatusGroup()

    def actual_c(self) -> float:
        """Return the laser's temperature."""
        return self.course.value(self.clock.now_ps())

    def drive_tec(self) -> None:
        """Head for the set point, or for the room."""
        now = self.clock.now_ps()
        target = self._bench.ambient_c(self._name) + self._tec_current() / A_PER_K
        self.course = Relaxation(now, self.actual_c(), target, round(self._tau_s * PS_PER_S), SETTLED_K)
        self._shine()

    def switch_tec(self, *, on: bool) -> None:
        """Switch the TEC; without its sensor it stays off."""
        self._tec_on = on and not self._sensor_out
        self.drive_tec()
        self.refresh_status()

    def tec_bits(self) -> int:
        """Return the condition register."""
        bits = (TEC_ON if self._tec_on else 0) | (CONSTANT_T if self.mode_t == "CT" else 0)
        bits |= STABLE if self._tec_on and abs(self.actual_c() - self.set_c) < STABLE_K else 0
        bits |= SENSOR_FAULT if self._sensor_out else 0
        if self._tec_on:
            current, most = self._tec_current(), float(self.tec_limit_a)
            bits |= (I_MAX if current >= most else 0) | (I_MIN if current <= -most else 0)
            bits |= V_LIMIT if abs(self._tec_voltage()) >= self.tec_limit_v else 0
        return bits | (T_MAX if self.actual_c() > self.high_c else T_MIN if self.actual_c() < self.low_c else 0)

    def tec_fault(self, name: str, *, active: bool) -> None:
        """Break the Peltier element's circuit, or overheat its heat sink: the TEC goes off and stays off."""
        if active:
            self.tec_status.event |= EVENTS[name]
            self.switch_tec(on=False)

    @command("TRTH", KOHM)
    def _set_kohm(self, kohm: float) -> None:
        self.set_c = celsius(kohm)
        self.drive_tec()

    @query("TRTH?")
    def _kohm(self) -> float:
        return resistance_kohm(float(self.set_c))

    @command("TRMN", KOHM)
    def _set_least_kohm(self, kohm: float) -> None:
        self.high_c = min(celsius(kohm), HOTTEST_C)

    @query("TRMN?")
    def _least_kohm(self) -> float:
        return resistance_kohm(float(self.high_c))

    @command("TRMX", KOHM)
    def _set_most_kohm(self, kohm: float) -> None:
        self.low_c = max(celsius(kohm), COLDEST_C)

    @query("TRMX?")
    def _most_kohm(self) -> float:
        return resistance_kohm(float(self.low_c))

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
        return resistance_kohm(self.actual_c())

    @query("TIRD?")
    def _tec_current(self) -> float:
        if not self._tec_on:
            return 0.0
        away = float(self.set_c) - self._bench.ambient_c(self._name)
        wanted, most = (A_PER_K * away if self.mode_t == "CT" else float(self.tec_set_a)), float(self.tec_limit_a)
        return max(min(wanted, most), -most)

    @query("TVRD?")
    def _tec_voltage(self) -> float:
        return OHM * self._tec_current()

    @query("TECR?")
    def _condition(self) -> int:
        self.refresh_status()
        return self.tec_status.condition

    @query("TEEV?")
    def _event(self) -> int:
        self.refresh_status()
        return self.tec_status.read_event()

    def _shine(self) -> None:
        """Let the light follow current and temperature."""
        raise NotImplementedError
