"""SCPI instruments: a twin whose methods read like the manual's command table.

    class PowerMeterTwin(ScpiTwin):
        identity = "Acme,PM1,0001,1.0"
        wavelength_nm = parameter("SENSe:CORRection:WAVelength", 810.0, limits=(400.0, 1100.0))

        @query("MEASure[:SCALar][:POWer]?")
        def measure(self) -> str:
            return f"{self.power_w():.6E}"

A method behind `@command` or `@query` takes the captured suffixes (`#` in the pattern), then the parameters as text; it
returns the reply, `Later(seconds, method)` for one that comes later, or raises `ScpiError`.  The engine does headers,
chaining, common commands, the error queue and the status registers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

from qlab.clock import PS_PER_S, Clock
from qlab.twin.conversation import Later
from qlab.twin.framing import BlockFramer
from qlab.twin.scpi_status import OPC, PON, ErrorQueue, ScpiError, StatusGroup
from qlab.twin.scpi_tree import Header

__all__ = ["Later", "Parameter", "ScpiError", "ScpiTwin", "command", "parameter", "query"]

_UNIT = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z%]*)\s*$")
_SCALE = {"": 1.0, "N": 1e-9, "U": 1e-6, "M": 1e-3, "K": 1e3, "MA": 1e6}


Reply: TypeAlias = "str | Later | None"
Method: TypeAlias = Callable[..., Reply]


def command(*patterns: str) -> Callable[[Method], Method]:
    """Serve these headers, as the manual prints them, by the method."""

    def mark(method: Method) -> Method:
        method.__dict__.setdefault("scpi_patterns", []).extend(patterns)
        return method

    return mark


query = command


class Parameter:
    """A setting with a set and a query form; reads and writes like an attribute of the twin."""

    def __init__(
        self,
        pattern: str,
        default: float | bool | str,
        limits: tuple[float, float] | None,
        choices: Sequence[str],
        fmt: str,
        changed: str | None,
    ) -> None:
        self.pattern = pattern
        self.default = default
        self.limits = limits
        self.choices = choices
        self.fmt = fmt
        self.changed = changed
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, twin: ScpiTwin | None, owner: type) -> Any:
        return self if twin is None else twin.values.get(self.name, self.default)

    def __set__(self, twin: ScpiTwin, value: float | bool | str) -> None:
        twin.values[self.name] = value

    def set_text(self, twin: ScpiTwin, text: str) -> None:
        """Take a client's text; raises `ScpiError` for what the instrument would refuse."""
        twin.values[self.name] = self._parse(twin, text)
        if self.changed is not None:
            getattr(twin, self.changed)()

    def query_text(self, twin: ScpiTwin, text: str) -> str:
        """Answer the query form, with MIN, MAX or DEF where asked."""
        value = self._parse(twin, text) if text else twin.values.get(self.name, self.default)
        if isinstance(self.default, bool):
            return str(int(bool(value)))
        return value if isinstance(value, str) else format(value, self.fmt)

    def _parse(self, twin: ScpiTwin, text: str) -> float | bool | str:
        if isinstance(self.default, bool):
            return parse_bool(text)
        if isinstance(self.default, str):
            for choice in self.choices:
                if text.upper() in ("".join(c for c in choice if not c.islower()), choice.upper()):
                    return "".join(c for c in choice if not c.islower())
            raise ScpiError(-224, "Illegal parameter value")
        low, high = twin.limits_of(self.name) or self.limits or (-float("inf"), float("inf"))
        named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high, "DEF": self.default, "DEFAULT": self.default}
        value = named[text.upper()] if text.upper() in named else parse_number(text)
        if not low <= value <= high:
            raise ScpiError(-222, "Data out of range")
        return float(value)


def parameter(
    pattern: str,
    default: float | bool | str,
    *,
    limits: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    fmt: str = ".6E",
    changed: str | None = None,
) -> Parameter:
    """Declare a setting.

    Parameters
    ----------
    pattern:
        The header as the manual prints it, without question mark.
    default:
        The value after `*RST`; its type decides what is accepted: number, boolean or one of `choices`.
    limits:
        Inclusive limits, -222 outside.  A twin with moving limits overrides `limits_of`.
    choices:
        Words with the short form in capitals.
    fmt:
        How a number is written in replies.
    changed:
        Name of a method to call after each set.
    """
    return Parameter(pattern, default, limits, choices, fmt, changed)


def parse_number(text: str) -> float:
    """Read a decimal number with an optional SI-prefixed unit; -104 or -120 as SCPI has it."""
    match = _UNIT.match(text)
    if match is None:
        raise ScpiError(-104, "Data type error") if text.strip() else ScpiError(-109, "Missing parameter")
    unit = match[2].upper()
    prefix = unit[:-1] if len(unit) > 1 else ""
    if prefix not in _SCALE:
        raise ScpiError(-131, "Invalid suffix")
    return float(match[1]) * _SCALE[prefix]


def parse_bool(text: str) -> bool:
    """Read ON, OFF, or a number that is rounded to zero or not."""
    word = text.strip().upper()
    if word in ("ON", "OFF"):
        return word == "ON"
    return round(parse_number(text)) != 0


class ScpiTwin:
    """A SCPI-1999 instrument.

    Parameters
    ----------
    clock:
        The lab's clock.
    """

    identity: ClassVar[str] = "qlab,ScpiTwin,0,0"
    terminator: ClassVar[bytes] = b"\n"
    status_groups: ClassVar[tuple[str, ...]] = ("OPERation", "QUEStionable")
    _table: ClassVar[list[tuple[Header, str | Parameter]]] = []

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._table = [entry for base in reversed(cls.__mro__) for entry in _entries(base)][::-1]

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.values: dict[str, float | bool | str] = {}
        self.errors = ErrorQueue()
        self.status = {name: StatusGroup() for name in self.status_groups}
        self.esr = PON
        self.ese = 0
        self.sre = 0
        self.busy_until_ps = 0

    # What a concrete twin may override.

    def on_reset(self) -> None:
        """Return to the `*RST` state; the parameters already have their defaults.  The world is left alone."""

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return limits that depend on the state, None for those that were declared."""
        del name
        return None

    def peek(self) -> dict[str, object]:
        """Return the front panel's state, for the control channel."""
        return {n: getattr(self, n) for c in type(self).__mro__ for n, v in vars(c).items() if isinstance(v, Parameter)}

    def connect(self) -> ScpiConversation:
        """Begin a conversation with one client."""
        return ScpiConversation(self)

    def reset_power(self) -> None:
        """Return to the power-on state: settings, masks and queue are gone, the power-on bit is set."""
        self.values.clear()
        self.errors.clear()
        self.status = {name: StatusGroup() for name in self.status_groups}
        self.esr, self.ese, self.sre = PON, 0, 0
        self.on_reset()

    def fail(self, error: ScpiError) -> None:
        """Queue an error and set its event bit."""
        self.errors.push(error)
        self.esr |= error.event_bit

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return self.identity

    # IEEE 488.2 common commands and the SYSTem and STATus trees.

    @query("*IDN?")
    def _idn(self) -> str:
        return self.identify()

    @command("*CLS")
    def _cls(self) -> None:
        self.errors.clear()
        self.esr = 0
        for group in self.status.values():
            group.event = 0

    @command("*RST")
    def _rst(self) -> None:
        self.values.clear()
        self.on_reset()

    @query("*ESR?")
    def _esr(self) -> str:
        value, self.esr = self.esr, 0
        return str(value)

    @command("*ESE")
    def _ese(self, mask: str) -> None:
        self.ese = _byte(mask)

    @command("*SRE")
    def _sre(self, mask: str) -> None:
        self.sre = _byte(mask)

    @query("*ESE?")
    def _ese_query(self) -> str:
        return str(self.ese)

    @query("*SRE?")
    def _sre_query(self) -> str:
        return str(self.sre)

    @query("*STB?")
    def _stb(self) -> str:
        bits = 0x20 if self.esr & self.ese else 0
        for name, bit in (("OPERation", 0x80), ("QUEStionable", 0x08)):
            if name in self.status and self.status[name].event & self.status[name].enable:
                bits |= bit
        bits |= 0x04 if len(self.errors) else 0
        return str(bits | (0x40 if bits & self.sre else 0))

    @command("*OPC")
    def _opc(self) -> None:
        if self.busy_until_ps <= self.clock.now_ps():
            self.esr |= OPC
        else:
            self.clock.call_at(self.busy_until_ps, self._complete)

    def _complete(self) -> None:
        self.esr |= OPC

    @query("*OPC?")
    def _opc_query(self) -> Reply:
        left_s = (self.busy_until_ps - self.clock.now_ps()) / PS_PER_S
        return Later(left_s, lambda: "1") if left_s > 0 else "1"

    @query("*TST?")
    def _tst(self) -> str:
        return "0"

    @command("*WAI")
    def _wai(self) -> Reply:
        left_s = (self.busy_until_ps - self.clock.now_ps()) / PS_PER_S
        return Later(left_s, lambda: None) if left_s > 0 else None

    @query("SYSTem:ERRor[:NEXT]?")
    def _error(self) -> str:
        return self.errors.pop()

    @query("SYSTem:VERSion?")
    def _version(self) -> str:
        return "1999.0"

    # The engine.

    def execute(self, header: str, text: str, path: list[str]) -> tuple[Reply, list[str]]:
        """Run one program message unit; returns its reply and the path that the next unit starts from."""
        is_query = header.endswith("?")
        name = header.removesuffix("?")
        if name.startswith("*"):
            tokens, after = [name], path
        else:
            tokens = name.lstrip(":").split(":")
            if not name.startswith(":"):
                tokens = [*path, *tokens]
            after = tokens[:-1]
        try:
            return self._dispatch(tokens, text, is_query=is_query), after
        except ScpiError as error:
            self.fail(error)
            return None, after

    def _dispatch(self, tokens: list[str], text: str, *, is_query: bool) -> Reply:
        for header, target in self._table:
            parameter = isinstance(target, Parameter)
            if not parameter and header.query != is_query:
                continue
            numbers = header.match(tokens)
            if numbers is None:
                continue
            if isinstance(target, Parameter):
                if is_query:
                    return target.query_text(self, text)
                if not text:
                    raise ScpiError(-109, "Missing parameter")
                target.set_text(self, text)
                return None
            arguments = [part.strip() for part in text.split(",")] if text else []
            return self._call(target, numbers, arguments)
        return self._status_tree(tokens, text, is_query=is_query)

    def _call(self, name: str, numbers: tuple[int, ...], arguments: list[str]) -> Reply:
        method = getattr(self, name)
        code = method.__func__.__code__
        least = code.co_argcount - 1 - len(method.__func__.__defaults__ or ()) - len(numbers)
        if len(arguments) < least:
            raise ScpiError(-109, "Missing parameter")
        if not code.co_flags & 0x04 and len(arguments) > code.co_argcount - 1 - len(numbers):
            raise ScpiError(-108, "Parameter not allowed")
        reply: Reply = method(*numbers, *arguments)
        return reply

    def _status_tree(self, tokens: list[str], text: str, *, is_query: bool) -> Reply:
        for name, group in self.status.items():
            for leaf, attribute in _STATUS_LEAVES.items():
                if Header(f"STATus:{name}{leaf}").match(tokens) is None:
                    continue
                if is_query:
                    return str(group.read_event() if attribute == "event" else getattr(group, attribute))
                if attribute in ("enable", "positive", "negative"):
                    setattr(group, attribute, round(parse_number(text)) & 0x7FFF)
                    return None
        raise ScpiError(-113, "Undefined header")


def _byte(text: str) -> int:
    value = round(parse_number(text))
    if not 0 <= value <= 255:
        raise ScpiError(-222, "Data out of range")
    return value


_STATUS_LEAVES = {
    "[:EVENt]": "event",
    ":CONDition": "condition",
    ":ENABle": "enable",
    ":PTRansition": "positive",
    ":NTRansition": "negative",
    ":PTR": "positive",
    ":NTR": "negative",
}


def _entries(base: type) -> list[tuple[Header, str | Parameter]]:
    entries: list[tuple[Header, str | Parameter]] = []
    for name, value in vars(base).items():
        if isinstance(value, Parameter):
            entries.append((Header(value.pattern), value))
        entries.extend((Header(pattern), name) for pattern in getattr(value, "scpi_patterns", ()))
    return entries


class ScpiConversation:
    """One client of a SCPI twin: its input buffer, the units still to be executed and the reply being made."""

    def __init__(self, twin: ScpiTwin) -> None:
        self._twin = twin
        self._framer = BlockFramer(twin.terminator)
        self._units: list[tuple[str, str] | None] = []  # None marks the end of a program message
        self._path: list[str] = []
        self._replies: list[str] = []
        self._later: Later | None = None
        self._due_ps: int | None = None

    def receive(self, data: bytes) -> bytes:
        """Take bytes and return complete response messages."""
        for message in self._framer.feed(data):
            text = message.decode("latin-1")
            for unit in _split_units(text):
                header, _, rest = unit.strip().partition(" ")
                if header:
                    self._units.append((header, rest.strip()))
            self._units.append(None)
        return self._run()

    def due_ps(self) -> int | None:
        """Return when the pending reply is due."""
        return self._due_ps

    def wake(self) -> bytes:
        """Finish the pending reply and go on with what waited behind it."""
        if self._later is None or self._due_ps is None or self._twin.clock.now_ps() < self._due_ps:
            return b""
        later, self._later, self._due_ps = self._later, None, None
        try:
            self._take(later.reply())
        except ScpiError as error:
            self._twin.fail(error)
        return self._run()

    def close(self) -> None:
        """Forget the client."""
        self._units.clear()
        self._later = self._due_ps = None

    def _run(self) -> bytes:
        output = b""
        while self._units and self._later is None:
            unit = self._units.pop(0)
            if unit is None:
                if self._replies:
                    output += ";".join(self._replies).encode("latin-1") + self._twin.terminator
                self._replies, self._path = [], []
                continue
            reply, self._path = self._twin.execute(*unit, self._path)
            self._take(reply)
        return output

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Later):
            self._later = reply
            self._due_ps = self._twin.clock.now_ps() + round(reply.seconds * PS_PER_S)
        elif reply is not None:
            self._replies.append(reply)


def _split_units(text: str) -> list[str]:
    """Split at semicolons that are not inside a string."""
    return re.findall(r"(?:[^;\"']|\"[^\"]*\"?|'[^']*'?)+", text)
