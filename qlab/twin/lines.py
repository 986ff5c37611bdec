r"""Text instruments that are not SCPI: one line in, some lines out, with echo or prompt as the firmware has it.

    class HeaterTwin(LineTwin):
        terminators = b"\r"
        reply_terminator = b"\r"
        echo = True
        prompt = b"> "
        unknown = "CMD_NOT_DEFINED"

        @line("tact?")
        def actual(self) -> str:
            return f"{self.temperature_c():.1f} C"

        @line(r"tset=(?P<value>[0-9.]+)")
        def set_point(self, value: str) -> None:
            if not 20 <= float(value) <= 200:
                raise LineError("CMD_ARG_RANGE_ERR")
            ...

A pattern without parentheses is the command itself, letter by letter; one with parentheses is a regular expression
whose groups become arguments.  A method returns nothing, one line, several lines, or `self.later(seconds, line)` for an
answer that comes after a while; the lines that the client sends meanwhile wait behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

from qlab.clock import PS_PER_S
from qlab.twin.conversation import Dialogue, Later
from qlab.twin.framing import LineFramer

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Script

__all__ = ["LineError", "LineTwin", "line"]

Reply: TypeAlias = "str | Sequence[str] | Later | None"
Method = TypeVar("Method", bound=Callable[..., Reply])


class LineError(Exception):
    """The instrument refuses; its text is the answer."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the command table."""

    pattern: re.Pattern[str]
    method: str


def line(*patterns: str) -> Callable[[Method], Method]:
    """Serve these commands by the method."""

    def mark(method: Method) -> Method:
        marks: list[str] = method.__dict__.setdefault("line_patterns", [])
        marks.extend(patterns)
        return method

    return mark


class LineTwin:
    """A line-by-line text instrument.

    Parameters
    ----------
    clock:
        The lab's clock.
    """

    terminators: ClassVar[bytes] = b"\r\n"
    """Bytes of which each ends a command."""
    ignored: ClassVar[bytes] = b""
    """Bytes that are swallowed wherever they stand."""
    reply_terminator: ClassVar[bytes] = b"\r\n"
    echo: ClassVar[bool] = False
    prompt: ClassVar[bytes] = b""
    ignore_case: ClassVar[bool] = False
    answer_empty: ClassVar[bool] = False
    """Whether an empty command is answered too (by echo and prompt)."""
    unknown: ClassVar[str | None] = None
    """The answer to an unknown command; None: silence."""
    busy: ClassVar[str] = "BUSY"
    error: ClassVar[str] = "ERROR"
    _line_entries: ClassVar[tuple[_Entry, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found = [
            _Entry(_compile(pattern, ignore_case=cls.ignore_case), name)
            for base in cls.__mro__
            for name, value in vars(base).items()
            for pattern in getattr(value, "line_patterns", ())
        ]
        cls._line_entries = tuple(found)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        framer = LineFramer(self.terminators, ignored=self.ignored, keep_empty=self.answer_empty)
        return Dialogue(self, framer, self.clock)

    def reset_power(self) -> None:
        """Return the front panel to its power-on state; nothing to do where there is none."""

    def later(self, seconds: float, reply: str | Callable[[], str | None] | None) -> Later:
        """Answer after `seconds` of lab time; a callable is asked when they have passed."""
        return Later(seconds, reply if callable(reply) else lambda: reply)

    def opening(self, text: str) -> bytes:
        """Return what is sent as soon as the command is complete."""
        return text.encode("latin-1") + self.reply_terminator if self.echo else b""

    def closing(self, text: str, lines: Sequence[str]) -> bytes:
        """Return what is sent when the command was carried out."""
        del text
        return b"".join(each.encode("latin-1") + self.reply_terminator for each in lines) + self.prompt

    def answer(self, message: bytes) -> Script:
        """Carry out one command line."""
        text = message.decode("latin-1")
        yield self.opening(text)
        reply: Reply
        try:
            reply = self._line_dispatch(text.strip())
            if isinstance(reply, Later):
                yield self.clock.now_ps() + round(reply.seconds * PS_PER_S)
                reply = reply.reply()
        except LineError as refusal:
            reply = str(refusal)
        lines = () if reply is None else (reply,) if isinstance(reply, str) else reply
        yield self.closing(text, lines)

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer one command line as a busy or failing instrument does."""
        said = message.decode("latin-1")
        return self.opening(said) + self.closing(said, [text or (self.busy if kind == "busy" else self.error)])

    def _line_dispatch(self, text: str) -> Reply:
        if not text:
            return None
        for entry in self._line_entries:
            match = entry.pattern.fullmatch(text)
            if match is not None:
                named = match.groupdict()
                method: Callable[..., Reply] = getattr(self, entry.method)
                return method(**named) if named else method(*match.groups())
        return self.unknown


def _compile(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(pattern if "(" in pattern else re.escape(pattern), re.IGNORECASE if ignore_case else 0)
