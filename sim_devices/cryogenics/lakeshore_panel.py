"""The Lake Shore 336's front panel, extremes and network: kept and told, without physics."""

from __future__ import annotations

from qlab.twin.scpi import ScpiError, ScpiTwin, command, integer, query
from sim_devices.cryogenics.lakeshore_inputs import INPUTS, input_number

__all__ = ["LakeShorePanel"]


class LakeShorePanel(ScpiTwin):
    """What a person at the instrument sees and sets."""

    _panel: dict[str, str]
    _extremes: list[tuple[float, float]]

    @query("SYSTem:ERRor[:NEXT]?")
    def _common_error(self) -> str:
        raise ScpiError(-113)  # [V2] there is no text error queue

    @query("MDAT?")
    def _extremes_query(self, which: str) -> str:
        low, high = self._extremes[input_number(which)]
        return f"{low:+.4f},{high:+.4f}"

    def note_extremes(self) -> None:
        """See whether an input is colder or warmer than ever."""
        seen = [self.kelvin(i) for i in range(len(INPUTS))]
        self._extremes = [(min(low, k), max(high, k)) for (low, high), k in zip(self._extremes, seen, strict=True)]

    @command("MNMXRST")
    def _extremes_reset(self) -> None:
        self._extremes = [(float("inf"), float("-inf"))] * len(INPUTS)
        self.note_extremes()

    @command("MODE", integer(0, 2))
    def _mode_set(self, mode: int) -> None:
        self._panel["MODE"] = str(mode)

    @query("MODE?")
    def _mode_query_panel(self) -> str:
        return self._panel["MODE"]

    @command("LOCK", integer(0, 1), integer(0, 999))
    def _lock(self, on: int, code: int) -> None:
        self._panel["LOCK"] = f"{on},{code:03d}"

    @query("LOCK?")
    def _lock_query(self) -> str:
        return self._panel["LOCK"]

    @command("BRIGT", integer(0, 3))
    def _brightness(self, level: int) -> None:
        self._panel["BRIGT"] = str(level)

    @query("BRIGT?")
    def _brightness_query(self) -> str:
        return self._panel["BRIGT"]

    @query("NET?")
    def _network(self) -> str:
        return "1,0,127.0.0.1,255.0.0.0,127.0.0.1,0.0.0.0,0.0.0.0,LSCI-336,,"

    def kelvin(self, i: int) -> float:
        """Return the temperature under a sensor."""
        raise NotImplementedError
