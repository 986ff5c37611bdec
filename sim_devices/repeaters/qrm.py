"""Twin of QRM, a repeater module with memory: the command table of protocol sheet 22, of which it is the reference.

Left out: purification (`DIST`, optional in the sheet).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.oscillator import Oscillator
from qlab.twin.scpi import Later, ScpiError, ScpiTwin, block, boolean, choice, command, integer, number, optional, query
from sim_devices.repeaters.qrm_clients import Clients
from sim_devices.repeaters.qrm_events import MOST_AT_ONCE, EventType
from sim_devices.repeaters.qrm_module import Module, device_error
from sim_devices.repeaters.qrm_parameters import Parameters
from sim_devices.repeaters.qrm_programme import Programme

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.physics.register import Axis
    from qlab.twin.bench import Bench
    from qlab.twin.scpi import Reply

__all__ = ["Parameters", "QRMTwin"]

TAI_AT_ZERO_S = 1_767_225_637
"""TAI seconds at 2026-01-01T00:00:00 UTC, where the lab's time begins."""
QUBIT, AXIS = integer(1, 255), choice("X", "Y", "Z")
DEEPEST = 8
FAULTS = {"clock_lost": 1, "too_warm": 2, "laser_unlocked": 0, "phase_lost": 0}
"""Device faults, with the flag that they set in event records."""
ATTEMPTING, STORED, SWAPPING, RUNNING, EVENTS, LOCKED = 1 << 4, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
TIME, TEMPERATURE, LASER, PHASE, POOR, DISCARDED, OVERFLOW, NO_PEER = (1 << bit for bit in (2, 4, 5, 6, 9, 10, 11, 12))
TOO_WARM_K = 20.0


class QRMTwin(Clients, ScpiTwin):
    """The module."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    error_queue_length = 32

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        self.module = Module(name, bench, parameters, self._local)
        self.programme = Programme(self.module)
        self._faults: set[str] = set()
        self._stored: dict[int, list[tuple[object, ...]]] = {}
        self._swap_until_ps = 0
        self._external = True
        self._synchronise(self.clock.now_ps())

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> QRMTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @classmethod
    def entanglement_links(cls, parameters: Parameters) -> Sequence[str]:
        """Return the links that the lab file's paths may begin at."""
        return [str(k) for k in range(1, parameters.links + 1)]

    def identify(self) -> str:
        """Answer `*IDN?`."""
        p = self._parameters
        return f"{p.maker},QRM-{p.qubits}Q,{p.serial},{p.firmware}"

    # Life.

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        self.module.now_ps()  # what was over before is done before
        return super()._scpi_call(header, tokens, arguments)

    def attach_alarm(self, look_again: Callable[[], None]) -> None:
        """Learn whom to tell that another module began to try."""
        for link in self.module.links.values():
            link.end.look_again = look_again

    def background_due_ps(self) -> int | None:
        """Return when something in the module will be over."""
        return self.module.due_ps()

    def background(self) -> None:
        """Do what is over."""
        self.module.now_ps()

    def on_reset(self) -> None:
        """Give up qubits, links and programme; clock and peers stay as they are."""
        self.programme.clear()
        self.module.reset()
        self._external = True
        self._ready()

    def reset_power(self) -> None:
        """Power was cycled: nothing is stored, and the clock is set anew."""
        super().reset_power()
        self._synchronise(self.clock.now_ps())

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        states: dict[str, object] = {f"qubit{n}": self.module.state(n) for n in self.module.slots}
        return states | {f"link{k}": self.module.link_state(link) for k, link in self.module.links.items()}

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Lose the clock, the laser's or the phase lock, or warm the cryostat up."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        now_ps = self.module.now_ps()
        fresh = active and name not in self._faults
        (self._faults.add if active else self._faults.discard)(name)
        self.module.flags = sum({FAULTS[each] for each in self._faults})
        if name == "clock_lost" and fresh:
            self.module.record(EventType.LOSS_OF_LOCK, now_ps)
        if fresh:
            for link in self.module.links.values():
                self.module.abort(link, kind=EventType.SYNC_FAIL if name == "clock_lost" else EventType.HERALD_FAIL)
        self._ready()

    def _ready(self) -> None:
        well = self._locked() and not self._faults.difference({"clock_lost"})
        for link in self.module.links.values():
            link.end.ready = link.enabled and well

    def refresh_status(self) -> None:
        """Bring the condition registers up to date."""
        m, now_ps = self.module, self.module.now_ps()
        pairs = [(slot, slot.pair) for slot in m.slots.values() if slot.pair is not None]
        poor = any(p.fidelity(now_ps, slot.t2_s) < m.links[p.link].least_fidelity for slot, p in pairs)
        alone = any(link.enabled and m.link_state(link) == "SYNC" for link in m.links.values())
        bits = {
            ATTEMPTING: any(link.end.burst is not None for link in m.links.values()),
            STORED: bool(pairs),
            SWAPPING: now_ps < self._swap_until_ps,
            RUNNING: self.programme.running,
            EVENTS: len(m.events) > 0,
            LOCKED: self._locked(),
        }
        self.status["OPERation"].set_condition(sum(bit for bit, on in bits.items() if on))
        bits = {
            TIME: not self._locked(),
            TEMPERATURE: "too_warm" in self._faults,
            LASER: "laser_unlocked" in self._faults,
            PHASE: "phase_lost" in self._faults,
            POOR: poor,
            DISCARDED: m.discarded,
            OVERFLOW: m.events.overflowed,
            NO_PEER: alone,
        }
        m.discarded = False  # a discarded pair is an event, not a state
        self.status["QUEStionable"].set_condition(sum(bit for bit, on in bits.items() if on))

    # Qubits.

    @query("QUBit#:STATe?")
    def _state(self, n: int) -> str:
        return self.module.state(n)

    @query("QUBit#:RELaxation?")
    def _relaxation(self, n: int) -> float:
        return self.module.slot(n).t1_s

    @query("QUBit#:COHerence?")
    def _coherence(self, n: int) -> float:
        return self.module.slot(n).t2_s

    @query("QUBit#:AGE?")
    def _age(self, n: int) -> float:
        return (self.clock.now_ps() - self.module.pair(n).heralded_ps) / PS_PER_S

    @query("QUBit#:FIDelity?")
    def _fidelity(self, n: int) -> float:
        return self.module.pair(n).fidelity(self.clock.now_ps(), self.module.slot(n).t2_s)

    @query("QUBit#:PAIR?")
    def _pair(self, n: int) -> str:
        p = self.module.pair(n)
        return f"{p.id},{p.bell},{p.link},{self._local(p.heralded_ps)},{p.attempts}"

    @command("QUBit#:INITialize")
    def _initialise(self, n: int) -> None:
        self.begin_operation(self.module.initialise(n))

    @command("QUBit#:ROTate", AXIS, integer(0, 2 ** (DEEPEST + 1) - 1), integer(0, DEEPEST))
    def _rotate(self, n: int, axis: Axis, numerator: int, depth: int) -> Reply:
        if numerator >= 2 ** (depth + 1):
            raise ScpiError(-222)
        return Later(self.module.rotate(n, axis, numerator * math.pi / 2**depth), lambda: None)

    @query("QUBit#:MEASure?", optional(AXIS, "Z"))
    def _measure(self, n: int, axis: Axis) -> Reply:
        told: list[int] = []
        seconds = self.module.measure(n, axis, lambda value, _: told.append(value), log=True)

        def reply() -> str:
            self.module.now_ps()
            if not told:
                raise ScpiError(-230)  # power or a reset came between
            return str(told[0])

        return Later(seconds, reply)

    @command("QUBit#:FREE")
    def _free(self, n: int) -> None:
        self.module.free(n)

    @command("GATE:CNOT", QUBIT, QUBIT)
    def _cnot(self, a: int, b: int) -> Reply:
        return self._gate("CNOT", a, b)

    @command("GATE:CZ", QUBIT, QUBIT)
    def _cz(self, a: int, b: int) -> Reply:
        return self._gate("CZ", a, b)

    @command("GATE:MOVE", QUBIT, QUBIT)
    def _move(self, a: int, b: int) -> Reply:
        return self._gate("MOVE", a, b)

    @command("GATE:SWAP", QUBIT, QUBIT)
    def _swap(self, a: int, b: int) -> Reply:
        return self._gate("SWAP", a, b)

    def _gate(self, gate: str, a: int, b: int) -> Reply:
        self._known(a, b)
        return Later(self.module.two_qubit(gate, a, b), lambda: None)

    def _known(self, *qubits: int) -> None:
        if not set(qubits) <= set(self.module.slots):
            raise ScpiError(-222)

    @command("ESWap", QUBIT, QUBIT)
    def _swap_entanglement(self, a: int, b: int) -> None:
        self._known(a, b)
        self.module.swapped = (0, 0, 0, 0)
        seconds = self.module.swap_entanglement(a, b)
        self._swap_until_ps = self.clock.now_ps() + round(seconds * PS_PER_S)
        self.begin_operation(seconds)

    @query("ESWap:RESult?")
    def _swapped(self) -> str:
        return ",".join(map(str, self.module.swapped))

    # Links.

    @query("LINK#:STATe?")
    def _link_state(self, k: int) -> str:
        return self.module.link_state(self.module.link(k))

    @query("LINK#:PEER?")
    def _peer(self, k: int) -> str:
        peer = self.module.link(k).end.peer
        return peer.node if peer is not None else ""

    @command("LINK#:ENABle", boolean)
    def _enable(self, k: int, on: bool) -> None:
        link = self.module.link(k)
        if not on:
            self.module.abort(link)
        link.enabled, link.outcome = on, ""
        self._ready()

    @query("LINK#:ENABle?")
    def _enabled(self, k: int) -> bool:
        return self.module.link(k).enabled

    @command("LINK#:TYPE", choice("K", "M"))
    def _type(self, k: int, kind: str) -> None:
        self.module.link(k).kind = kind

    @query("LINK#:TYPE?")
    def _type_query(self, k: int) -> str:
        return self.module.link(k).kind

    @command("LINK#:BASis", AXIS)
    def _basis(self, k: int, axis: Axis) -> None:
        self.module.link(k).basis = axis

    @query("LINK#:BASis?")
    def _basis_query(self, k: int) -> str:
        return self.module.link(k).basis

    @command("LINK#:ATTempt:MAXimum", integer(1, 2**31 - 1))
    def _most(self, k: int, count: int) -> None:
        self.module.link(k).most = count

    @query("LINK#:ATTempt:MAXimum?")
    def _most_query(self, k: int) -> int:
        return self.module.link(k).most

    @command("LINK#:ATTempt:WINDow", number(1e-9, 1e-3, units="S"))
    def _window(self, k: int, seconds: float) -> None:
        self.module.link(k).window_s = seconds

    @query("LINK#:ATTempt:WINDow?")
    def _window_query(self, k: int) -> float:
        return self.module.link(k).window_s

    @query("LINK#:ATTempt:RATE?")
    def _rate(self, k: int) -> float:
        return PS_PER_S / self.module.link(k).end.period_ps

    @query("LINK#:ATTempt:COUNt?")
    def _count(self, k: int) -> int:
        link = self.module.link(k)
        return link.counted + link.end.attempts(self.clock.now_ps())

    @command("LINK#:GENerate", optional(QUBIT, 1))
    def _generate(self, k: int, target: int) -> None:
        self._known(target)
        if self._faults.intersection(("laser_unlocked", "phase_lost")):
            raise device_error(108)
        if not self._locked():
            raise device_error(107)
        self.module.generate(self.module.link(k), target)

    @command("LINK#:ABORt")
    def _abort(self, k: int) -> None:
        self.module.abort(self.module.link(k))

    @query("LINK#:HERald?")
    def _herald(self, k: int) -> str:
        return ",".join(map(str, self.module.link(k).herald))

    @command("LINK#:CUToff", number(1e-6, math.inf, units="S"))
    def _cut_off(self, k: int, seconds: float) -> None:
        self.module.link(k).cut_off_s = seconds

    @query("LINK#:CUToff?")
    def _cut_off_query(self, k: int) -> float:
        return self.module.link(k).cut_off_s

    @command("LINK#:FMINimum", number(0.0, 1.0))
    def _least(self, k: int, fidelity: float) -> None:
        self.module.link(k).least_fidelity = fidelity

    @query("LINK#:FMINimum?")
    def _least_query(self, k: int) -> float:
        return self.module.link(k).least_fidelity

    # Time.

    def _locked(self) -> bool:
        return self._external and "clock_lost" not in self._faults

    def _synchronise(self, now_ps: int) -> None:
        """Begin a new epoch with the running second, and run with the reference or without."""
        whole_s = now_ps // PS_PER_S
        self._epoch_s = TAI_AT_ZERO_S + whole_s
        self._follow(now_ps, now_ps - whole_s * PS_PER_S)

    def _follow(self, now_ps: int, local_ps: int) -> None:
        """From now on count with the chosen source."""
        drift = 0.0 if self._external else self._parameters.internal_clock_error
        self._since_ps, self._oscillator = now_ps, Oscillator(local_ps, drift)

    def _local(self, t_ps: int) -> int:
        return max(self._oscillator.local(t_ps - self._since_ps), 0)

    @command("TIME:SOURce", choice("INTernal", "EXTernal"))
    def _source(self, source: str) -> None:
        now_ps = self.clock.now_ps()
        local_ps = self._local(now_ps)
        self._external = source == "EXT"
        self._follow(now_ps, local_ps)
        self._ready()

    @query("TIME:SOURce?")
    def _source_query(self) -> str:
        return "EXT" if self._external else "INT"

    @command("TIME:SYNC")
    def _sync(self) -> None:
        if not self._locked():
            raise device_error(107)
        self._synchronise(self.clock.now_ps())

    @query("TIME:EPOCh?")
    def _epoch(self) -> int:
        return self._epoch_s

    @query("TIME:NOW?")
    def _now(self) -> int:
        return self._local(self.clock.now_ps())

    @query("TIME:LOCK?")
    def _lock(self) -> bool:
        return self._locked()

    # Programme and events.

    @query("TICK:FREQuency?")
    def _tick(self) -> float:
        return self._parameters.tick_hz

    @command("TICK:PROGram", block)
    def _programme(self, data: bytes) -> None:
        self.programme.load(data)

    @command("TICK:RUN")
    def _run(self) -> None:
        self.programme.run()

    @command("TICK:STOP")
    def _stop(self) -> None:
        self.programme.stop()

    @query("TICK:STATe?")
    def _tick_state(self) -> str:
        return f"{'RUN' if self.programme.running else 'STOP'},{self.programme.counter}"

    @query("EVENt:COUNt?")
    def _event_count(self) -> int:
        return len(self.module.events)

    @query("EVENt:DATA?", optional(integer(1, 2**31 - 1), 100))
    def _event_data(self, count: int) -> bytes:
        if count > MOST_AT_ONCE:
            raise ScpiError(-222)
        return self.module.events.take(count)

    @command("EVENt:CLEar")
    def _event_clear(self) -> None:
        self.module.events.clear()

    @query("EVENt:OVERflow?")
    def _event_overflow(self) -> bool:
        return self.module.events.overflowed

    # Housekeeping.

    @query("*OPT?")
    def _options(self) -> str:
        p = self._parameters
        return f"QUB{p.qubits},LNK{p.links},TICK{p.tick_hz / 1e3:.0f}K"

    @command("*SAV", integer(0, 9))
    def _save(self, place: int) -> None:
        fields = [
            (x.enabled, x.kind, x.basis, x.most, x.window_s, x.cut_off_s, x.least_fidelity)
            for x in self.module.links.values()
        ]
        self._stored[place] = list(fields)

    @command("*RCL", integer(0, 9))
    def _recall(self, place: int) -> None:
        if place not in self._stored:
            raise ScpiError(-221)
        for link, fields in zip(self.module.links.values(), self._stored[place], strict=True):
            self.module.abort(link)
            for name, value in zip(
                ("enabled", "kind", "basis", "most", "window_s", "cut_off_s", "least_fidelity"), fields, strict=True
            ):
                setattr(link, name, value)
        self._ready()

    @query("CRYO:TEMPerature?")
    def _temperature(self) -> float:
        return TOO_WARM_K if "too_warm" in self._faults else self._parameters.temperature_k

    @query("LASer#:LOCK?")
    def _laser_lock(self, k: int) -> bool:
        self.module.link(k)
        return "laser_unlocked" not in self._faults

    @query("LASer#:POWer?")
    def _laser_power(self, k: int) -> float:
        self.module.link(k)
        return self._parameters.laser_power_w

    @query("PHASe:LOCK?")
    def _phase_lock(self) -> bool:
        return "phase_lost" not in self._faults
