"""The QRM twin's commands for purification."""

from __future__ import annotations

from qlab.twin.scpi import ScpiError, command, optional, query
from sim_devices.repeaters.qrm_events import FAILED
from sim_devices.repeaters.qrm_qubit_table import QUBIT, QubitTable

__all__ = ["DistilTable"]


class DistilTable(QubitTable):
    """`DIST kept,spent[,kept,spent]` is overlapped; `DIST:RES?` tells `outcome,id_kept,id_spent` of each."""

    @command("DISTill", QUBIT, QUBIT, optional(QUBIT, 0), optional(QUBIT, 0))
    def _distil(self, kept: int, spent: int, other_kept: int, other_spent: int) -> None:
        if other_kept and not other_spent:
            raise ScpiError(-109)
        halves = [(kept, spent), *([(other_kept, other_spent)] if other_kept else [])]
        self.known(*(n for two in halves for n in two))
        self.begin_operation(self.module.distil(halves))

    @query("DISTill:RESult?")
    def _distilled(self) -> str:
        found = self.module.distilled or ((FAILED, 0, 0),)
        return ",".join(str(value) for each in found for value in each)
