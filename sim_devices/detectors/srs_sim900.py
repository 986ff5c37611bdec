"""Twin of the SRS SIM900 mainframe with bias modules in its slots.  Written from protocol sheet 07."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.nanowire import Nanowire
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from sim_devices.detectors.nanowire_channel import NanowireChannel
from sim_devices.detectors.quantum_opus import QuantumOpusModule
from sim_devices.detectors.sim900_modules import Sim928Module
from sim_devices.detectors.sim900_slot import QUEUE, SlotQueue, parse_string, split_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["SIM900Twin"]

ENDS = {"0": b"\r", "1": b"\n", "2": b"\r\n", "3": b"\n\r", "4": b""}
ENDS |= {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "LFCR": b"\n\r", "NONE": b""}
ANSWER_PS = PS_PER_S // 20  # [V2] a module's answer takes up to 100 ms
PORTS = "12345678 9ABCD".replace(" ", "")
COMMAND = re.compile(r"(\*?[A-Za-z]+\??)\s*(.*)", re.DOTALL)
NUMBERS = {"BAUD": "9600", "FLOW": "1", "PARI": "0", "WORD": "8", "SBIT": "1", "RPER": "0", "TMOT": "1000"}
PLAIN = {"BRER": "510", "MSGL": "64", "PLLC": "0", "TOKN": "0", "*ESE": "0", "*SRE": "0", "*PSC": "1"}
FIXED = {"TBIN?": "10", "LOCK?": "0", "VMON?": "15.0", "IMON?": "0.5", "PMON?": "7.5", "*OPC?": "1", "*TST?": "0"}


class Parameters(BaseModel):
    """The `twin:` section: what sits in the slots, and the nanowires on it."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "000112"
    slots: dict[Annotated[int, Field(ge=1, le=8)], Literal["sim928", "qoamp"]] = Field(
        {1: "sim928"}, description="module by slot, 1 to 8"
    )
    switching_ua: float = Field(20.0, gt=0, description="[INF] 10 to 30 uA")
    efficiency: float = Field(0.85, ge=0, le=1)
    dark_rate_hz: float = Field(1000.0, ge=0, description="at the switching current")
    jitter_fwhm_ps: float = Field(50.0, ge=0, description="at the switching current")
    dead_time_ns: float = Field(40.0, ge=0)


class SIM900Twin:
    """The mainframe: no chaining, tokens as integers, silence for sets."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._clock = bench.clock
        self._parameters = p = parameters
        wire = Nanowire(switching_ua=p.switching_ua, efficiency=p.efficiency, dark_rate_hz=p.dark_rate_hz)
        self.slots: dict[int, SlotQueue] = {}
        for slot, kind in p.slots.items():
            channel = NanowireChannel(bench, name, str(slot), wire)
            serial = f"{3000 + slot:06d}"
            amplifier = kind == "qoamp"
            module = QuantumOpusModule(channel, bench.clock, serial) if amplifier else Sim928Module(channel, serial)
            self.slots[slot] = SlotQueue(module)
        self._connected: int | None = None
        self._esr = self._lexe = self._lcme = 0
        self._escape = b""
        self._defaults()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> SIM900Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @staticmethod
    def detector_channels(parameters: Parameters) -> Sequence[str]:
        """Return the slots, each of which biases a nanowire."""
        return [str(slot) for slot in parameters.slots]

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return Dialogue(self, LineFramer(b"\r\n"), self._clock)

    def reset_power(self) -> None:
        """Power was cycled: modules come back as they do."""
        self._defaults()
        for slot in self.slots.values():
            slot.end, slot.coming = b"\n", []
            slot.module.lose_power()

    def device_fault(self, name: str, *, active: bool = True, slot: int = 1) -> None:
        """Latch the nanowire on a slot (nothing but zero bias ends that)."""
        if name != "latch" or slot not in self.slots:
            msg = f"{self._name}: unknown device fault {name!r} of slot {slot}; expected latch of a slot with a module"
            raise TwinError(msg)
        if active:
            self.slots[slot].module.channel.latch()

    def peek(self) -> dict[str, object]:
        """Return what the nanowires are at."""
        channels = {n: slot.module.channel for n, slot in self.slots.items()}
        return {f"slot_{n}": {"bias_ua": c.bias_ua, "latched": c.latched} for n, c in channels.items()}

    def answer(self, message: bytes) -> Script:
        """Carry out one line; what it does not know sets a bit, and nothing is said."""
        text = message.decode("latin-1")
        if self._connected is not None:
            yield self._through(message)
            return
        found = COMMAND.match(text.strip())
        reply = self._carry_out(found[1].upper(), split_arguments(found[2])) if found is not None else None
        if found is None:
            self._lcme, self._esr = 1, self._esr | 0x20
        if isinstance(reply, bytes):
            yield reply
        elif reply is not None:
            yield reply.encode("latin-1") + self._host_end

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Say nothing: mistakes set bits."""
        del message, kind, text
        self._esr |= 0x10
        return b""

    def _defaults(self) -> None:
        self._host_end = b"\r\n"
        self._kept: dict[tuple[str, str], str] = {}
        self._esr, self._lexe, self._lcme = 0x80, 0, 0
        self._connected = None

    def _carry_out(self, word: str, arguments: list[bytes]) -> str | bytes | None:
        method: Callable[[list[bytes]], str | bytes | None] | None = {
            "*IDN?": lambda _: f"Stanford Research Systems,SIM900,s/n{self._parameters.serial},ver3.4",
            "*RST": self._reset,
            "*CLS": lambda _: self._clear(),
            "*ESR?": lambda _: self._take("_esr"),
            "*STB?": lambda _: str(0x08 | (0x20 if self._esr & int(self._kept.get(("*ESE", ""), "0")) else 0)),
            "LEXE?": lambda _: self._take("_lexe"),
            "LCME?": lambda _: self._take("_lcme"),
            "TICK?": lambda _: str(self._clock.now_ps() // (PS_PER_S // 20)),
            "ECHO?": lambda a: parse_string(a[0]).decode("latin-1"),
            "CTCR?": self._present,
            "SNDT": lambda a: self._send(a, terminate=True),
            "SEND": lambda a: self._send(a, terminate=False),
            "BRDT": lambda a: self._broadcast(a, terminate=True),
            "BRDC": lambda a: self._broadcast(a, terminate=False),
            "CONN": self._connect_through,
            "GETN?": self._get,
            "RAWN?": self._raw,
            "NINP?": lambda a: str(len(self._slot(a[0]).waiting(self._clock.now_ps()))),
            "NOUT?": lambda a: str(0 * len(self._slot(a[0]).coming)),
            "AINP?": lambda a: str(QUEUE - len(self._slot(a[0]).waiting(self._clock.now_ps()))),
            "AOUT?": lambda a: str(QUEUE + 0 * len(self._slot(a[0]).coming)),
            "DONE?": lambda a: "1" if a else "511",
            "TERM": self._set_end,
            "TERM?": self._end_query,
            "FLSH": lambda _: self._flush([]),
            "FLSI": self._flush,
            "FLSO": lambda _: None,
            "FLOQ": lambda _: None,
            "SRST": self._break,
            "*WAI": lambda _: None,
            "*OPC": lambda _: None,
        }.get(word)
        try:
            if method is not None:
                return method(arguments)
            return self._setting(word, arguments)
        except IndexError:
            self._lcme, self._esr = 7, self._esr | 0x20
        except (ValueError, KeyError):
            self._lexe, self._esr = 1, self._esr | 0x10
        return None

    def _setting(self, word: str, arguments: list[bytes]) -> str | None:
        """Keep or tell a parameter of a port or of the mainframe."""
        name, asks = word.removesuffix("?"), word.endswith("?")
        if word in FIXED:
            return FIXED[word]
        if name in NUMBERS or name in PLAIN:
            port = arguments.pop(0).decode().upper() if name in NUMBERS else ""
            if name in NUMBERS and port not in PORTS:
                raise ValueError(port)
            if asks:
                return self._kept.get((name, port), NUMBERS.get(name) or PLAIN.get(name))
            self._kept[name, port] = arguments[0].decode("latin-1").strip()
            return None
        self._lcme, self._esr = 3, self._esr | 0x20
        return None

    def _slot(self, port: bytes) -> SlotQueue:
        return self.slots[int(port)]

    def _give(self, slot: SlotQueue, data: bytes) -> None:
        said = slot.module.take(data)
        if said:
            slot.coming.append((self._clock.now_ps() + ANSWER_PS, said))

    def _send(self, arguments: list[bytes], *, terminate: bool) -> None:
        slot, data = self._slot(arguments[0]), parse_string(arguments[1])
        self._give(slot, data + (slot.end if terminate else b""))

    def _broadcast(self, arguments: list[bytes], *, terminate: bool) -> None:
        mask = int(self._kept.get(("BRER", ""), PLAIN["BRER"]))
        for number, slot in self.slots.items():
            if mask >> number & 1:
                self._give(slot, parse_string(arguments[0]) + (slot.end if terminate else b""))

    def _connect_through(self, arguments: list[bytes]) -> None:
        self._slot(arguments[0])
        self._connected, self._escape = int(arguments[0]), parse_string(arguments[1])

    def _through(self, message: bytes) -> bytes:
        """Pass a line to the module that the host is connected to, until the escape string."""
        slot = self.slots[self._connected or 0]
        if self._escape and self._escape in message:
            self._connected = None
            return b""
        return slot.module.take(message + slot.end)

    def _get(self, arguments: list[bytes]) -> bytes:
        data = self._slot(arguments[0]).fetch(max(int(arguments[1]), 0), self._clock.now_ps())
        return f"#3{len(data):03d}".encode() + data + self._host_end

    def _raw(self, arguments: list[bytes]) -> bytes | None:
        slot, count, now = self._slot(arguments[0]), int(arguments[1]), self._clock.now_ps()
        if len(slot.waiting(now)) < count:
            self._lexe, self._esr = 3, self._esr | 0x10
            return None
        return slot.fetch(count, now)

    def _present(self, arguments: list[bytes]) -> str:
        mask = sum(1 << number for number in self.slots) | 0b11_1100_0000_0000
        return str(mask >> int(arguments[0]) & 1 if arguments else mask)

    def _set_end(self, arguments: list[bytes]) -> None:
        port, end = arguments[0].decode().upper(), ENDS[arguments[1].decode().upper()]
        if port == "D":
            self._host_end = end or self._host_end
        else:
            self._slot(arguments[0]).end = end

    def _end_query(self, arguments: list[bytes]) -> str:
        end = self._host_end if arguments[0].upper() == b"D" else self._slot(arguments[0]).end
        return next(number for number, value in ENDS.items() if value == end)

    def _flush(self, arguments: list[bytes]) -> None:
        for number, slot in self.slots.items():
            if not arguments or int(arguments[0]) == number:
                slot.coming = []

    def _break(self, arguments: list[bytes]) -> None:
        for number, slot in self.slots.items():
            if not arguments or int(arguments[0]) == number:
                slot.coming = []
                slot.module.clear()

    def _reset(self, _: list[bytes]) -> None:
        self._kept.clear()
        for slot in self.slots.values():
            slot.end = b"\r"

    def _clear(self) -> None:
        self._esr = self._lexe = self._lcme = 0

    def _take(self, register: str) -> str:
        value: int = getattr(self, register)
        setattr(self, register, 0)
        return str(value)
