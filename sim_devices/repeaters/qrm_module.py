"""The hardware of a repeater module's twin: qubits, operations that take their time, links that herald.

Everything happens at its own picosecond, in the order of time, whenever somebody looks: `advance` does what is over.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from qlab.clock import PS_PER_S
from qlab.physics.register import CNOT, CZ, rotation
from qlab.twin.scpi import ScpiError
from sim_devices.repeaters.qrm_events import FAILED, Event, EventFifo, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.physics.midpoint import LinkEnd, Result
    from qlab.physics.register import Axis
    from qlab.twin.bench import Bench
    from sim_devices.repeaters.qrm_parameters import Parameters

__all__ = ["Link", "Module", "Pair", "device_error"]

ERRORS = {
    101: "Qubit not initialised",
    102: "Qubit busy",
    103: "No pair on qubit",
    104: "Link not ready",
    105: "Pair expired",
    106: "Event overflow",
    107: "Clock not locked",
    108: "Environment out of range",
    109: "Peer not synchronised",
    110: "Illegal programme",
    111: "Locked by another controller",
}
FOREVER = 2**62
TWO_QUBIT = {"CNOT": CNOT, "CZ": CZ}
Done: TypeAlias = "Callable[[int], None]"
"""Told when an operation is over, with the lab time."""
Heard: TypeAlias = "Callable[[int, int | None, int], None]"
"""Told how a burst ended: lab time, Bell label or None, what was measured."""


def device_error(code: int) -> ScpiError:
    """Return one of the module's own errors."""
    return ScpiError(code, ERRORS[code])


@dataclass(frozen=True, slots=True)
class Pair:
    """Half of an entangled pair, as the module knows it; times are the lab's."""

    id: int
    bell: int
    link: int
    attempts: int
    heralded_ps: int
    since_ps: int
    f0: float

    def fidelity(self, t_ps: int, t2_s: float) -> float:
        """Return what the module takes for the fidelity: both ends' memories taken to be alike."""
        return 0.25 + (self.f0 - 0.25) * math.exp(-(t_ps - self.since_ps) / PS_PER_S / (t2_s / 2.0))


@dataclass(slots=True)
class Slot:
    """One qubit."""

    number: int
    t1_s: float
    t2_s: float
    state: str = "UNIN"
    pair: Pair | None = None
    expired: bool = False
    busy: bool = False


@dataclass(slots=True)
class Link:
    """One entanglement link and its settings."""

    number: int
    end: LinkEnd
    enabled: bool = False
    kind: str = "K"
    basis: Axis = "Z"
    most: int = 1_000_000
    window_s: float = 1e-6
    cut_off_s: float = math.inf
    least_fidelity: float = 0.0
    outcome: str = ""
    """HER or FAIL after a burst, OVER where one was broken off."""
    target: int = 1
    counted: int = 0
    heard: Heard | None = None
    """Who is told instead of the events' reader."""
    herald: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)


@dataclass(order=True, slots=True)
class _Job:
    due_ps: int
    turn: int
    do: Callable[[int], None] = field(compare=False)


class Module:
    """Qubits, links, events.

    Parameters
    ----------
    name, bench, parameters:
        Of the twin.
    local:
        Turns the lab's time into that of the module's records.
    """

    def __init__(self, name: str, bench: Bench, parameters: Parameters, local: Callable[[int], int]) -> None:
        p = self.parameters = parameters
        self._bench = bench
        self._local = local
        self.events = EventFifo()
        self.slots: dict[int, Slot] = {}
        for n in range(1, p.qubits + 1):
            t1_s, t2_s = (p.t1_s, p.t2_s) if n == 1 else (p.storage_t1_s, p.storage_t2_s)
            self.slots[n] = Slot(bench.qubit(name, n, t1_s, t2_s), t1_s, t2_s)
        self.links: dict[int, Link] = {}
        for k in range(1, p.links + 1):
            end = bench.entanglement_link(name, k)
            end.emission_probability = p.emission_probability
            end.tick_ps, end.gate_ps = round(PS_PER_S / p.tick_hz), round(p.attempt_s * PS_PER_S)
            self.links[k] = Link(k, end)
        self.flags = 0
        self._jobs: list[_Job] = []
        self._turns = itertools.count()
        self._at_ps: int | None = None
        self.swapped = (0, 0, 0, 0)
        """The last swap: success, Bell outcome, identities of the pairs left and right."""
        self.discarded = False

    # Time.

    def now_ps(self) -> int:
        """Return the lab's time, with everything done that was over before it."""
        now_ps = self._bench.clock.now_ps()
        self.advance(now_ps)
        return now_ps

    def present_ps(self) -> int:
        """Return the time of what is being done: now, or when it was over."""
        return self._bench.clock.now_ps() if self._at_ps is None else self._at_ps

    def advance(self, now_ps: int) -> None:
        """Do what is over."""
        while True:
            for link in self.links.values():
                result = link.end.poll(now_ps)
                if result is not None:
                    self.schedule(result.t_ps, lambda t, link=link, result=result: self._heard(link, result, t))  # type: ignore[misc]
            due_ps, number = min(((self._expires_ps(n), n) for n in self.slots), default=(FOREVER, 0))
            first = self._jobs[0].due_ps if self._jobs else FOREVER
            if min(first, due_ps) > now_ps:
                return
            if first <= due_ps:
                job = heapq.heappop(self._jobs)
                self._at_ps = job.due_ps
                job.do(job.due_ps)
            else:
                self._cut_off(number, due_ps)
            self._at_ps = None

    def due_ps(self) -> int | None:
        """Return when something will be over."""
        now_ps = self._bench.clock.now_ps()
        dues = [link.end.due_ps(now_ps) for link in self.links.values()]
        dues += [self._jobs[0].due_ps if self._jobs else None, *(self._expires_ps(n) for n in self.slots)]
        due = min((each for each in dues if each is not None), default=FOREVER)
        return due if due < FOREVER else None

    def schedule(self, due_ps: int, do: Callable[[int], None]) -> None:
        """Do something at a lab time."""
        heapq.heappush(self._jobs, _Job(due_ps, next(self._turns), do))

    def record(self, kind: EventType, t_ps: int, **fields: int | float) -> None:
        """Write an event."""
        self.events.push(Event(kind, self._local(t_ps), flags=self.flags, **fields))  # type: ignore[arg-type]

    # Qubits.

    def slot(self, n: int) -> Slot:
        """Return a qubit; -114 where there is none."""
        if n not in self.slots:
            raise ScpiError(-114)
        return self.slots[n]

    def state(self, n: int) -> str:
        """Return a qubit's state word."""
        slot = self.slot(n)
        return "BUSY" if slot.busy else slot.state

    def pair(self, n: int) -> Pair:
        """Return the pair on a qubit; 103 or 105 where there is none."""
        slot = self.slot(n)
        if slot.pair is None:
            raise device_error(105 if slot.expired else 103)
        return slot.pair

    def occupy(self, qubits: Sequence[int], *, initialised: bool = True) -> None:
        """See that an operation is possible, and begin it."""
        for n in qubits:
            if self.slot(n).busy:
                raise device_error(102)
            if initialised and self.slots[n].state == "UNIN":
                raise device_error(105 if self.slots[n].expired else 101)
        if self.flags & 2:
            raise device_error(108)
        for n in qubits:
            self.slots[n].busy = True

    def operate(self, qubits: Sequence[int], seconds: float, effect: Callable[[int], None]) -> None:
        """Keep qubits busy and carry the effect out at the end."""

        def finish(t_ps: int) -> None:
            for n in qubits:
                self.slots[n].busy = False
            effect(t_ps)

        self.schedule(self.present_ps() + round(seconds * PS_PER_S), finish)

    def initialise(self, n: int, then: Done | None = None) -> float:
        """Prepare |0>; return how long it takes."""
        self.occupy([n], initialised=False)

        def effect(t_ps: int) -> None:
            self._clear(n, "IDLE")
            self._bench.register.reset(self.slots[n].number, t_ps, self.parameters.init_error)
            self._tell(then, t_ps, EventType.INIT, qubit=n)

        self.operate([n], self.parameters.init_s, effect)
        return self.parameters.init_s

    def rotate(self, n: int, axis: Axis, angle_rad: float, then: Done | None = None) -> float:
        """Rotate; return how long it takes."""
        self.occupy([n])

        def effect(t_ps: int) -> None:
            # average infidelity e of a depolarising channel: p = e d/(d - 1), d = 2
            self._bench.register.apply(
                rotation(axis, angle_rad), (self.slots[n].number,), t_ps, 2.0 * self.parameters.gate_error
            )
            self._use([n])
            self._tell(then, t_ps, EventType.GATE, qubit=n)

        self.operate([n], self.parameters.gate_s, effect)
        return self.parameters.gate_s

    def two_qubit(self, gate: str, a: int, b: int, then: Done | None = None) -> float:
        """Carry out CNOT, CZ, MOVE or SWAP; return how long it takes."""
        if a == b:
            raise ScpiError(-221)
        self.occupy([a])
        try:
            self.occupy([b], initialised=gate != "MOVE")
        except ScpiError:
            self.slots[a].busy = False
            raise

        def effect(t_ps: int) -> None:
            numbers = (self.slots[a].number, self.slots[b].number)
            lost = self.parameters.two_qubit_error * 4.0 / 3.0
            if gate in TWO_QUBIT:
                self._bench.register.apply(TWO_QUBIT[gate], numbers, t_ps, lost)
                self._use([a, b])
                self._tell(then, t_ps, EventType.GATE, qubit=a)
                return
            self._bench.register.exchange(*numbers, t_ps, lost)
            left, right = self.slots[a], self.slots[b]
            left.state, right.state = right.state, left.state
            left.pair, right.pair = self._moved(right, t_ps), self._moved(left, t_ps)
            if gate == "MOVE":
                self._bench.register.forget(numbers[0], t_ps)
                self._clear(a, "UNIN")
            self._tell(then, t_ps, EventType.MOVE, qubit=a, pair_id=right.pair.id if right.pair else 0)

        self.operate([a, b], self.parameters.two_qubit_s, effect)
        return self.parameters.two_qubit_s

    def measure(
        self,
        n: int,
        axis: Axis,
        tell: Callable[[int, int], None],
        turn: tuple[Axis, float] | None = None,
        *,
        log: bool = False,
    ) -> float:
        """Measure, after a rotation if there is one, and tell outcome and time; return how long it takes."""
        self.occupy([n])

        def effect(t_ps: int) -> None:
            if turn is not None:
                self._bench.register.apply(
                    rotation(*turn), (self.slots[n].number,), t_ps, 2.0 * self.parameters.gate_error
                )
            tell(self._read(n, axis, t_ps, log=log), t_ps)

        self.operate([n], self.parameters.measure_s, effect)
        return self.parameters.measure_s

    def free(self, n: int) -> None:
        """Give a qubit up; a burst that uses it ends."""
        for link in self.links.values():
            if n == 1 and link.end.burst is not None:
                self.abort(link)
        if self.slot(n).busy:
            raise device_error(102)
        self._bench.register.forget(self.slots[n].number, self._bench.clock.now_ps())
        self._clear(n, "UNIN")

    def swap_entanglement(self, a: int, b: int, then: Done | None = None) -> float:
        """Measure two halves in the Bell basis: a CNOT, and both qubits read; return how long it takes."""
        if a == b:
            raise ScpiError(-221)
        pairs = self.pair(a), self.pair(b)
        self.occupy([a, b])
        p = self.parameters

        def effect(t_ps: int) -> None:
            numbers = (self.slots[a].number, self.slots[b].number)
            self._bench.register.apply(CNOT, numbers, t_ps, p.two_qubit_error * 4.0 / 3.0)
            phase = self._bench.register.measure(numbers[0], "X", t_ps, p.measure_error)
            parity = self._bench.register.measure(numbers[1], "Z", t_ps, p.measure_error)
            bell = 2 * parity + phase
            self._clear(a, "UNIN")
            self._clear(b, "UNIN")
            self.swapped = (1, bell, pairs[0].id, pairs[1].id)
            self._tell(then, t_ps, EventType.SWAP, outcome=bell, qubit=a, pair_id=pairs[0].id)

        seconds = p.two_qubit_s + p.measure_s
        self.operate([a, b], seconds, effect)
        return seconds

    # Links.

    def link(self, k: int) -> Link:
        """Return a link; -114 where there is none."""
        if k not in self.links:
            raise ScpiError(-114)
        return self.links[k]

    def link_state(self, link: Link) -> str:
        """Return a link's state word."""
        if not link.enabled:
            return "OFF"
        if link.end.burst is not None:
            return "ATT"
        if not link.end.ready or link.end.peer is None or not link.end.peer.ready:
            return "SYNC"
        return link.outcome or "READ"

    def generate(self, link: Link, target: int, *, most: int | None = None, heard: Heard | None = None) -> None:
        """Begin a burst of attempts on the communication qubit."""
        self.slot(target)
        if not link.enabled or link.end.burst is not None:
            raise device_error(104)
        if self.flags & 1:
            raise device_error(107)
        if link.end.peer is None or not link.end.peer.ready:
            raise device_error(109)
        if self.slots[1].state in ("ENT", "USED") or self.slots[target].state in ("ENT", "USED"):
            raise ScpiError(-221)
        self.occupy([1], initialised=False)
        link.target, link.outcome, link.heard = target, "", heard
        self._clear(1, "UNIN")
        link.end.window_ps = round(link.window_s * PS_PER_S)
        link.end.begin(self.slots[1].number, self.present_ps(), most or link.most)

    def abort(self, link: Link, *, kind: EventType = EventType.HERALD_FAIL) -> None:
        """Break a burst off."""
        now_ps = self._bench.clock.now_ps()
        if link.end.burst is None:
            return
        attempts = link.end.attempts(now_ps)
        link.end.end(now_ps)
        link.counted += attempts
        link.outcome = "FAIL"
        link.herald = (0, 0, 0, attempts, self._local(now_ps))
        self.slots[1].busy = False
        self._bench.register.forget(self.slots[1].number, now_ps)
        self.record(kind, now_ps, outcome=FAILED, qubit=1, link=link.number, attempts=attempts)

    def _heard(self, link: Link, result: Result, t_ps: int) -> None:
        self.slots[1].busy = False
        link.counted += result.attempts
        bell = FAILED if result.bell is None else result.bell
        link.herald = (int(result.bell is not None), bell, result.pair_id, result.attempts, self._local(t_ps))
        link.outcome = "FAIL" if result.bell is None else "HER"
        told = {"qubit": 1, "link": link.number, "attempts": result.attempts, "pair_id": result.pair_id}
        if result.bell is None:
            if link.heard is None:
                self.record(EventType.HERALD_FAIL, t_ps, outcome=FAILED, **told)
            else:
                link.heard(t_ps, None, 0)
            return
        f0 = self.parameters.model_fidelity
        pair = Pair(result.pair_id, result.bell, link.number, result.attempts, t_ps, result.emitted_ps, f0)
        slot = self.slots[1]
        slot.state, slot.pair, slot.expired = "ENT", pair, False
        if link.heard is not None:
            value = self._read(1, link.basis, t_ps, log=False) if link.kind == "M" else 0
            link.heard(t_ps, result.bell, value)
            return
        self.record(EventType.HERALD, t_ps, outcome=bell, fidelity=pair.fidelity(t_ps, slot.t2_s), **told)
        if link.kind == "M":
            self._read(1, link.basis, t_ps)
        elif link.target != 1 and not self.slots[link.target].busy:
            self.two_qubit("MOVE", 1, link.target)

    # Inside.

    def _tell(self, then: Done | None, t_ps: int, kind: EventType, **fields: int) -> None:
        """Write an event, or leave that to a programme."""
        if then is not None:
            then(t_ps)
        else:
            self.record(kind, t_ps, **fields)

    def _read(self, n: int, axis: Axis, t_ps: int, *, log: bool = True) -> int:
        pair = self.slots[n].pair
        outcome = self._bench.register.measure(self.slots[n].number, axis, t_ps, self.parameters.measure_error)
        self._clear(n, "UNIN")
        if log:
            self.record(EventType.MEAS, t_ps, outcome=outcome, qubit=n, pair_id=pair.id if pair is not None else 0)
        return outcome

    def _clear(self, n: int, state: str) -> None:
        slot = self.slots[n]
        slot.state, slot.pair, slot.expired = state, None, False

    def _use(self, qubits: Sequence[int]) -> None:
        for n in qubits:
            if self.slots[n].state == "IDLE":
                self.slots[n].state = "USED"

    def _moved(self, slot: Slot, t_ps: int) -> Pair | None:
        """Return a pair that goes to another qubit, with the fidelity that is left."""
        p = slot.pair
        if p is None:
            return None
        return Pair(p.id, p.bell, p.link, p.attempts, p.heralded_ps, t_ps, p.fidelity(t_ps, slot.t2_s))

    def _expires_ps(self, n: int) -> int:
        slot = self.slots[n]
        if slot.pair is None or slot.busy or not math.isfinite(self.links[slot.pair.link].cut_off_s):
            return FOREVER
        return slot.pair.heralded_ps + round(self.links[slot.pair.link].cut_off_s * PS_PER_S)

    def _cut_off(self, n: int, t_ps: int) -> None:
        slot = self.slots[n]
        if slot.pair is not None:
            told = {"qubit": n, "link": slot.pair.link, "pair_id": slot.pair.id, "attempts": slot.pair.attempts}
            self.record(EventType.CUTOFF, t_ps, fidelity=slot.pair.fidelity(t_ps, slot.t2_s), **told)
        self._bench.register.forget(slot.number, t_ps)
        self._clear(n, "UNIN")
        slot.expired = self.discarded = True

    def reset(self) -> None:
        """Give everything up."""
        now_ps = self._bench.clock.now_ps()
        self._jobs.clear()
        for link in self.links.values():
            link.end.end(now_ps)
            link.end.ready = False
            self.links[link.number] = Link(link.number, link.end)
        for n, slot in self.slots.items():
            slot.busy = False
            self._bench.register.forget(slot.number, now_ps)
            self._clear(n, "UNIN")
        self.events.clear()
        self.discarded = False
        self.swapped = (0, 0, 0, 0)
