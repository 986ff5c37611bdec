"""The WebSQ's counts port: for each client a line at the end of each measurement period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from sim_devices.detectors.singlequantum_websq import WebSQTwin

__all__ = ["CountsPort"]

UNIX_AT_ZERO_S = 1_767_225_600
"""Where the lab's time begins, 2026-01-01T00:00:00 UTC."""


class CountsPort:
    """TCP 12345."""

    def __init__(self, twin: WebSQTwin) -> None:
        self._twin = twin

    def connect(self) -> _CountsClient:
        """Begin to send lines to one client."""
        return _CountsClient(self._twin)

    def reset_power(self) -> None:
        """Nothing is kept here."""


class _CountsClient:
    """Periods stand on a common grid, so that all clients get the same lines."""

    def __init__(self, twin: WebSQTwin) -> None:
        self._twin = twin
        self._next_ps = self._after(twin.clock.now_ps())

    def receive(self, data: bytes) -> bytes:
        """Take nothing to heart: the port only sends."""
        del data
        return b""

    def due_ps(self) -> int | None:
        """Return the end of the period."""
        return self._next_ps

    def wake(self) -> bytes:
        """Send the counts of the period that has ended; those that nobody fetched in time are left out."""
        now, period = self._twin.clock.now_ps(), self._twin.period_ps
        if now < self._next_ps:
            return b""
        end = self._next_ps
        self._next_ps = self._after(now)
        counts = [channel.counts(max(end - period, 0), end) for channel in self._twin.channels]
        return f"{UNIX_AT_ZERO_S + end / PS_PER_S:.6f}, {', '.join(map(str, counts))}\n".encode()

    def close(self) -> None:
        """Forget the client."""

    def _after(self, now_ps: int) -> int:
        period = self._twin.period_ps
        return (now_ps // period + 1) * period
