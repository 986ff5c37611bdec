"""The DG645's outputs: amplitude, offset and polarity of each."""

from __future__ import annotations

from qlab.twin.scpi import command, integer, number, query
from sim_devices.sources.dg645_delays import OUTPUTS, DelayTable

__all__ = ["OutputTable"]


class OutputTable(DelayTable):
    """Levels of T0, AB, CD, EF and GH."""

    _outputs: list[list[float]]

    @command("LAMP", OUTPUTS, number(0.5, 5.0))
    def _amplitude(self, output: int, volt: float) -> None:
        self._outputs[output][0] = volt
        self._changed()

    @query("LAMP?", OUTPUTS)
    def _amplitude_query(self, output: int) -> str:
        return f"{self._outputs[output][0]:+.2f}"

    @command("LOFF", OUTPUTS, number(-2.0, 2.0))
    def _offset(self, output: int, volt: float) -> None:
        self._outputs[output][1] = volt
        self._changed()

    @query("LOFF?", OUTPUTS)
    def _offset_query(self, output: int) -> str:
        return f"{self._outputs[output][1]:+.2f}"

    @command("LPOL", OUTPUTS, integer(0, 1))
    def _polarity(self, output: int, positive: int) -> None:
        self._outputs[output][2] = positive
        self._changed()

    @query("LPOL?", OUTPUTS)
    def _polarity_query(self, output: int) -> int:
        return int(self._outputs[output][2])
