"""The FS740's commands for its frequency counter and what it stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import Later, ScpiTwin, command, integer, optional, parameter, query

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["CounterCommands"]

INPUT = integer(1, 2)
DEEPEST = 250_000


class CounterCommands(ScpiTwin):
    """Counts what is on the two inputs."""

    _name: str
    _bench: Bench
    _stored: list[float]
    gate_s = parameter("SENSe[1]:FREQuency:GATE", 1.0, limits=(0.01, 1000.0))

    @query("MEASure#:FREQuency?", optional(INPUT, 0))
    def _measure_frequency(self, suffix: int, which: int) -> Later:
        gate_s = float(self.gate_s)
        return Later(gate_s, lambda: f"{self._frequency(which or suffix, gate_s):.12E}")

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

    @command("ABORt", "INITiate")
    def _begin(self) -> None:
        self._stored.clear()

    def _frequency(self, which: int, gate_s: float) -> float:
        """Count what is on an input; nothing there is not a number."""
        now = self.clock.now_ps()
        block = self._bench.tag_feed(self._name).read(now - round(gate_s * PS_PER_S), now)
        t = block.t[block.ch == which - 1]
        found = (t.size - 1) / (float(t[-1] - t[0]) / PS_PER_S) if t.size > 1 else float("nan")
        if t.size > 1 and len(self._stored) < DEEPEST:
            self._stored.append(found)
        return found if t.size > 1 else 9.91e37
