"""Operations on the qubits of a repeater module, and the dialogue for what it may refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from devices.base import ScpiInstrument
from qlab.errors import BadReplyError, BadRequestError, InstrumentError

if TYPE_CHECKING:
    from devices.repeaters.qrm_records import StoredPair
    from devices.worker import WorkerStatus

__all__ = ["OPERATION_S", "QubitModule"]

Axis = Literal["X", "Y", "Z"]

POLL_S = 1e-4
OPERATION_S = 1.0
"""Lab seconds in which any local operation is over."""


class QubitModule(ScpiInstrument):
    """Qubits by number, from 1.

    Attributes
    ----------
    qubit_count:
        How many there are, as the module said at connection.
    pairs:
        What is stored, by qubit, as last heard.
    outcomes:
        The last outcome by qubit.
    """

    qubit_count = 0

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.pairs: dict[int, StoredPair] = {}
        self.outcomes: dict[int, int] = {}

    def initialise(self, qubit: int) -> WorkerStatus:
        """Prepare |0>; done when it is."""
        self.check_qubits(qubit)
        return self.in_thread("initialise", lambda: self.wait_for(f"QUB{qubit}:INIT"))

    def rotate(self, qubit: int, axis: Axis, numerator: int, depth: int) -> WorkerStatus:
        """Rotate by numerator * pi / 2**depth."""
        self.check_qubits(qubit)
        return self.in_thread("rotate", lambda: self.wait_for(f"QUB{qubit}:ROT {axis},{numerator},{depth}"))

    def gate(self, kind: Literal["CNOT", "CZ", "MOVE", "SWAP"], a: int, b: int) -> WorkerStatus:
        """Carry out a gate on two qubits."""
        self.check_qubits(a, b)
        return self.in_thread(kind, lambda: self.wait_for(f"GATE:{kind} {a},{b}"))

    def read_out(self, qubit: int, axis: Axis = "Z") -> WorkerStatus:
        """Measure a qubit, which destroys its state; `outcomes` then has 0 or 1."""
        self.check_qubits(qubit)
        return self.in_thread("read out", lambda: self._read_out(qubit, axis))

    def _read_out(self, qubit: int, axis: Axis) -> None:
        self.outcomes.pop(qubit, None)
        self.pairs.pop(qubit, None)
        command = f"QUB{qubit}:MEAS? {axis}"
        found = self.ask_or_raise(command)
        if found not in ("0", "1"):
            what = "the reply is not an outcome"
            raise BadReplyError(what, device=self.name, command=command, found=found, expected="0 or 1")
        self.outcomes[qubit] = int(found)

    def free(self, qubit: int) -> WorkerStatus:
        """Give a qubit up, and what it was entangled with."""
        self.check_qubits(qubit)
        self.pairs.pop(qubit, None)
        return self.in_thread("free", lambda: self.tell(f"QUB{qubit}:FREE"))

    def check_qubits(self, *qubits: int) -> None:
        """Raise `BadRequestError` for a qubit that there is not."""
        for n in qubits:
            if not 1 <= n <= self.qubit_count:
                msg = f"{self.name}: there is no qubit {n}; expected 1 to {self.qubit_count}"
                raise BadRequestError(msg)

    def wait_for(self, command: str) -> None:
        """Send a command and wait for its end."""
        self.tell(command)
        self.link.ask("*OPC?", timeout_s=OPERATION_S, retry=False)

    def wait_for_pair(self, qubit: int) -> None:
        """Wait until a pair has come to where it is stored."""
        end_s = self.clock.now_s() + OPERATION_S
        while self.ask(f"QUB{qubit}:STAT?") in ("BUSY", "UNIN", "FAUL"):
            if self.clock.now_s() >= end_s:
                what, expected = f"the pair did not come to qubit {qubit}", f"it there within {OPERATION_S:g} s"
                raise InstrumentError(what, device=self.name, command=f"QUB{qubit}:STAT?", expected=expected)
            self.wait_s(POLL_S)

    def ask_or_raise(self, query: str) -> str:
        """Ask what may be refused: then the answer is an error in the queue, and none on the wire."""
        with self.link.transaction() as link:
            found = link.ask(f"{query};:SYST:ERR?", retry=False)
        value, _, error = found.rpartition(";")
        if not value:
            self.refused(query, error)
        return value

    def raise_errors(self, command: str) -> None:
        """Raise the error that a command left, if any; within a transaction."""
        found = self.link.ask(self.error_query, retry=False)
        if not found.startswith("+0"):
            self.refused(command, found)
