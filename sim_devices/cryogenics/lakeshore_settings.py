"""What a Lake Shore 336 merely keeps: names, curves, filters, limits, alarms, relays, front panel; and its status words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from qlab.twin.scpi import ScpiError, command, integer, number, query
from sim_devices.cryogenics.lakeshore_inputs import INPUTS, input_number
from sim_devices.cryogenics.lakeshore_panel import LakeShorePanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.clock import Clock

__all__ = ["LakeShoreSettings"]

VOLTS_AT_ROOM, VOLTS_AT_ZERO = 0.52, 1.7  # [INF] a silicon diode, taken as a straight line
DEFAULTS = {
    "INTYPE": "1,0,0,0,1",
    "INNAME": "",
    "INCRV": "02",
    "FILTER": "0,08,02",
    "DIODE": "0",
    "ALARM": "0,+1000.0,+0.0000,+0.0000,0,0,0",
    "RELAY": "0,A,0",
    "HTRSET": "1,1,0,+1.732,1",
}
"""[INF] What is kept after `*RST`, by command."""
BY_ALARM, LOW_ALARM, HIGH_ALARM = "2", "0", "1"
"""[INF] A relay's mode, and the alarms that it heeds; it heeds both in any other type."""


class LakeShoreSettings(LakeShorePanel):
    """The part of the controller that has no physics."""

    terminator = b"\r\n"
    status_groups: ClassVar[Sequence[str]] = ()

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._kept: dict[tuple[str, str], str] = {}
        self._limits = [0.0] * len(INPUTS)
        self._alarms: dict[str, tuple[int, int]] = {}
        self._panel = {"MODE": "0", "LOCK": "0,123", "BRIGT": "2"}
        self._extremes = [(float("inf"), float("-inf"))] * len(INPUTS)

    def on_reset(self) -> None:
        """Forget what was kept."""
        self._kept.clear()
        self._alarms.clear()
        self._limits = [0.0] * len(INPUTS)

    def temperature_limits(self) -> list[float]:
        """Return the limits of the inputs in K; 0 is none."""
        return self._limits

    def limits_changed(self) -> None:
        """Follow new limits."""

    @query("SRDG?")
    def _sensor_units(self, which: str = "A") -> str:
        slope = (VOLTS_AT_ROOM - VOLTS_AT_ZERO) / 295.0
        chosen = range(len(INPUTS)) if which.strip() == "0" else [input_number(which)]
        return ",".join(f"{max(VOLTS_AT_ZERO + slope * self.kelvin(i), 0.0):+.5f}" for i in chosen)

    @command("TLIMIT")
    def _limit(self, which: str, kelvin: str) -> None:
        self._limits[input_number(which)] = number(0.0, 1500.0).parse(kelvin)
        self.limits_changed()

    @query("TLIMIT?")
    def _limit_query(self, which: str) -> str:
        return f"{self._limits[input_number(which)]:+.2f}"

    @command("INTYPE")
    def _input_type(self, which: str, *values: str) -> None:
        self._keep("INTYPE", which, values)

    @query("INTYPE?")
    def _input_type_query(self, which: str) -> str:
        return self._recall("INTYPE", which)

    @command("INNAME")
    def _input_name(self, which: str, name: str) -> None:
        self._keep("INNAME", which, (name.strip('"')[:15],))

    @query("INNAME?")
    def _input_name_query(self, which: str) -> str:
        return f"{self._recall('INNAME', which):<15}"

    @command("INCRV")
    def _curve(self, which: str, curve: str) -> None:
        self._keep("INCRV", which, (f"{integer(0, 59).parse(curve):02d}",))

    @query("INCRV?")
    def _curve_query(self, which: str) -> str:
        return self._recall("INCRV", which)

    @query("CRVHDR?", integer(1, 59))
    def _curve_header(self, curve: int) -> str:
        return f"{'DT-670' if curve == 2 else 'User':<15},{'STANDARD C' if curve == 2 else '':<10},2,475.0,1"

    @query("CRVPT?", integer(1, 59), integer(1, 200))
    def _curve_point(self, curve: int, point: int) -> str:
        del curve
        kelvin = 500.0 - 2.5 * (point - 1)
        return f"{VOLTS_AT_ZERO + (VOLTS_AT_ROOM - VOLTS_AT_ZERO) / 295.0 * kelvin:+.5f},{kelvin:+.4f}"

    @command("FILTER")
    def _filter(self, which: str, *values: str) -> None:
        self._keep("FILTER", which, values)

    @query("FILTER?")
    def _filter_query(self, which: str) -> str:
        return self._recall("FILTER", which)

    @command("DIODE", "DIODEX")
    def _diode(self, which: str, current: str) -> None:
        self._keep("DIODE", which, (current,))

    @query("DIODE?", "DIODEX?")
    def _diode_query(self, which: str) -> str:
        return self._recall("DIODE", which)

    @command("ALARM")
    def _alarm(self, which: str, *values: str) -> None:
        self._keep("ALARM", which, values)

    @query("ALARM?")
    def _alarm_query(self, which: str) -> str:
        return self._recall("ALARM", which)

    def alarms(self, which: str) -> tuple[int, int]:
        """Return whether an input is or, where its alarms latch, was too high and too low."""
        on, high, low, deadband, latch = (float(value) for value in self._recall("ALARM", which).split(",")[:5])
        kelvin, (was_high, was_low) = self.kelvin(input_number(which)), self._alarms.get(which, (0, 0))
        stays = math.inf if latch else deadband
        found = (
            int(bool(on) and (kelvin > high or (bool(was_high) and kelvin > high - stays))),
            int(bool(on) and (kelvin < low or (bool(was_low) and kelvin < low + stays))),
        )
        self._alarms[which] = found
        return found

    @query("ALARMST?")
    def _alarm_status(self, which: str) -> str:
        high, low = self.alarms(which.strip().upper())
        return f"{high},{low}"

    @command("ALMRST")
    def _alarm_reset(self) -> None:
        self._alarms.clear()

    @command("RELAY")
    def _relay(self, which: str, *values: str) -> None:
        self._keep("RELAY", which, values)

    @query("RELAY?")
    def _relay_query(self, which: str) -> str:
        return self._recall("RELAY", which)

    @query("RELAYST?", integer(1, 2))
    def _relay_status(self, which: int) -> str:
        mode, watched, kind = self._recall("RELAY", str(which)).split(",")
        high, low = self.alarms(watched) if mode == BY_ALARM else (0, 0)
        return str(int(mode == "1" or bool((high and kind != LOW_ALARM) or (low and kind != HIGH_ALARM))))

    @command("HTRSET")
    def _heater_set(self, which: str, *values: str) -> None:
        self._keep("HTRSET", which, values)

    @query("HTRSET?")
    def _heater_set_query(self, which: str) -> str:
        return self._recall("HTRSET", which)

    def _keep(self, name: str, which: str, values: Sequence[str]) -> None:
        if not values:
            raise ScpiError(-109)
        default = DEFAULTS[name]
        if default.count(",") + 1 < len(values):
            raise ScpiError(-108)
        rest = default.split(",")[len(values) :]
        self._kept[name, which.strip().upper()] = ",".join([*values, *rest])

    def _recall(self, name: str, which: str) -> str:
        return self._kept.get((name, which.strip().upper()), DEFAULTS[name])
