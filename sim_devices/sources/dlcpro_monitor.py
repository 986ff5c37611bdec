"""The monitoring line of a DLC pro's twin: it reports what has changed, to each client at the pace it asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.framing import LineFramer
from sim_devices.sources import decop

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Gate
    from sim_devices.sources.decop import Value
    from sim_devices.sources.toptica_dlcpro import DLCproTwin

__all__ = ["EPOCH", "MonitoringPort"]


EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on the controller's calendar."""


INTERVAL_MS = 100  # [INF] without one in `add`
SHORTEST_MS, LONGEST_MS = 1, 86_400_000


@dataclass(slots=True)
class _Watch:
    """One subscription."""

    interval_ps: int
    threshold: float
    next_ps: int
    last: Value | None = None


class MonitoringPort:
    """The port of the monitoring line."""

    def __init__(self, twin: DLCproTwin, clock: Clock) -> None:
        self._twin, self._clock = twin, clock

    def connect(self) -> _Monitor:
        """Begin to report to one client."""
        return _Monitor(self._twin.tree, self._clock)

    def reset_power(self) -> None:
        """Nothing is kept here."""


class _Monitor:
    """One client of the monitoring line: values when they change, each no oftener than its interval."""

    gate: Gate | None = None

    def __init__(self, tree: decop.Tree, clock: Clock) -> None:
        self._tree, self._clock = tree, clock
        self._framer = LineFramer(b"\n")
        self._watches: dict[str, _Watch] = {}

    def receive(self, data: bytes) -> bytes:
        """Take `add`, `remove` and `change-ul`; a new subscription begins with the present value [INF]."""
        return b"".join(self._take(line.decode("utf-8", "replace").strip()) for line in self._framer.feed(data))

    def due_ps(self) -> int | None:
        """Return when to look again."""
        return min((watch.next_ps for watch in self._watches.values()), default=None)

    def wake(self) -> bytes:
        """Report what has changed."""
        return b"".join(self._look(name) for name in list(self._watches))

    def exchanges(self) -> list[tuple[bytes, int]]:
        """Return nothing: reports answer no message."""
        return []

    def close(self) -> None:
        """Forget the subscriptions."""
        self._watches.clear()

    def _take(self, text: str) -> bytes:
        name = ""
        try:
            words = decop.parse_call(text)
            if words[0] == "change-ul":
                return b""
            name = decop.name_of(words)
            match words[0], words[2:]:
                case "add", [*more] if len(more) <= 2:
                    self._tree.get(name)
                    interval_ms = _number(more[0]) if more else INTERVAL_MS
                    ps = round(min(max(interval_ms, SHORTEST_MS), LONGEST_MS) * 1e-3 * PS_PER_S)
                    threshold = _number(more[1]) if len(more) > 1 else 0.0
                    self._watches[name] = _Watch(ps, threshold, self._clock.now_ps())
                    return self._look(name)
                case "remove", []:
                    self._watches.pop(name, None)
                    return b""
            raise decop.DecopError(decop.SYNTAX)
        except decop.DecopError as error:
            return f"(Error: {error.code} ({self._stamp()} '{name}) {error.words})\n".encode()

    def _look(self, name: str) -> bytes:
        watch, now = self._watches[name], self._clock.now_ps()
        if now < watch.next_ps:
            return b""
        watch.next_ps += ((now - watch.next_ps) // watch.interval_ps + 1) * watch.interval_ps
        value = self._tree.get(name)
        if not _changed(watch, value):
            return b""
        watch.last = value
        return f"({self._stamp()} '{name} {decop.encode(value)})\n".encode()

    def _stamp(self) -> str:
        return f"{EPOCH + timedelta(microseconds=self._clock.now_ps() // 10**6):%Y-%m-%dT%H:%M:%S.%fZ}"


def _changed(watch: _Watch, value: Value) -> bool:
    if watch.last is None or not isinstance(value, bool | int | float):
        return value != watch.last
    away = abs(value - decop.as_number(watch.last))
    return decop.encode(value) != decop.encode(watch.last) and away >= watch.threshold


def _number(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise decop.DecopError(decop.SYNTAX)
    return float(text)
