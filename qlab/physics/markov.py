"""Gaussian Markov processes that can be looked up at any grid point, in any order, and are always the same path.

Given a process's state at both ends of an interval, the state in its middle is normal with known mean and covariance.  So
the path is refined from 2^63 ps down to a grid of `GRID_PS` by keyed draws, one for each midpoint (Levy's construction of
Brownian motion, with more state), and no past is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qlab.physics.keys import mix, normal_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GRID_BITS", "GRID_PS", "LEVELS", "NORMAL", "MarkovFamily", "MarkovProcess"]

GRID_BITS = 32
GRID_PS = 2**GRID_BITS
"""The path is exact every 4.3 ms."""
LEVELS = 63 - GRID_BITS
NORMAL = normal_table()
_START_BITS = 20
_AT_ONCE = 2**11
"""More indices than these do not fit into the second-level cache with all their processes."""
Matrix: TypeAlias = "tuple[float, float, float, float]"
Coefficients: TypeAlias = "NDArray[np.float64]"
States: TypeAlias = "NDArray[np.float64]"
"""Frequencies and phases at N times of K processes, shape (2, N, K)."""


@dataclass(frozen=True, slots=True)
class MarkovProcess:
    """A frequency y (dimensionless) and a phase x (ps): dy = -y/a dt + noise, dx = (y - x/b) dt + noise.

    Parameters
    ----------
    a_ps, b_ps:
        Time constants in which frequency and phase forget; may be infinite.
    y_rate, x_rate:
        Variances that the noises add in 1 ps.
    """

    a_ps: float
    b_ps: float
    y_rate: float
    x_rate: float

    def start(self) -> tuple[Matrix, Matrix]:
        """Return propagator and covariance for a step so short that the series may end early."""
        h = GRID_PS / 2.0**_START_BITS
        u, v = h / self.a_ps, h / self.b_ps
        passed = h * (1.0 - (u + v) / 2.0) if self.y_rate else 0.0  # without noise there is no frequency to pass on
        phi = (1.0 - u + u * u / 2.0, 0.0, passed, 1.0 - v + v * v / 2.0)
        q = self.y_rate * h
        return phi, (q, q * h / 2.0, q * h / 2.0, q * h * h / 3.0 + self.x_rate * h)

    def settled(self) -> Matrix:
        """Return the covariance at time zero: that of the steady state where there is one, else nothing."""
        if math.isinf(self.a_ps) and self.y_rate:
            return (0.0, 0.0, 0.0, 0.0)
        phi, q = self.start()
        free = math.isinf(self.b_ps)
        for _ in range(100):
            phi, q = _twice(phi, q)
        return (q[0], 0.0, 0.0, 0.0) if free else q


def _times(m: Matrix, n: Matrix) -> Matrix:
    a, b, c, d = m
    e, f, g, h = n
    return (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)


def _turned(m: Matrix) -> Matrix:
    return (m[0], m[2], m[1], m[3])


def _sum(m: Matrix, n: Matrix) -> Matrix:
    return (m[0] + n[0], m[1] + n[1], m[2] + n[2], m[3] + n[3])


def _inverse(m: Matrix) -> Matrix:
    """Return the inverse of a covariance; a component without noise stays without."""
    a, b, c, d = m
    if a == 0.0 or d == 0.0:
        return (1.0 / a if a else 0.0, 0.0, 0.0, 1.0 / d if d else 0.0)
    det = a * d - b * c
    return (d / det, -b / det, -c / det, a / det)


def _root(m: Matrix) -> Matrix:
    """Return the Cholesky factor of a covariance."""
    a, b, _, d = m
    first = math.sqrt(a)
    below = b / first if first else 0.0
    return (first, 0.0, below, math.sqrt(max(d - below * below, 0.0)))


def _twice(phi: Matrix, q: Matrix) -> tuple[Matrix, Matrix]:
    """Return propagator and covariance of the doubled step."""
    return _times(phi, phi), _sum(q, _times(_times(phi, q), _turned(phi)))


@dataclass(frozen=True, slots=True)
class _Step:
    """All processes' steps of one length: propagators, roots of covariances, and how a midpoint follows from its ends.

    Arrays of shape (processes, 4), rows of 2x2 matrices.
    """

    phi: Coefficients
    root: Coefficients
    left: Coefficients
    right: Coefficients
    middle: Coefficients


def _steps(processes: list[MarkovProcess]) -> list[_Step]:
    """Return the steps of 2^level grid intervals; the last is that from zero to the path's end."""
    rows: list[list[tuple[Matrix, ...]]] = [[] for _ in range(LEVELS + 1)]
    for process in processes:
        phi, q = process.start()
        for _ in range(_START_BITS):
            phi, q = _twice(phi, q)
        for level in range(LEVELS + 1):
            inverse = _inverse(q)
            back = _times(_turned(phi), inverse)
            p = _inverse(_sum(inverse, _times(back, phi)))
            rows[level].append((phi, _root(q), _times(p, _times(inverse, phi)), _times(p, back), _root(p)))
            phi, q = _twice(phi, q)
    return [_Step(*(np.array(column) for column in zip(*level, strict=True))) for level in rows]


def _apply(m: Coefficients, s: States) -> States:
    """Multiply each process's matrix with its state: shapes (K, 4) and (2, N, K)."""
    y, x = s
    found = np.empty_like(s)
    for row, (of_y, of_x) in enumerate(((m[:, 0], m[:, 1]), (m[:, 2], m[:, 3]))):
        np.multiply(y, of_y, out=found[row])
        found[row] += x * of_x
    return found


@dataclass(slots=True)
class MarkovFamily:
    """Processes that are halved together.

    Parameters
    ----------
    processes, keys:
        And what keys the draws of each, shape (K,).
    """

    processes: list[MarkovProcess]
    keys: NDArray[np.uint64]
    steps: list[_Step] = field(init=False)
    first: States = field(init=False)
    last: States = field(init=False)

    def __post_init__(self) -> None:
        self.steps = _steps(self.processes)
        top = self.steps[LEVELS]
        settled = np.array([_root(process.settled()) for process in self.processes])
        self.first = _apply(settled, self._normals(np.array([0])))
        self.first[1] = np.where([math.isinf(p.b_ps) for p in self.processes], 0.0, self.first[1])
        self.last = _apply(top.phi, self.first) + _apply(top.root, self._normals(np.array([1 << LEVELS])))

    def _normals(self, index: NDArray[np.int64]) -> States:
        """Return two normal deviates for each grid index and process, shape (2, N, K)."""
        where = np.broadcast_to(index[:, None], (index.size, self.keys.size))
        bits = mix(where, self.keys)  # its low bits are weak
        found = np.empty((2, *where.shape))
        NORMAL.take((bits >> np.uint64(48)).view(np.int64), out=found[0], mode="clip")
        NORMAL.take((bits >> np.uint64(32) & np.uint64(0xFFFF)).view(np.int64), out=found[1], mode="clip")
        return found

    def phases(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sum of all phases at sorted grid indices, shape (N,), in ps."""
        if index.size > _AT_ONCE:
            return np.concatenate([self.phases(index[i : i + _AT_ONCE]) for i in range(0, index.size, _AT_ONCE)])
        lows = np.zeros(1, np.int64)
        left, right = self.first, self.last
        for level in range(LEVELS - 1, -1, -1):
            wanted = index >> level
            wanted = wanted[np.concatenate([[True], wanted[1:] != wanted[:-1]])]  # sorted, so this is all
            parent = np.searchsorted(lows, wanted >> 1)
            a, b = left.take(parent, axis=1), right.take(parent, axis=1)
            low = (wanted >> 1) << (level + 1)
            step = self.steps[level]
            m = _apply(step.left, a) + _apply(step.right, b)
            m += _apply(step.middle, self._normals(low + (1 << level)))
            upper = (wanted & 1).astype(bool)[:, None]
            left, right, lows = np.where(upper, m, a), np.where(upper, b, m), wanted
        found: NDArray[np.float64] = left[1, np.searchsorted(lows, index)].sum(axis=1)
        return found
