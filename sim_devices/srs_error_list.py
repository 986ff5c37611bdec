"""What a DG645 has instead of a SCPI error queue: a list of numbers, the oldest first."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from qlab.twin.scpi import ScpiError, ScpiTwin, command, query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.clock import Clock
    from qlab.twin.conversation import Script
    from qlab.twin.scpi import Reply

__all__ = ["SrsErrorList"]

LISTED: Mapping[int, int] = {
    -113: 111,
    -109: 116,
    -108: 115,
    -103: 114,
    -104: 118,
    -120: 118,
    -131: 118,
    -102: 126,
    -222: 10,
    -224: 10,
    -200: 15,
}
"""[V2] Codes of `LERR?`: 111 undefined, 116 missing, 115 extra, 114 null, 118 bad float, 126 syntax, 10 illegal value, 15
not allowed."""
ILLEGAL_COMMAND, ILLEGAL_QUERY, ILLEGAL_SET, TOO_MANY = 110, 112, 113, 254
UNDEFINED = -113
DEPTH = 20  # [INF] of the list
QUESTION = re.compile(rb"\?(?=[^\s;])")


class SrsErrorList(ScpiTwin):
    """`LERR?`: the oldest error's code, 0 when there is none; and `DLAY?2` for `DLAY? 2`."""

    status_groups: ClassVar[Sequence[str]] = ()

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.error_codes: deque[int] = deque()

    def answer(self, message: bytes) -> Script:
        """Carry out one message; a parameter may follow the question mark at once."""
        yield from super().answer(QUESTION.sub(b"? ", message))

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        try:
            return super()._scpi_call(header, tokens, arguments)
        except ScpiError as error:
            asks = header.endswith("?")
            if error.code == UNDEFINED and self._knows(tokens, is_query=not asks):
                raise ScpiError(ILLEGAL_QUERY if asks else ILLEGAL_SET) from error
            raise

    def _knows(self, tokens: list[str], *, is_query: bool) -> bool:
        try:
            self._scpi_find(tokens, is_query=is_query)
        except ScpiError:
            return False
        return True

    def fail(self, error: ScpiError) -> None:
        """Add to the list; SCPI's codes are translated, positive ones are the instrument's own."""
        self.esr |= error.event_bit if error.code < 0 else 0x10
        code = error.code if error.code > 0 else LISTED.get(error.code, ILLEGAL_COMMAND)
        if len(self.error_codes) < DEPTH:
            self.error_codes.append(code)
        else:
            self.error_codes[-1] = TOO_MANY

    def power_on_status(self) -> None:
        """Forget errors too."""
        super().power_on_status()
        self.error_codes.clear()

    @command("*CLS")
    def _clear(self) -> None:
        self.esr = 0
        self.error_codes.clear()

    @query("LERR?")
    def _error(self) -> int:
        return self.error_codes.popleft() if self.error_codes else 0
