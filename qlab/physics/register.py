"""The hidden qubits of all memories of a lab: density matrices that decay in lab time, one for each entangled cluster.

Nobody sees them but by measurements: instruments know what they did and what they read, not what the state is.  A qubit
decays by amplitude damping with T1 towards |0> and loses its coherence with T2 (Nielsen and Chuang, 8.3; T2 <= 2 T1).
Outcomes are functions of seed, qubit and lab time, so that polling and the order of questions change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.keys import hash_key, mix

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BELL_KETS", "CNOT", "CZ", "PAULI", "Axis", "QubitRegister", "bell_mixture", "rotation"]

Matrix: TypeAlias = NDArray[np.complex128]
Axis: TypeAlias = Literal["X", "Y", "Z"]

PAULI: dict[str, Matrix] = {
    "I": np.eye(2, dtype=np.complex128),
    "X": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "Y": np.array([[0, -1j], [1j, 0]], dtype=np.complex128),
    "Z": np.array([[1, 0], [0, -1]], dtype=np.complex128),
}
CNOT: Matrix = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=np.complex128)
CZ: Matrix = np.diag([1, 1, 1, -1]).astype(np.complex128)
BELL_KETS: Matrix = np.array(
    [[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]], dtype=np.complex128
) / math.sqrt(2.0)
"""Rows Phi+, Phi-, Psi+, Psi-: bit 0 of the number is the phase, bit 1 the parity."""
_TO_Z: dict[str, Matrix] = {
    "X": np.array([[1, 1], [1, -1]], dtype=np.complex128) / math.sqrt(2.0),
    "Y": np.array([[1, -1j], [1, 1j]], dtype=np.complex128) / math.sqrt(2.0),
    "Z": PAULI["I"],
}
MOST = 10
"""Qubits of one cluster: 16 MB."""


def rotation(axis: Axis, angle_rad: float) -> Matrix:
    """Return exp(-i angle/2 sigma), shape (2, 2)."""
    turn: Matrix = math.cos(angle_rad / 2.0) * PAULI["I"] - 1j * math.sin(angle_rad / 2.0) * PAULI[axis]
    return turn


def bell_mixture(label: int, wrong_phase: float) -> Matrix:
    """Return a Bell state mixed with its partner of the other phase, with probability `wrong_phase`; shape (4, 4)."""
    weights = ((label, 1.0 - wrong_phase), (label ^ 1, wrong_phase))
    return sum((w * BELL_KETS[n][:, None] * BELL_KETS[n].conj() for n, w in weights), np.zeros((4, 4), np.complex128))


@dataclass(slots=True)
class _Qubit:
    t1_s: float
    t2_s: float
    t_ps: int = 0
    cluster: _Cluster = field(default_factory=lambda: _Cluster([], np.ones((), dtype=np.complex128)))


@dataclass(slots=True, eq=False)
class _Cluster:
    """Qubits by name, and their state with one axis of two for each ket, then one for each bra."""

    names: list[int]
    rho: Matrix


class QubitRegister:
    """All memory qubits of a world, by number.

    Parameters
    ----------
    seed:
        The lab's; draws the outcomes.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._qubits: dict[int, _Qubit] = {}

    def add(self, qubit: int, t1_s: float, t2_s: float) -> None:
        """Add a qubit in the maximally mixed state, or change the times of one; raises `WorldError` for T2 > 2 T1."""
        if not 0 < t2_s <= 2.0 * t1_s:
            msg = f"T2 = {t2_s:g} s with T1 = {t1_s:g} s: expected 0 < T2 <= 2 T1"
            raise WorldError(msg)
        if qubit in self._qubits:
            self._qubits[qubit].t1_s, self._qubits[qubit].t2_s = t1_s, t2_s
            return
        self._qubits[qubit] = _Qubit(t1_s, t2_s)
        self._alone(qubit, PAULI["I"] / 2.0, 0)

    def reset(self, qubit: int, t_ps: int, error: float = 0.0) -> None:
        """Prepare |0>, with a chance `error` of |1>; whatever the qubit was entangled with loses it."""
        self._alone(qubit, np.diag([1.0 - error, error]).astype(np.complex128), t_ps)

    def forget(self, qubit: int, t_ps: int) -> None:
        """Leave the qubit in the maximally mixed state."""
        self._alone(qubit, PAULI["I"] / 2.0, t_ps)

    def entangle(self, a: int, b: int, rho: Matrix, ta_ps: int, tb_ps: int) -> None:
        """Put two qubits into a common state that begins at these times; shape (4, 4), `a` is the left factor."""
        for qubit in (a, b):
            self._leave(qubit)
        cluster = _Cluster([a, b], np.ascontiguousarray(rho, dtype=np.complex128).reshape(2, 2, 2, 2))
        for qubit, t_ps in ((a, ta_ps), (b, tb_ps)):
            self._qubits[qubit].cluster, self._qubits[qubit].t_ps = cluster, t_ps

    def apply(self, unitary: Matrix, qubits: Sequence[int], t_ps: int, depolarising: float = 0.0) -> None:
        """Carry out a gate on one or two qubits, which with probability `depolarising` leaves them fully mixed."""
        cluster = self._together(qubits, t_ps)
        cluster.rho = _conjugated(cluster, unitary, qubits)
        if depolarising:
            mixed = cluster.rho
            for qubit in qubits:
                lost = _Cluster(cluster.names, mixed)
                mixed = (
                    sum((_conjugated(lost, pauli, (qubit,)) for pauli in PAULI.values()), np.zeros_like(mixed)) / 4.0
                )
            cluster.rho = (1.0 - depolarising) * cluster.rho + depolarising * mixed

    def measure(self, qubit: int, axis: Axis, t_ps: int, flip: float = 0.0) -> int:
        """Measure along an axis: 0 for the +1 eigenstate, 1 for the other, misread with probability `flip`.

        Destructive: the qubit is left in no defined state.
        """
        cluster = self._together((qubit,), t_ps)
        turned = _conjugated(cluster, _TO_Z[axis], (qubit,))
        n, at = len(cluster.names), cluster.names.index(qubit)
        parts = [np.take(np.take(turned, value, axis=n + at), value, axis=at) for value in (0, 1)]
        weights = [max(float(np.trace(part.reshape(2 ** (n - 1), -1)).real), 0.0) for part in parts]
        draw, misread = self._uniform(qubit, t_ps, 0), self._uniform(qubit, t_ps, 1)
        outcome = int(draw * sum(weights) >= weights[0])
        cluster.rho = parts[outcome] / weights[outcome]
        cluster.names = [name for name in cluster.names if name != qubit]
        self._qubits[qubit].cluster = _Cluster([], np.ones((), dtype=np.complex128))
        self._alone(qubit, PAULI["I"] / 2.0, t_ps)
        return outcome ^ int(misread < flip)

    def exchange(self, a: int, b: int, t_ps: int, depolarising: float = 0.0) -> None:
        """Swap the states of two qubits."""
        swap = np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]]
        self.apply(swap, (a, b), t_ps, depolarising)

    def state(self, qubits: Sequence[int], t_ps: int) -> Matrix:
        """Return the reduced density matrix of some qubits at a time from which on nothing happens to them; the truth."""
        names = list(dict.fromkeys(qubits))
        rho: Matrix = np.ones((), dtype=np.complex128)
        order: list[int] = []
        for cluster in dict.fromkeys(self._qubits[q].cluster for q in names):
            copy = _Cluster(list(cluster.names), cluster.rho.copy())
            for name in list(copy.names):
                qubit = self._qubits[name]
                if name in names:
                    _decay(copy, name, qubit, t_ps)
                else:
                    _trace_out(copy, name)
            rho, order = _product(rho, len(order), copy.rho, len(copy.names)), [*order, *copy.names]
        n = len(order)
        axes = [order.index(q) for q in names]
        return np.transpose(rho, [*axes, *(n + a for a in axes)]).reshape(2**n, 2**n)

    # Inside.

    def _uniform(self, qubit: int, t_ps: int, which: int) -> float:
        word = int(mix(np.array([t_ps], np.int64), hash_key(self._seed, qubit, which))[0])
        return (word >> 11) / 2.0**53

    def _alone(self, qubit: int, rho: Matrix, t_ps: int) -> None:
        self._leave(qubit)
        self._qubits[qubit].cluster, self._qubits[qubit].t_ps = _Cluster([qubit], rho.copy()), t_ps

    def _leave(self, qubit: int) -> None:
        cluster = self._qubits[qubit].cluster
        if qubit in cluster.names:
            _trace_out(cluster, qubit)

    def _together(self, qubits: Sequence[int], t_ps: int) -> _Cluster:
        """Bring qubits up to date and into one cluster."""
        first = self._qubits[qubits[0]].cluster
        for other in qubits[1:]:
            cluster = self._qubits[other].cluster
            if cluster is first:
                continue
            if len(first.names) + len(cluster.names) > MOST:
                msg = f"{len(first.names) + len(cluster.names)} qubits would be entangled; expected at most {MOST}"
                raise WorldError(msg)
            first.rho = _product(first.rho, len(first.names), cluster.rho, len(cluster.names))
            first.names += cluster.names
            for name in cluster.names:
                self._qubits[name].cluster = first
        for qubit in qubits:
            _decay(first, qubit, self._qubits[qubit], t_ps)
            self._qubits[qubit].t_ps = max(t_ps, self._qubits[qubit].t_ps)
        return first


def _product(left: Matrix, n: int, right: Matrix, m: int) -> Matrix:
    """Return the tensor product with kets first, then bras."""
    both = np.multiply.outer(left, right)
    kets = [*range(n), *range(2 * n, 2 * n + m)]
    bras = [*range(n, 2 * n), *range(2 * n + m, 2 * (n + m))]
    return np.transpose(both, kets + bras)


def _conjugated(cluster: _Cluster, operator: Matrix, qubits: Sequence[int]) -> Matrix:
    """Return K rho K^dagger with K on some qubits."""
    n, k = len(cluster.names), len(qubits)
    axes = [cluster.names.index(q) for q in qubits]
    tensor = operator.reshape((2,) * (2 * k))
    rho = np.moveaxis(np.tensordot(tensor, cluster.rho, (range(k, 2 * k), axes)), range(k), axes)
    bras = [n + a for a in axes]
    return np.moveaxis(np.tensordot(tensor.conj(), rho, (range(k, 2 * k), bras)), range(k), bras)


def _trace_out(cluster: _Cluster, name: int) -> None:
    n, at = len(cluster.names), cluster.names.index(name)
    cluster.rho = np.trace(cluster.rho, axis1=at, axis2=n + at)
    cluster.names.remove(name)


def _decay(cluster: _Cluster, name: int, qubit: _Qubit, t_ps: int) -> None:
    """Let a qubit age until `t_ps`."""
    seconds = (t_ps - qubit.t_ps) * 1e-12
    if seconds <= 0:
        return
    n, at = len(cluster.names), cluster.names.index(name)
    rho = np.moveaxis(cluster.rho, (at, n + at), (0, 1)).copy()
    stays, coherence = math.exp(-seconds / qubit.t1_s), math.exp(-seconds / qubit.t2_s)
    rho[0, 0] += (1.0 - stays) * rho[1, 1]
    rho[1, 1] *= stays
    rho[0, 1] *= coherence
    rho[1, 0] *= coherence
    cluster.rho = np.moveaxis(rho, (0, 1), (at, n + at))
