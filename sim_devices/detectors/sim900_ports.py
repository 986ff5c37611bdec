"""The commands by which a SIM900's host speaks to its ports: send, fetch, connect, pass through, set up, flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim_devices.detectors.sim900_arguments import (
    FAILED,
    ILLEGAL_PORT,
    NULL,
    PORT,
    QUEUE,
    TIMED_OUT,
    MainframeError,
    integer,
    parse_string,
    token,
)
from sim_devices.detectors.sim900_line import ENDS, FLOW, LINE, PARITY, TERMINATORS
from sim_devices.detectors.sim900_port import Port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.clock import Clock
    from sim_devices.detectors.sim900_module import Module
    from sim_devices.detectors.sim900_status import Registers

__all__ = ["NAMES", "Ports"]

NAMES = "123456789ABCD"
"""[V2] Eight slots, two pairs of extra ports, the eavesdropper C and the host D."""
HOST = "D"
BITS = {name: 1 << bit for bit, name in enumerate(NAMES, 1)}
"""[V2] A to D are bits 10 to 13 of `CTCR?`."""
LIMITS = {"BAUD": (110, 115200), "WORD": (7, 8), "SBIT": (1, 2), "TMOT": (0, 65535)}
WORDS = {"FLOW": FLOW, "PARI": PARITY}
MESSAGE, LONGEST_MESSAGE = 64, 128  # [V2]


class Ports:
    """All ports but the host's own.

    Parameters
    ----------
    modules:
        By slot.
    """

    def __init__(self, clock: Clock, registers: Registers, modules: Mapping[int, Module]) -> None:
        self.ports = {name: Port(modules.get(int(name)) if name in "12345678" else None) for name in NAMES}
        self.words = False
        """Whether tokens are answered as words (`TOKN ON`)."""
        self.connected: str | None = None
        self.length = MESSAGE
        self.listeners = sum(BITS[name] for name in "12345678")
        """[INF] The ports that hear a broadcast: all slots."""
        self._clock = clock
        self._registers = registers
        self._escape, self._tail = b"", b""

    @property
    def host_end(self) -> bytes:
        """What ends the answers to the host."""
        return self.ports[HOST].end

    def power_up(self) -> None:
        """Return to the power-on state."""
        for port in self.ports.values():
            port.power_up()
        self.ports[HOST].end = ENDS[2]
        self.words, self.connected, self.length = False, None, MESSAGE

    def reset(self) -> None:
        """`*RST`: the modules are spoken to with carriage returns, and have a second for what is sent to them."""
        for name, port in self.ports.items():
            port.end = port.end if name == HOST else ENDS[0]
            port.passes = False
            port.line["TMOT"] = LINE["TMOT"]
        self.words = False

    def look(self) -> None:
        """Give up what nobody took in time."""
        now = self._clock.now_ps()
        if sum(port.timed_out(now) for port in self.ports.values()):
            self._registers.fail(MainframeError(TIMED_OUT, executing=True))

    def name(self, text: bytes) -> str:
        """Return a port's name."""
        name = text.decode("latin-1").upper()
        if name not in NAMES or len(name) != 1:
            raise MainframeError(ILLEGAL_PORT if name else NULL)
        return name

    def remote(self, text: bytes) -> Port:
        """Return a port that is not the host's own."""
        if (name := self.name(text)) == HOST:
            raise MainframeError(PORT, executing=True)
        return self.ports[name]

    def say(self, number: int, words: tuple[str, ...]) -> str:
        """Return a token as it is to be answered."""
        return words[number] if self.words else str(number)

    # Bytes.

    def send(self, arguments: list[bytes], *, terminate: bool) -> None:
        """`SNDT`, `SEND`."""
        port = self.remote(arguments[0])
        port.send(parse_string(arguments[1]) + (port.end if terminate else b""), self._clock.now_ps())

    def broadcast(self, arguments: list[bytes], *, terminate: bool) -> None:
        """`BRDT`, `BRDC`."""
        data = parse_string(arguments[0])
        for name, port in self.ports.items():
            if self.listeners & BITS[name] and port.module is not None:
                port.send(data + (port.end if terminate else b""), self._clock.now_ps())

    def get(self, arguments: list[bytes]) -> bytes:
        """`GETN?`."""
        data = self.remote(arguments[0]).fetch(integer(arguments[1], 0, QUEUE), self._clock.now_ps())
        return f"#3{len(data):03d}".encode() + data + self.host_end

    def raw(self, arguments: list[bytes]) -> bytes:
        """`RAWN?`."""
        port, count, now = self.remote(arguments[0]), integer(arguments[1], 0, QUEUE), self._clock.now_ps()
        if len(port.waiting(now)) < count:
            raise MainframeError(FAILED, executing=True)
        return port.fetch(count, now)

    def waits(self) -> bool:
        """Return whether something has come on any port."""
        return any(port.waiting(self._clock.now_ps()) for port in self.ports.values())

    def done(self, arguments: list[bytes]) -> str:
        """`DONE?`."""
        now = self._clock.now_ps()
        if arguments:
            return str(int(self.remote(arguments[0]).unsent(now) == 0))
        return str(sum(BITS[name] for name, port in self.ports.items() if port.unsent(now) == 0))

    def present(self, arguments: list[bytes]) -> str:
        """`CTCR?`."""
        mask = sum(BITS[name] for name, port in self.ports.items() if port.module is not None or name in "ABCD")
        return str(int(bool(mask & BITS[self.name(arguments[0])])) if arguments else mask)

    # A transparent stream.

    def connect(self, arguments: list[bytes]) -> None:
        """`CONN`."""
        self.remote(arguments[0])
        self.connected, self._escape, self._tail = self.name(arguments[0]), parse_string(arguments[1]), b""

    def pass_on(self, data: bytes) -> bytes:
        """Take bytes for the module; return what stood behind the escape string."""
        port, now = self.ports[self.connected or NAMES[0]], self._clock.now_ps()
        data = self._tail + data
        passed, found, rest = data.partition(self._escape) if self._escape else (data, b"", b"")
        if found:
            self.connected, self._tail = None, b""
        else:  # the end may be the escape string's beginning
            keep = next((n for n in range(len(self._escape) - 1, 0, -1) if data.endswith(self._escape[:n])), 0)
            passed, self._tail = data[: len(data) - keep], data[len(data) - keep :]
        if passed:
            port.send(passed, now)
        return rest

    def unasked_due_ps(self) -> int | None:
        """Return when something is to be said unasked."""
        times = [port.complete_ps() for name, port in self.ports.items() if port.passes or name == self.connected]
        return min((time for time in times if time is not None), default=None)

    def unasked(self) -> bytes:
        """Return what came from the ports that pass it on, and from the one that the host is connected to."""
        now, out = self._clock.now_ps(), b""
        for name, port in self.ports.items():
            while (port.passes or name == self.connected) and (due := port.complete_ps()) is not None and due <= now:
                if name == self.connected:
                    out += port.fetch(QUEUE, now)
                    continue
                piece = port.fetch(self.length, now)
                digits = str(len(piece))
                out += f"MSG {name},#{len(digits)}{digits}".encode() + piece + self.host_end
        return out

    # Settings.

    def set_pass(self, arguments: list[bytes]) -> None:
        """`RPER [p,]i`."""
        if len(arguments) == 2:
            self.remote(arguments[0]).passes = bool(integer(arguments[1], 0, 1))
            return
        mask = integer(arguments[0], 0, 2**14 - 1)
        for name, port in self.ports.items():
            port.passes = bool(mask & BITS[name]) and name != HOST

    def passes(self, arguments: list[bytes]) -> str:
        """`RPER? [p]`."""
        if arguments:
            return str(int(self.remote(arguments[0]).passes))
        return str(sum(BITS[name] for name, port in self.ports.items() if port.passes))

    def set_line(self, what: str, arguments: list[bytes]) -> None:
        """Set a parameter of a port's line."""
        port = self.ports[self.name(arguments[0])]
        port.line[what] = token(arguments[1], WORDS[what]) if what in WORDS else integer(arguments[1], *LIMITS[what])

    def line(self, what: str, arguments: list[bytes]) -> str:
        """Return a parameter of a port's line."""
        value = self.ports[self.name(arguments[0])].line[what]
        return self.say(value, WORDS[what]) if what in WORDS else str(value)

    def set_end(self, arguments: list[bytes]) -> None:
        """`TERM p,z`."""
        self.ports[self.name(arguments[0])].end = ENDS[token(arguments[1], TERMINATORS)]

    def end(self, arguments: list[bytes]) -> str:
        """`TERM? p`."""
        return self.say(ENDS.index(self.ports[self.name(arguments[0])].end), TERMINATORS)

    def some(self, arguments: list[bytes]) -> list[Port]:
        """Return the port that is named, or all."""
        return [self.remote(arguments[0])] if arguments else list(self.ports.values())
