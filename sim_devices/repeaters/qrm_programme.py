"""The micro-programme of a repeater module's twin: 8-byte instructions, one a tick, one event each.

An instruction that takes longer than a tick keeps the ones behind it waiting; the next begins on a tick.  Operations that a
module refuses end in an event of outcome 255 and the programme goes on [design].
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError
from sim_devices.repeaters.qrm_events import EventType
from sim_devices.repeaters.qrm_slots import device_error

if TYPE_CHECKING:
    from qlab.physics.register import Axis
    from sim_devices.repeaters.qrm_module import Module

__all__ = ["Instruction", "Programme"]

AXES: tuple[Axis, ...] = ("X", "Y", "Z")
SUCCESS, PSI_PLUS, PSI_MINUS, NO_ENTANGLEMENT, NO_SYNC, ERROR = 0, 1, 2, 3, 4, 255
"""Response codes as QNodeOS has them (Pompili et al., npj Quantum Information 8, 121, 2022)."""
NOP, INI, SQG, TQG, MSR, ENT, ENM, PMG, MOV, SWP, ESW, WAIT = range(12)
DEEPEST = 8
LONGEST = 4096
_CODE = struct.Struct("<BBBBi")
_KINDS = {
    INI: EventType.INIT,
    MSR: EventType.MEAS,
    ENT: EventType.HERALD,
    ENM: EventType.HERALD,
    MOV: EventType.MOVE,
    SWP: EventType.MOVE,
    ESW: EventType.SWAP,
}
_TWO = {TQG: ("CNOT", "CZ"), MOV: ("MOVE",), SWP: ("SWAP",)}


@dataclass(frozen=True, slots=True)
class Instruction:
    """Opcode, two operands, a choice and a number."""

    opcode: int
    a: int
    b: int
    aux: int
    param: int

    SIZE: ClassVar[int] = _CODE.size


class Programme:
    """What runs on a module by itself."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._code: list[Instruction] = []
        self._generation = 0
        self._turn: dict[int, tuple[Axis, float]] = {}
        self.running = False
        self.counter = 0

    def load(self, data: bytes) -> None:
        """Take a programme; 110 for one that cannot be run."""
        if not data or len(data) % Instruction.SIZE or len(data) // Instruction.SIZE > LONGEST:
            raise device_error(110)
        code = [Instruction(*fields) for fields in _CODE.iter_unpack(data)]
        if not all(self._legal(each) for each in code):
            raise device_error(110)
        self.stop()
        self._code, self.counter = code, 0

    def run(self) -> None:
        """Begin at the first instruction, on the next tick."""
        if self.running:
            raise ScpiError(-213)
        if not self._code:
            raise ScpiError(-221)
        self.running, self.counter = True, 0
        self._generation += 1
        self._next(self._module.now_ps())

    def stop(self) -> None:
        """Stop behind the instruction that runs."""
        self.running = False
        self._generation += 1

    def clear(self) -> None:
        """Forget the programme."""
        self.stop()
        self._code, self.counter = [], 0

    def _legal(self, each: Instruction) -> bool:
        slots, links = self._module.slots, self._module.links
        two = each.opcode in (TQG, MOV, SWP, ESW)
        if each.opcode > WAIT or ((each.opcode in (INI, SQG, MSR, PMG, ENT, ENM) or two) and each.a not in slots):
            return False
        if two and (each.b not in slots or each.a == each.b):
            return False
        if each.opcode in (ENT, ENM) and (each.b not in links or each.param < 1 or each.a != 1):
            return False
        if each.opcode in (SQG, PMG) and not 0 <= each.param >> 16 <= DEEPEST:
            return False
        if (each.opcode == TQG and each.aux > 1) or (each.opcode in (SQG, MSR, PMG, ENM) and each.aux > 2):
            return False
        return each.opcode != WAIT or each.param >= 0

    def _next(self, t_ps: int, ticks: int = 1) -> None:
        """Carry the instruction at the counter out on a tick at or behind `t_ps`."""
        generation = self._generation
        tick_ps = round(PS_PER_S / self._module.parameters.tick_hz)
        due_ps = -(-t_ps // tick_ps) * tick_ps + (ticks - 1) * tick_ps

        def step(now_ps: int) -> None:
            if generation != self._generation:
                return
            if self.counter == len(self._code):
                self.running = False
                return
            each = self._code[self.counter]
            self.counter += 1
            try:
                self._carry_out(each, now_ps)
            except ScpiError as error:
                self._done(each, now_ps, NO_SYNC if error.code in (107, 109) else ERROR)

        self._module.schedule(due_ps, step)

    def _done(self, each: Instruction, t_ps: int, outcome: int, value: int = 0) -> None:
        """Write the instruction's event, with what was measured in `attempts` [design], and go on."""
        kind = _KINDS.get(each.opcode, EventType.GATE)
        if outcome == NO_ENTANGLEMENT:
            kind = EventType.HERALD_FAIL
        elif outcome == NO_SYNC:
            kind = EventType.SYNC_FAIL
        link = each.b if each.opcode in (ENT, ENM) else 0
        self._module.record(kind, t_ps, outcome=outcome, qubit=each.a, link=link, attempts=value)
        wait = max(each.param, 1) if each.opcode == WAIT else 1
        self._next(t_ps + 1, wait)

    def _carry_out(self, each: Instruction, t_ps: int) -> None:
        module = self._module

        def done(now_ps: int) -> None:
            self._done(each, now_ps, SUCCESS)

        if each.opcode in (NOP, WAIT):
            done(t_ps)
        elif each.opcode == INI:
            module.initialise(each.a, done)
        elif each.opcode == SQG:
            module.rotate(each.a, AXES[each.aux], _angle(each.param), done)
        elif each.opcode == PMG:
            self._turn[each.a] = (AXES[each.aux], _angle(each.param))
            done(t_ps)
        elif each.opcode in _TWO:
            module.two_qubit(_TWO[each.opcode][each.aux if each.opcode == TQG else 0], each.a, each.b, done)
        elif each.opcode == MSR:
            module.measure(
                each.a,
                AXES[each.aux],
                lambda value, now: self._done(each, now, SUCCESS, value),
                self._turn.pop(each.a, None),
            )
        elif each.opcode == ESW:
            module.swap_entanglement(each.a, each.b, done)
        else:
            self._entangle(each)

    def _entangle(self, each: Instruction) -> None:
        link = self._module.link(each.b)
        if link.kind != ("M" if each.opcode == ENM else "K"):
            link.kind = "M" if each.opcode == ENM else "K"
        if each.opcode == ENM:
            link.basis = AXES[each.aux]

        def heard(t_ps: int, bell: int | None, value: int) -> None:
            outcome = NO_ENTANGLEMENT if bell is None else PSI_PLUS if bell == 2 else PSI_MINUS
            self._done(each, t_ps, outcome, value)

        self._module.generate(link, 1, most=each.param, heard=heard)


def _angle(param: int) -> float:
    """Return n pi / 2^d, with n in the low and d in the high half."""
    return (param & 0xFFFF) * math.pi / 2.0 ** (param >> 16)
