"""The QRM twin's commands for qubits, gates and swapping."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import Later, ScpiError, choice, command, integer, optional, query
from sim_devices.repeaters.qrm_clients import Clients

if TYPE_CHECKING:
    from qlab.physics.register import Axis
    from qlab.twin.scpi import Reply
    from sim_devices.repeaters.qrm_module import Module

__all__ = ["AXIS", "QUBIT", "QubitTable"]

QUBIT, AXIS = integer(1, 255), choice("X", "Y", "Z")
DEEPEST = 8


class QubitTable(Clients):
    """Sequential commands keep those behind them waiting; INITialize and ESWap are overlapped."""

    module: Module
    swap_until_ps = 0

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
        return f"{p.id},{p.bell},{p.link},{self.local_ps(p.heralded_ps)},{p.attempts}"

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
        self.known(a, b)
        return Later(self.module.two_qubit(gate, a, b), lambda: None)

    def known(self, *qubits: int) -> None:
        """See that these are qubits of ours."""
        if not set(qubits) <= set(self.module.slots):
            raise ScpiError(-222)

    @command("ESWap", QUBIT, QUBIT)
    def _swap_entanglement(self, a: int, b: int) -> None:
        self.known(a, b)
        self.module.swapped = (0, 0, 0, 0)
        seconds = self.module.swap_entanglement(a, b)
        self.swap_until_ps = self.clock.now_ps() + round(seconds * PS_PER_S)
        self.begin_operation(seconds)

    @query("ESWap:RESult?")
    def _swapped(self) -> str:
        return ",".join(map(str, self.module.swapped))

    def local_ps(self, t_ps: int) -> int:
        """Return the module's own time at a lab time."""
        raise NotImplementedError
