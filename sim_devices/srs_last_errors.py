"""What SRS's small instruments have instead of a SCPI error queue: the last command and execution errors as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qlab.twin.framing import LineFramer
from qlab.twin.scpi import ScpiTwin, query
from qlab.twin.scpi_values import NumberError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.clock import Clock
    from qlab.twin.conversation import Framer
    from qlab.twin.scpi_status import ScpiError

__all__ = ["SrsLastErrors"]

LAST_COMMAND_ERRORS: Mapping[int, int] = {-113: 2, -109: 5, -108: 6, -103: 7, -104: 9, -363: 8, -224: 14, -222: 0}
"""[V1] SRS's common table: 2 undefined, 5 missing, 6 extra, 7 null parameter, 8 too long, 9 bad float, 14 unknown token."""
ILLEGAL, BAD_INTEGER = 1, 10  # [V1]


class SrsLastErrors(ScpiTwin):
    """`LCME?` and `LEXE?`, cleared by reading; no `SYST:ERR?` is of use."""

    status_groups: ClassVar[Sequence[str]] = ()
    out_of_range: ClassVar[int] = 1
    """`LEXE?` of a value outside its range [INF]."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.last_command_error = self.last_execution_error = 0

    def _scpi_framer(self) -> Framer:
        """Take CR and LF for the end of a line."""
        return LineFramer(b"\r\n")

    def fail(self, error: ScpiError) -> None:
        """Keep the number; SCPI's codes are translated, positive ones are the instrument's own."""
        self.esr |= error.event_bit if error.code < 0 else 0x10
        if error.code > 0:
            self.last_execution_error = error.code
        elif -error.code // 100 == 2:
            self.last_execution_error = self.out_of_range
            self.last_command_error = LAST_COMMAND_ERRORS.get(error.code, 0)
        else:
            whole = isinstance(error, NumberError) and error.what == "whole"
            self.last_command_error = BAD_INTEGER if whole else LAST_COMMAND_ERRORS.get(error.code, ILLEGAL)

    @query("LCME?")
    def _command_error(self) -> int:
        found, self.last_command_error = self.last_command_error, 0
        return found

    @query("LEXE?")
    def _execution_error(self) -> int:
        found, self.last_execution_error = self.last_execution_error, 0
        return found
