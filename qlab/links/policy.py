"""One policy for every link: how long to wait, what to repeat, and when to believe a reply.

1. A query that times out, or whose reply is not understood, makes the link *suspect*.  A suspect link is
   resynchronised before another byte is believed, so that a late reply can never answer the next question: sockets
   and ZeroMQ are closed and opened again; a serial line, which does not notice that, is listened to until it is
   silent, must then say who it is, and must be silent again.
2. Only queries are repeated, `retries` times.  A set whose connection is lost is reported as unknown, never repeated.
   A dialogue of several steps runs on one connection or fails as a whole.
3. A lost connection is opened again `reconnects` times, `reconnect_delay_s` apart; then the instrument must say who it
   is (`Link.identify`), and what had been set is set again (`Link.restore`).

A query lasts at most ``limit_s = (retries + 1) * (delay_s + timeout_s + recovery_s)`` of lab time; whatever happens
inside is cut off there.  On the wall it may be longer by one call into the system (opening `socket://` to a dead host
takes pyserial 5 s), and by what other threads do before the link is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlab.errors import BadRequestError

__all__ = ["LinkPolicy"]


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """How patient a link is; all times are lab time.

    Parameters
    ----------
    timeout_s:
        For one reply.
    retries:
        How often a query is repeated.
    reconnects:
        How often opening or resynchronising is tried again.
    reconnect_delay_s:
        Between these tries.
    silence_s:
        How long a suspect serial line must say nothing; also the latest a reply may come and still be told from the
        answer to the identity query where the instrument has no such query.
    recovery_s:
        For all of one recovery: resynchronising, opening, identification and restored settings.
    """

    timeout_s: float = 2.0
    retries: int = 1
    reconnects: int = 2
    reconnect_delay_s: float = 0.5
    silence_s: float = 0.2
    recovery_s: float = 10.0

    def __post_init__(self) -> None:
        counts = {"retries": self.retries, "reconnects": self.reconnects}
        times = {"reconnect_delay_s": self.reconnect_delay_s, "silence_s": self.silence_s}
        bad = [f"{key} = {value}" for key, value in (counts | times).items() if not value >= 0]
        bad += [f"timeout_s = {self.timeout_s}"] if not self.timeout_s > 0 else []
        bad += [f"recovery_s = {self.recovery_s}"] if not self.recovery_s > 0 else []
        if bad:
            msg = f"link policy with {', '.join(bad)}: expected positive times and counts of 0 or more"
            raise BadRequestError(msg)

    def limit_s(self, timeout_s: float | None = None, delay_s: float = 0.0) -> float:
        """Return the most lab seconds that a query can last."""
        wait_s = self.timeout_s if timeout_s is None else timeout_s
        return (self.retries + 1) * (delay_s + wait_s + self.recovery_s)
