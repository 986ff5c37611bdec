"""The TEC half of the CLD1015's twin: set point, window, control loop, temperatures in three units.

Written from protocol sheet 03.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Relaxation
from qlab.twin.scpi import ScpiTwin, command, parameter, query
from qlab.twin.scpi_values import parse_limited
from sim_devices.sources.diode import SETTLED_K

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["TecTwin", "Window"]

COLDEST_C, HOTTEST_C, ROOM_C = 5.0, 70.0, 25.0
SCALES = {"C": (1.0, 0.0), "K": (1.0, 273.15), "F": (1.8, 32.0)}
"""What is shown is the temperature in deg C times the first, plus the second."""


@dataclass(frozen=True, slots=True)
class Window:
    """The set point and the limits that it keeps to."""

    set_point_c: float = ROOM_C
    low_c: float = COLDEST_C
    high_c: float = HOTTEST_C


class TecTwin(ScpiTwin):
    """A laser's temperature controller."""

    tec_current_a = parameter("SOURce2:CURRent[:LEVel][:IMMediate][:AMPLitude]", 0.0, limits=(-3.0, 3.0), units="A")
    tec_limit_a = parameter("SOURce2:CURRent:LIMit[:AMPLitude]", 1.0, limits=(0.0, 3.0), units="A")
    gain = parameter("SOURce2:TEMPerature:LCONstants:GAIN", 1.0, limits=(0.0, 100.0))
    integral = parameter("SOURce2:TEMPerature:LCONstants:INTegral", 0.1, limits=(0.0, 100.0))
    derivative = parameter("SOURce2:TEMPerature:LCONstants:DERivative", 0.0, limits=(0.0, 100.0))
    period_s = parameter("SOURce2:TEMPerature:LCONstants:PERiod", 1.0, limits=(0.1, 100.0))
    unit = parameter("UNIT:TEMPerature", "C", choices=("C", "F", "K"))

    def __init__(self, name: str, bench: Bench, tau_s: float) -> None:
        super().__init__(bench.clock)
        self._bench = bench
        self._name = name
        self._tau_s = tau_s
        room_c = bench.ambient_c(name)
        self.course = Relaxation(0, room_c, room_c, 1)
        self._tec_on = False
        self.window = Window()

    def on_reset(self) -> None:
        """Switch off and forget the set point."""
        self.window = Window()
        self.switch_tec(on=False)

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {**super().peek(), "tec_on": self._tec_on, "set_point_c": self.window.set_point_c}

    def actual_c(self) -> float:
        """Return the laser's temperature."""
        return self.course.value(self.clock.now_ps())

    def switch_tec(self, *, on: bool) -> None:
        """Head for the set point, or for the room."""
        self._tec_on = on
        now = self.clock.now_ps()
        target = self.window.set_point_c if on else self._bench.ambient_c(self._name)
        self.course = Relaxation(now, self.actual_c(), target, round(self._tau_s * PS_PER_S), SETTLED_K)
        self._light_changed()

    @query("OUTPut2[:STATe]?")
    def _tec_query(self) -> bool:
        return self._tec_on

    @command("SOURce2:TEMPerature[:SPOint]")
    def _set_point(self, text: str) -> None:
        self._change(replace(self.window, set_point_c=self._in_window(text)))

    @query("SOURce2:TEMPerature[:SPOint]?")
    def _set_point_query(self, which: str = "") -> float:
        return self._shown(self._in_window(which) if which else self.window.set_point_c)

    @command("SOURce2:TEMPerature:LIMit:LOWer")
    def _lower(self, text: str) -> None:
        self._change(replace(self.window, low_c=self._below_upper(text)))

    @query("SOURce2:TEMPerature:LIMit:LOWer?")
    def _lower_query(self, which: str = "") -> float:
        return self._shown(self._below_upper(which) if which else self.window.low_c)

    @command("SOURce2:TEMPerature:LIMit:UPPer")
    def _upper(self, text: str) -> None:
        self._change(replace(self.window, high_c=self._above_lower(text)))

    @query("SOURce2:TEMPerature:LIMit:UPPer?")
    def _upper_query(self, which: str = "") -> float:
        return self._shown(self._above_lower(which) if which else self.window.high_c)

    @query("SENSe2:TEMPerature:DATA?", "MEASure[:SCALar]:TEMPerature?")
    def _measure_temperature(self) -> float:
        return self._shown(self.actual_c())

    def _light_changed(self) -> None:
        """Let the light follow the temperature."""
        raise NotImplementedError

    def _shown(self, celsius: float) -> float:
        factor, offset = SCALES[str(self.unit)]
        return celsius * factor + offset

    def _celsius(self, text: str, low_c: float, high_c: float, default_c: float) -> float:
        """Read a temperature in the chosen unit; limits and default are in deg C."""
        factor, offset = SCALES[str(self.unit)]
        low, high, default = (celsius * factor + offset for celsius in (low_c, high_c, default_c))
        shown = parse_limited(text, low, high, default)
        return (shown - offset) / factor

    def _in_window(self, text: str) -> float:
        return self._celsius(text, self.window.low_c, self.window.high_c, ROOM_C)

    def _below_upper(self, text: str) -> float:
        return self._celsius(text, COLDEST_C, self.window.high_c, COLDEST_C)

    def _above_lower(self, text: str) -> float:
        return self._celsius(text, self.window.low_c, HOTTEST_C, HOTTEST_C)

    def _change(self, window: Window) -> None:
        """Keep the set point inside the window [INF], and go there."""
        inside = min(max(window.set_point_c, window.low_c), window.high_c)
        self.window = replace(window, set_point_c=inside)
        self.switch_tec(on=self._tec_on)
