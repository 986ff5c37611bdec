r"""The command line of a DLC pro's twin, with its prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from sim_devices.sources import decop

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Script
    from sim_devices.sources.decop import Value
    from sim_devices.sources.toptica_dlcpro import DLCproTwin

__all__ = ["CommandLine"]

NORMAL, READONLY_LEVEL = 3, 4
PASSWORDS = {0: "internal", 1: "service", 2: "CAUTION"}  # [INF]
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
        own = {"ul": decop.Item(lambda: self._level), "echo": decop.Item(lambda: self._echo, self._set_echo)}
        self._tree: decop.Tree = twin.tree.with_items(own)

    def answer(self, message: bytes) -> Script:
        """Carry out one line; an empty one brings the prompt again."""
        text, echo = message.decode("utf-8", "replace").strip(), bool(self._echo)
        try:
            lines = self._carry_out(text) if text else []
        except decop.DecopError as error:
            lines = [str(error)]
        yield self._say(text, lines, echo=echo)

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer one line with an error."""
        del kind
        lines = [text or str(decop.DecopError(decop.NO_VALUE))]
        return self._say(message.decode("utf-8", "replace").strip(), lines, echo=bool(self._echo))

    def _say(self, text: str, lines: list[str], *, echo: bool) -> bytes:
        end = "\r\n" if echo else "\n"
        said = [text, *lines] if echo else lines
        return f"{end.join(said)}{end}> ".encode()

    def _carry_out(self, text: str) -> list[str]:
        verb, *rest = words = decop.parse_call(text)
        name = decop.name_of(words)
        match verb, len(rest):
            case "param-ref", 1:
                return [decop.encode(self._tree.get(name))]
            case "param-gsv", 1:
                return [decop.encode(self._tree.get_set_value(name))]
            case "param-disp", 1:
                return self._tree.display(name)
            case "param-set!", 2:
                return [str(self._set(name, rest[1]))]
            case "exec", _:
                return self._execute(name, rest[1:])
        raise decop.DecopError(decop.SYNTAX)

    def _set(self, name: str, value: str) -> int:
        """Set a parameter and return the status: 0, or why not."""
        try:
            if self._level == READONLY_LEVEL:
                raise decop.DecopError(decop.READ_ONLY)
            self._tree.put(name, value)
        except decop.DecopError as error:
            return error.code
        return 0

    def _set_echo(self, value: Value) -> None:
        self._echo = value

    def _execute(self, name: str, arguments: list[str]) -> list[str]:
        match name, arguments:
            case "change-ul", [level, *password]:
                if level not in tuple("01234"):
                    raise decop.DecopError(decop.OUT_OF_RANGE)
                if int(level) >= NORMAL or password == [f'"{PASSWORDS[int(level)]}"']:
                    self._level = int(level)
                return [decop.encode(self._level)]
            case (("laser1:dl:lock:open" | "laser1:dl:lock:close"), []):
                return [str(self._set("laser1:dl:lock:lock-enabled", "#t" if name.endswith("close") else "#f"))]
            case "system-messages:show-all", []:
                return [*self._twin.messages, "0"]
            case "system-messages:mark-as-read", [_]:
                self._twin.read_messages()
                return ["0"]
        raise decop.DecopError(decop.UNKNOWN)
