"""SCPI instruments: a twin whose methods read like the manual's command table.

    class PowerMeterTwin(ScpiTwin):
        identity = "Acme,PM1,0001,1.0"
        wavelength_nm = parameter("SENSe:CORRection:WAVelength", 810.0, limits=(400.0, 1100.0), units="NM")

        @query("MEASure[:SCALar][:POWer]?")
        def measure(self) -> float:
            return self.power_w()

        @command("OUTPut[1][:STATe]", boolean)
        def output(self, on: bool) -> None:
            if on and self.interlock_open:
                raise ScpiError(-221)

A method returns the reply (text, a number, a boolean, bytes for a block, None for silence), `Later(seconds, method)` for
a reply that comes later, or raises `ScpiError`.  The engine does headers, chaining, common commands, the error queue and
the status registers, as IEEE 488.2 and SCPI-1999 have them; settings go back to their defaults by `*RST`, masks, queue
and the world do not.

Dialects: `answers_sets` (a set is answered too, as `set_reply` words it), `answers_errors` (an error stands in the reply
as `error_reply` words it, not in a queue), `joiner`, and `wire = "zmq"` or "udp" for messages without terminators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qlab.clock import PS_PER_S
from qlab.twin.conversation import Dialogue, Later
from qlab.twin.framing import BlockFramer, LineFramer, MessageFramer
from qlab.twin.scpi_common import CommonCommands, status_entries
from qlab.twin.scpi_status import ScpiError
from qlab.twin.scpi_syntax import split_outside, split_unit
from qlab.twin.scpi_table import Entry, Parameter, Reply, command, entries_of, parameter, query
from qlab.twin.scpi_values import (
    Kind,
    block,
    boolean,
    choice,
    integer,
    number,
    optional,
    parse_bool,
    parse_number,
    string,
    to_text,
    word,
)

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.twin.conversation import Framer, Script

__all__ = [
    "Kind",
    "Later",
    "Parameter",
    "Reply",
    "ScpiError",
    "ScpiTwin",
    "block",
    "boolean",
    "choice",
    "command",
    "integer",
    "number",
    "optional",
    "parameter",
    "parse_bool",
    "parse_number",
    "query",
    "string",
    "word",
]

_REMEMBERED = 2048
"""Spellings of headers whose table line is remembered."""
_DEEPEST = 16
"""Nodes of the longest header."""
_FRAMED = ("zmq", "udp")
"""Wires whose messages need no terminators."""


class ScpiTwin(CommonCommands):
    """A SCPI-1999 instrument.

    Parameters
    ----------
    clock:
        The lab's clock.
    """

    wire: ClassVar[Literal["tcp", "serial", "zmq", "udp"]] = "tcp"
    terminator: ClassVar[bytes] = b"\n"
    joiner: ClassVar[str] = ";"
    """Between the replies to the queries of one message."""
    number_format: ClassVar[str] = ".6E"
    """How numbers are written that a method returns."""
    answers_sets: ClassVar[bool] = False
    answers_errors: ClassVar[bool] = False
    _scpi_table: ClassVar[tuple[Entry, ...]] = ()
    _scpi_found: ClassVar[dict[tuple[str, ...], tuple[Entry, tuple[int, ...]]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        groups = status_entries(cls.status_groups)
        cls._scpi_table = tuple(entry for base in cls.__mro__ for entry in entries_of(base)) + tuple(groups)
        cls._scpi_found = {}

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.values: dict[str, float | bool | str] = {}

    # -- what a concrete twin may override or call

    def on_reset(self) -> None:
        """Return to the `*RST` state; the parameters already have their defaults.  The world is left alone."""

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return limits that depend on the state, None for those that were declared."""
        del name
        return None

    def set_reply(self, header: str, arguments: list[str]) -> str:
        """Word the answer to a set, where sets are answered."""
        return " ".join([header, *arguments])

    def error_reply(self, error: ScpiError) -> str:
        """Word the answer to a mistake, where mistakes are answered."""
        return str(error)

    def peek(self) -> dict[str, object]:
        """Return the front panel's state, for the control channel."""
        return {name: getattr(self, name) for name in sorted({item.name for item in self.declared_parameters()})}

    # -- the Twin protocol

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return Dialogue(self, self._scpi_framer(), self.clock)

    def reset_power(self) -> None:
        """Return to the power-on state: settings, masks and queue are gone, the power-on bit is set."""
        self.power_on_status()
        self.reset_settings()

    def reset_settings(self) -> None:
        """Set all parameters but the stored ones to their defaults, end operations, and let the instrument follow."""
        self.values = {
            item.name: self.values[item.name] for item in self.declared_parameters() if item.stored_in(self.values)
        }
        self.end_operations()
        self.on_reset()

    @classmethod
    def declared_parameters(cls) -> list[Parameter[Any]]:
        """Return the settings that the class and its bases declare."""
        return [item for base in cls.__mro__ for item in vars(base).values() if isinstance(item, Parameter)]

    # -- the engine, called by the conversation

    def answer(self, message: bytes) -> Script:
        """Carry out one program message; its replies go out together when its last unit is done."""
        replies: list[str] = []
        path: list[str] = []
        for unit in split_outside(message.decode("latin-1"), ";"):
            if not unit:
                continue
            self.reply_waits = bool(replies)
            reply: Reply
            try:
                header, arguments = split_unit(unit)
                tokens, path = _resolve(header, path)
                reply = self._scpi_call(header, tokens, arguments)
                while isinstance(reply, Later):
                    yield self.clock.now_ps() + round(reply.seconds * PS_PER_S)
                    reply = reply.reply()
            except ScpiError as error:
                if self.answers_errors:
                    reply = self.error_reply(error)
                else:
                    self.fail(error)
                    reply = None
            if reply is not None:
                replies.append(to_text(reply, self.number_format))
        if replies:
            yield self.joiner.join(replies).encode("latin-1", "replace") + self._reply_end

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Decline one program message: with `text` as the reply, or an error in the queue."""
        del message, kind
        if text or self.answers_errors:
            return (text or self.error_reply(ScpiError(-200))).encode("latin-1") + self._reply_end
        self.fail(ScpiError(-200))
        return b""

    @property
    def _reply_end(self) -> bytes:
        return b"" if self.wire in _FRAMED else self.terminator

    def _scpi_framer(self) -> Framer:
        if self.wire in _FRAMED:
            return MessageFramer()
        if any(entry.blocks for entry in self._scpi_table):
            return BlockFramer(self.terminator[-1:])
        return LineFramer(self.terminator[-1:])

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        entry, numbers = self._scpi_find(tokens, is_query=header.endswith("?"))
        reply = entry.run(self, numbers, arguments)
        if reply is None and self.answers_sets:
            return self.set_reply(header, arguments)
        return reply

    def _scpi_find(self, tokens: list[str], *, is_query: bool) -> tuple[Entry, tuple[int, ...]]:
        if len(tokens) > _DEEPEST:
            raise ScpiError(-113)
        key = (*(token.upper() for token in tokens), "?" if is_query else "")
        found = self._scpi_found.get(key)
        if found is None:
            for entry in self._scpi_table:
                if entry.header.query == is_query:
                    numbers = entry.header.match(tokens)
                    if numbers is not None:
                        found = entry, numbers
                        break
            else:
                raise ScpiError(-113)
            if len(self._scpi_found) < _REMEMBERED:
                self._scpi_found[key] = found
        return found


ScpiTwin.__init_subclass__()  # the base is an instrument too, with the common commands alone


def _resolve(header: str, path: list[str]) -> tuple[list[str], list[str]]:
    """Return the nodes that a header means behind `path`, and the path that the next one starts from (SCPI-1999, 6.2.4)."""
    name = header.removesuffix("?")
    if name.startswith("*"):
        return [name], path
    tokens = name.removeprefix(":").split(":")
    if not name.startswith(":"):
        tokens = [*path, *tokens]
    return tokens, tokens[:-1]
