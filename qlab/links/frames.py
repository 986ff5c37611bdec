"""Links whose wire carries whole messages: ZeroMQ frames, UDP datagrams."""

from __future__ import annotations

from collections import deque
from typing import Any

from qlab.links.link import Link

__all__ = ["FrameLink"]


class FrameLink(Link):
    """A link of whole messages: nothing ends one, and `read_until` without a terminator returns it.

    A transport puts the length of each message that it receives into `_frames`.  An empty reply cannot be told from none.
    """

    def __init__(self, address: str, **common: Any) -> None:
        super().__init__(address, **(common | {"terminator": b"", "command_terminator": b""}))
        self._frames: deque[int] = deque()

    def read_until(self, terminator: bytes | None = None, timeout_s: float | None = None) -> bytes:
        """Read a whole message; or up to a terminator that the instrument puts into its messages."""
        if terminator:
            return super().read_until(terminator, timeout_s)
        with self.lock:
            deadline_ps = self._deadline(self._patience_s(timeout_s))
            while not self._frames:
                self._need(deadline_ps, b"")
            return self._consume(self._frames[0])

    def _consume(self, count: int, end: int = 0) -> bytes:
        left = count + end
        while left and self._frames:
            used = min(left, self._frames[0])
            left -= used
            self._frames[0] -= used
            if not self._frames[0]:
                self._frames.popleft()
        return super()._consume(count, end)

    def _forget(self) -> None:
        super()._forget()
        self._frames.clear()
