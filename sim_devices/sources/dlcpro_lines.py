r"""The two ports of a DLC pro's twin: the command line with its prompt, and the monitoring line that reports changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from sim_devices.sources.decop import (
    NO_VALUE,
    OUT_OF_RANGE,
    READ_ONLY,
    SYNTAX,
    UNKNOWN,
    DecopError,
    Item,
    Tree,
    encode,
    name_of,
    parse_call,
)

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Gate, Script
    from sim_devices.sources.decop import Value
    from sim_devices.sources.toptica_dlcpro import DLCproTwin

__all__ = ["CommandLine", "MonitoringPort"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on the controller's calendar."""
NORMAL, READONLY_LEVEL = 3, 4
PASSWORDS = {0: "internal", 1: "service", 2: "CAUTION"}  # [INF]
INTERVAL_MS = 100  # [INF] without one in `add`
SHORTEST_MS, LONGEST_MS = 1, 86_400_000
USB_START = b"\x12\x03"
"""[V2] What opens the prompt on USB; on TCP it is passed over [INF]."""


class CommandLine(Dialogue):
    """One client of the command line: welcomed with a prompt, with a user level and an echo of its own."""

    def __init__(self, twin: DLCproTwin, clock: Clock) -> None:
        super().__init__(_Commands(twin), LineFramer(b"\n", ignored=USB_START, keep_empty=True), clock)
        self._welcome = f"Welcome to {twin.identify()}\n> ".encode()

    def greeting(self) -> bytes:
        """Return the welcome and the first prompt."""
        return self._welcome


class _Commands:
    """Answers one client's calls."""

    def __init__(self, twin: DLCproTwin) -> None:
        self._twin = twin
        self._level: Value = NORMAL
        self._echo: Value = False
        own = {"ul": Item(lambda: self._level), "echo": Item(lambda: self._echo, self._set_echo)}
        self._tree: Tree = twin.tree.with_items(own)

    def answer(self, message: bytes) -> Script:
        """Carry out one line; an empty one brings the prompt again."""
        text, echo = message.decode("utf-8", "replace").strip(), bool(self._echo)
        try:
            lines = self._carry_out(text) if text else []
        except DecopError as error:
            lines = [str(error)]
        yield self._say(text, lines, echo=echo)

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer one line with an error."""
        del kind
        lines = [text or str(DecopError(NO_VALUE))]
        return self._say(message.decode("utf-8", "replace").strip(), lines, echo=bool(self._echo))

    def _say(self, text: str, lines: list[str], *, echo: bool) -> bytes:
        end = "\r\n" if echo else "\n"
        said = [text, *lines] if echo else lines
        return f"{end.join(said)}{end}> ".encode()

    def _carry_out(self, text: str) -> list[str]:
        verb, *rest = words = parse_call(text)
        name = name_of(words)
        match verb, len(rest):
            case "param-ref", 1:
                return [encode(self._tree.get(name))]
            case "param-gsv", 1:
                return [encode(self._tree.get_set_value(name))]
            case "param-disp", 1:
                return self._tree.display(name)
            case "param-set!", 2:
                return [str(self._set(name, rest[1]))]
            case "exec", _:
                return self._execute(name, rest[1:])
        raise DecopError(SYNTAX)

    def _set(self, name: str, value: str) -> int:
        """Set a parameter and return the status: 0, or why not."""
        try:
            if self._level == READONLY_LEVEL:
                raise DecopError(READ_ONLY)
            self._tree.put(name, value)
        except DecopError as error:
            return error.code
        return 0

    def _set_echo(self, value: Value) -> None:
        self._echo = value

    def _execute(self, name: str, arguments: list[str]) -> list[str]:
        match name, arguments:
            case "change-ul", [level, *password]:
                if level not in tuple("01234"):
                    raise DecopError(OUT_OF_RANGE)
                if int(level) >= NORMAL or password == [f'"{PASSWORDS[int(level)]}"']:
                    self._level = int(level)
                return [encode(self._level)]
            case (("laser1:dl:lock:open" | "laser1:dl:lock:close"), []):
                return [str(self._set("laser1:dl:lock:lock-enabled", "#t" if name.endswith("close") else "#f"))]
            case "system-messages:show-all", []:
                return [*self._twin.messages, "0"]
            case "system-messages:mark-as-read", [_]:
                self._twin.read_messages()
                return ["0"]
        raise DecopError(UNKNOWN)


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

    def __init__(self, tree: Tree, clock: Clock) -> None:
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
            words = parse_call(text)
            if words[0] == "change-ul":
                return b""
            name = name_of(words)
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
            raise DecopError(SYNTAX)
        except DecopError as error:
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
        return f"({self._stamp()} '{name} {encode(value)})\n".encode()

    def _stamp(self) -> str:
        return f"{EPOCH + timedelta(microseconds=self._clock.now_ps() // 10**6):%Y-%m-%dT%H:%M:%S.%fZ}"


def _changed(watch: _Watch, value: Value) -> bool:
    if watch.last is None or isinstance(value, str) or isinstance(watch.last, str):
        return value != watch.last
    return encode(value) != encode(watch.last) and abs(value - watch.last) >= watch.threshold


def _number(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise DecopError(SYNTAX)
    return float(text)
