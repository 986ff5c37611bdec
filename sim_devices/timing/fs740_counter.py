"""The FS740's commands for its counter and time-stamp inputs and what they store.

A measurement is configured, begun and fetched, or asked for at once; an input is chosen by the suffix (1 front, 2 rear).  The
commands are V1 of the sheet; how their replies are laid out is inferred.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from qlab.clock import PS_PER_S
from qlab.twin.scpi import Later, ScpiError, ScpiTwin, command, integer, optional, parameter, query
from sim_devices.timing.fs740_calendar import EPOCH

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["CounterCommands"]

INPUT = integer(1, 2)
DEEPEST = 250_000  # [V1] what is stored
GATES_S = (0.01, 1000.0)  # [V1]
NOTHING = 9.91e37  # SCPI's word for "not a number"
NO_TIME = ",".join(["0"] * 11)  # [INF] of an input where nothing has come


class CounterCommands(ScpiTwin):
    """Counts what is on the two inputs, and tells when it came."""

    _name: str
    _bench: Bench
    _stored: list[float]
    _configured: dict[int, str]
    _fetched: dict[int, str]
    gate_s = parameter("SENSe[1]:FREQuency:GATE", 1.0, limits=GATES_S)

    @query("MEASure#:FREQuency?", optional(INPUT, 0))
    def _measure_frequency(self, suffix: int, which: int) -> Later:
        return self._measure(which or suffix, "FREQ")

    @query("MEASure#:TIMe?", optional(INPUT, 0))
    def _measure_time(self, suffix: int, which: int) -> Later:
        return self._measure(which or suffix, "TIM")

    @command("CONFigure#:FREQuency")
    def _configure_frequency(self, which: int) -> None:
        self._configured[which] = "FREQ"

    @command("CONFigure#:TIMe")
    def _configure_time(self, which: int) -> None:
        self._configured[which] = "TIM"

    @query("CONFigure#?")
    def _configuration(self, which: int) -> str:
        return self._configured.get(which, "FREQ")

    @command("INITiate#", "ABORt#", "STOP#")
    def _begin(self, which: int) -> None:
        self._fetched.pop(which, None)
        self._stored.clear()

    @query("READ#?")
    def _read(self, which: int) -> Later:
        return self._measure(which, self._configured.get(which, "FREQ"))

    @query("FETCh#?")
    def _fetch(self, which: int) -> str | Later:
        return self._fetched[which] if which in self._fetched else self._read(which)

    @query("DATA:COUNt?")
    def _data_count(self) -> int:
        return len(self._stored)

    @query("DATA:POINts?")
    def _data_points(self) -> int:
        return DEEPEST

    @query("DATA:READ?", integer(1, DEEPEST))
    def _data_read(self, count: int) -> str:
        return ",".join(f"{value:.12E}" for value in self._stored[:count]) or "9.91E+37"

    @query("DATA:REMove?", integer(1, DEEPEST))
    def _data_remove(self, count: int) -> str:
        text = self._data_read(count)
        del self._stored[:count]
        return text

    @query("CALCulate:STATistics?")
    def _statistics(self) -> str:
        """Return mean, standard deviation, smallest and largest of what is stored."""
        x = np.array(self._stored)
        if x.size < 2:
            raise ScpiError(-230)  # data corrupt or stale: there is none
        return ",".join(f"{value:.12E}" for value in (x.mean(), x.std(ddof=1), x.min(), x.max()))

    @query("CALCulate:STABility?")
    def _stability(self) -> str:
        """Return the Allan deviation of what is stored at one gate: sqrt(<(y[k+1] - y[k])^2> / 2)."""
        x = np.array(self._stored)
        if x.size < 2:
            raise ScpiError(-230)
        return f"{math.sqrt(float(np.mean(np.diff(x / x.mean()) ** 2)) / 2.0):.6E}"

    def _measure(self, which: int, what: str) -> Later:
        gate_s = float(self.gate_s)

        def finish() -> str:
            found = self._count(which, gate_s) if what == "FREQ" else self._first_event(which, gate_s)
            self._fetched[which] = found
            return found

        return Later(gate_s, finish)

    def _seen(self, which: int, gate_s: float) -> np.ndarray:
        now = self.clock.now_ps()
        block = self._bench.tag_feed(self._name).read(now - round(gate_s * PS_PER_S), now)
        return np.array(block.t[block.ch == which - 1])

    def _count(self, which: int, gate_s: float) -> str:
        """Count what is on an input; nothing there is not a number."""
        t = self._seen(which, gate_s)
        if t.size < 2:
            return f"{NOTHING:.12E}"
        found = (t.size - 1) / (float(t[-1] - t[0]) / PS_PER_S)
        if len(self._stored) < DEEPEST:
            self._stored.append(found)
        return f"{found:.12E}"

    def _first_event(self, which: int, gate_s: float) -> str:
        """Return date, time of day and the parts of a second from ms to fs of the first event: eleven integers."""
        t = self._seen(which, gate_s)
        if not t.size:
            return NO_TIME
        seconds, rest_ps = divmod(int(t[0]), PS_PER_S)
        when = EPOCH + timedelta(seconds=seconds)
        parts = [rest_ps // 10**power % 1000 for power in (9, 6, 3, 0)]
        day = (when.year, when.month, when.day, when.hour, when.minute, when.second)
        return ",".join(map(str, (*day, *parts, 0)))
