"""Operations on a repeater module's qubits: each takes its time, keeps its qubits busy, and leaves an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.register import CNOT, CZ, rotation
from qlab.twin.scpi import ScpiError
from sim_devices.repeaters.qrm_agenda import Agenda
from sim_devices.repeaters.qrm_events import TEMPERATURE_FAULT, Event, EventFifo, EventType
from sim_devices.repeaters.qrm_slots import Pair, Slot, device_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qlab.physics.register import Axis
    from qlab.twin.bench import Bench
    from sim_devices.repeaters.qrm_parameters import Parameters
    from sim_devices.repeaters.qrm_slots import Done

__all__ = ["Qubits"]

TWO_QUBIT = {"CNOT": CNOT, "CZ": CZ}


class Qubits(Agenda):
    """Qubits and events.

    Parameters
    ----------
    name, bench, parameters:
        Of the twin.
    local:
        Turns the lab's time into that of the module's records.
    """

    def __init__(self, name: str, bench: Bench, parameters: Parameters, local: Callable[[int], int]) -> None:
        super().__init__(bench.clock)
        p = self.parameters = parameters
        self._local = local
        self._register = bench.register
        self.events = EventFifo()
        self.flags = 0
        self.swapped = (0, 0, 0, 0)
        """The last swap: success, Bell outcome, identities of the pairs left and right."""
        self.slots: dict[int, Slot] = {}
        for n in range(1, p.qubits + 1):
            t1_s, t2_s = (p.t1_s, p.t2_s) if n == 1 else (p.storage_t1_s, p.storage_t2_s)
            self.slots[n] = Slot(bench.qubit(name, n, t1_s, t2_s), t1_s, t2_s)

    def record(self, kind: EventType, t_ps: int, **fields: int | float) -> None:
        """Write an event."""
        self.events.push(Event(kind, self._local(t_ps), flags=self.flags, **fields))  # type: ignore[arg-type]

    def slot(self, n: int) -> Slot:
        """Return a qubit; -114 where there is none."""
        if n not in self.slots:
            raise ScpiError(-114)
        return self.slots[n]

    def state(self, n: int) -> str:
        """Return a qubit's state word."""
        slot = self.slot(n)
        return "BUSY" if slot.busy else "FAUL" if self.flags & TEMPERATURE_FAULT else slot.state

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
        if self.flags & TEMPERATURE_FAULT:
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
            self._register.reset(self.slots[n].number, t_ps, self.parameters.init_error)
            self._tell(then, t_ps, EventType.INIT, qubit=n)

        self.operate([n], self.parameters.init_s, effect)
        return self.parameters.init_s

    def rotate(self, n: int, axis: Axis, angle_rad: float, then: Done | None = None) -> float:
        """Rotate; return how long it takes."""
        self.occupy([n])

        def effect(t_ps: int) -> None:
            # average infidelity e of a depolarising channel: p = e d/(d - 1), d = 2
            self._register.apply(
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
                self._register.apply(TWO_QUBIT[gate], numbers, t_ps, lost)
                self._use([a, b])
                self._tell(then, t_ps, EventType.GATE, qubit=a)
                return
            self._register.exchange(*numbers, t_ps, lost)
            left, right = self.slots[a], self.slots[b]
            left.state, right.state = right.state, left.state
            left.pair, right.pair = self._moved(right, t_ps), self._moved(left, t_ps)
            if gate == "MOVE":
                self._register.forget(numbers[0], t_ps)
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
                self._register.apply(rotation(*turn), (self.slots[n].number,), t_ps, 2.0 * self.parameters.gate_error)
            tell(self._read(n, axis, t_ps, log=log), t_ps)

        self.operate([n], self.parameters.measure_s, effect)
        return self.parameters.measure_s

    def swap_entanglement(self, a: int, b: int, then: Done | None = None) -> float:
        """Measure two halves in the Bell basis: a CNOT, and both qubits read; return how long it takes."""
        if a == b:
            raise ScpiError(-221)
        pairs = self.pair(a), self.pair(b)
        self.occupy([a, b])
        p = self.parameters

        def effect(t_ps: int) -> None:
            numbers = (self.slots[a].number, self.slots[b].number)
            self._register.apply(CNOT, numbers, t_ps, p.two_qubit_error * 4.0 / 3.0)
            phase = self._register.measure(numbers[0], "X", t_ps, p.measure_error)
            parity = self._register.measure(numbers[1], "Z", t_ps, p.measure_error)
            bell = 2 * parity + phase
            self._clear(a, "UNIN")
            self._clear(b, "UNIN")
            self.swapped = (1, bell, pairs[0].id, pairs[1].id)
            self._tell(then, t_ps, EventType.SWAP, outcome=bell, qubit=a, pair_id=pairs[0].id)

        seconds = p.two_qubit_s + p.measure_s
        self.operate([a, b], seconds, effect)
        return seconds

    def _tell(self, then: Done | None, t_ps: int, kind: EventType, **fields: int) -> None:
        """Write an event, or leave that to a programme."""
        if then is not None:
            then(t_ps)
        else:
            self.record(kind, t_ps, **fields)

    def _read(self, n: int, axis: Axis, t_ps: int, *, log: bool = True) -> int:
        pair = self.slots[n].pair
        outcome = self._register.measure(self.slots[n].number, axis, t_ps, self.parameters.measure_error)
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
