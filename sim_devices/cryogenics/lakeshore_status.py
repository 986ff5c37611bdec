"""The Lake Shore 336's operation status: what has come about since somebody asked."""

from __future__ import annotations

from qlab.clock import PS_PER_S
from qlab.twin.scpi import command, integer, query
from qlab.twin.scpi_status import StatusGroup
from sim_devices.cryogenics.lakeshore_tuning import LoopTuning

__all__ = ["OperationStatus"]

ALARM, OVERLOAD, RAMP_1_DONE, RAMP_2_DONE, READING, TUNED = 1, 2, 4, 8, 16, 32  # [INF] bits of OPST?
SUMMARY = 0x80  # [INF] OSB of the status byte
NOT_HERE = 0x40 | 0x04  # the summary is made anew; without a queue of errors there is no bit for one
READING_PS = PS_PER_S // 10  # [V2] ten new readings a second


class OperationStatus(LoopTuning):
    """`OPST?` tells what is, `OPSTR?` what has come about (cleared by reading), `OPSTE` what counts in the status byte."""

    _open: dict[int, int]
    _operation: StatusGroup
    _read_ps = 0

    def watch_operation(self) -> None:
        """Bring the condition up to date."""
        now = self.clock.now_ps()
        bits = (OVERLOAD if self._open else 0) | (0 if self.tuning else TUNED)
        bits |= ALARM if any(self.alarms(which) != (0, 0) for which in "ABCD") else 0
        bits |= sum(bit for bit, loop in zip((RAMP_1_DONE, RAMP_2_DONE), self.loops, strict=False) if not loop.ramping)
        if now - self._read_ps >= READING_PS:  # a new reading latches by itself
            self._read_ps = now
            self._operation.event |= READING
        self._operation.set_condition(bits | READING)

    def power_on_status(self) -> None:
        """Clear the registers too."""
        super().power_on_status()
        self._operation = StatusGroup()

    def status_byte(self) -> int:
        """Return the status byte with the operation summary."""
        bits = super().status_byte() & ~NOT_HERE | (SUMMARY if self._operation.summary else 0)
        return bits | (0x40 if bits & self.sre else 0)

    @query("OPST?")
    def _operation_condition(self) -> int:
        self.watch_operation()
        return self._operation.condition

    @query("OPSTR?")
    def _operation_event(self) -> int:
        self.watch_operation()
        return self._operation.read_event()

    @command("OPSTE", integer(0, 255))
    def _operation_enable(self, mask: int) -> None:
        self._operation.enable = mask

    @query("OPSTE?")
    def _operation_enable_query(self) -> int:
        return self._operation.enable
