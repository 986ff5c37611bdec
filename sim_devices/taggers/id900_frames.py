"""ZeroMQ's side of the ID900: each frame is a whole request and gets a whole reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrameConversation"]


class FrameConversation:
    """One client.

    Parameters
    ----------
    execute:
        Carries out a request and returns the reply, which is never withheld: a REQ client would wait for ever.
    """

    def __init__(self, execute: Callable[[str], str]) -> None:
        self._execute = execute

    def receive(self, data: bytes) -> bytes:
        """Answer one frame."""
        return self._execute(data.decode("utf-8", "replace")).encode()

    def due_ps(self) -> int | None:
        """Return None: nothing comes later."""
        return None

    def wake(self) -> bytes:
        """Say nothing."""
        return b""

    def close(self) -> None:
        """Forget the client."""
