"""One policy for every link: how long to wait, what to repeat, and when to believe a reply.

1. A query that times out, or whose reply is not understood, makes the link *suspect*: it is closed and opened again
   (resync) before another byte is believed, so that a late reply can never answer the next question.
2. Only queries are repeated, `retries` times.  A set whose connection is lost is reported as unknown, never repeated.
3. A lost connection is opened again `reconnects` times, `reconnect_delay_s` apart; then the instrument must say who it
   is (`identify`), and safe settings are restored (`restore`).

An operation lasts at most `LinkPolicy.limit_s`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LinkPolicy"]


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """How patient a link is.

    Parameters
    ----------
    timeout_s:
        Lab seconds for one reply.
    retries:
        How often a query is repeated.
    reconnects:
        How often opening is tried again after a lost or refused connection.
    reconnect_delay_s:
        Lab seconds between these tries.
    """

    timeout_s: float = 2.0
    retries: int = 1
    reconnects: int = 2
    reconnect_delay_s: float = 0.5

    def limit_s(self, timeout_s: float | None = None) -> float:
        """Return the most lab seconds a query can take, with identification at each reconnection."""
        wait_s = self.timeout_s if timeout_s is None else timeout_s
        reopen_s = (self.reconnects + 1) * (self.reconnect_delay_s + self.timeout_s)
        return (self.retries + 1) * wait_s + (self.retries + 1) * reopen_s
