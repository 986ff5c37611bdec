"""Which detectors click in a pulse of squeezed light: exact for any number of pairs, any losses, any interference.

A crystal that is pumped by a pulse makes the state exp(g Sum C_ij a_i+ b_j+ - h.c.)|0>, a Gaussian one: two-mode squeezing
along the Schmidt modes of C.  Nobody of a set of threshold detectors clicks with the probability <: exp(-a+ M a) :>, where
M = Sum eta T+ T adds up what the detectors see of each pair of modes.  For |psi> ~ exp(a+ Z a+ / 2)|0> that is

    P_0 = sqrt( det(1 - Z* Z) / det(1 - Z* X Z X^T) ),   X = 1 - M

(normal-ordered exponentials map a+ to a+ X; the inner product of two squeezed vacua is det(1 - Z* Z')^(-1/2); compare
Quesada, Arrazola, Killoran, PRA 98, 062322, 2018; Takeoka, Jin, Sasaki, NJP 17, 043030, 2015).  Patterns of clicks follow
by inclusion and exclusion.  So stimulated emission, saturation of detectors and interference of photons of several sources
are all in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bell_mixture", "exact_patterns", "none_clicks", "pair_amplitudes", "squeezing"]

Matrix: TypeAlias = NDArray[np.complex128]
Floats: TypeAlias = NDArray[np.float64]
_BELL_KETS = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]], np.complex128) / math.sqrt(2.0)
_CHUNK = 2**22


def bell_mixture(rho: Matrix) -> list[tuple[float, Matrix]]:
    """Return a two-qubit state as a mixture of pure ones: weights and amplitudes C_ij, shape (2, 2), signal first.

    A state that is diagonal in the Bell basis is taken apart into Bell states, any other into its eigenvectors.  All pairs
    of a pulse are made in one of them: noise that is slower than a pulse.
    """
    in_bell = _BELL_KETS.conj() @ rho @ _BELL_KETS.T
    if np.abs(in_bell - np.diag(np.diag(in_bell))).max() < 1e-9:
        weights, kets = np.diag(in_bell).real, _BELL_KETS
    else:
        weights, columns = np.linalg.eigh(rho)
        kets = columns.T
    total = float(weights.clip(min=0.0).sum())
    return [(float(w) / total, ket.reshape(2, 2)) for w, ket in zip(weights, kets, strict=True) if w > 1e-9]


def squeezing(mean_pairs: float, shares: Sequence[float]) -> list[float]:
    """Return the squeezing parameter r of each mode, r proportional to the root of its share of the weakly pumped pairs.

    Sum sinh^2 r is the mean number of pairs.
    """
    roots = [math.sqrt(share) for share in shares]
    low, high = 0.0, 1.0
    while sum(math.sinh(high * root) ** 2 for root in roots) < mean_pairs:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        if sum(math.sinh(middle * root) ** 2 for root in roots) < mean_pairs:
            low = middle
        else:
            high = middle
    return [high * root for root in roots]


def pair_amplitudes(amplitudes: Matrix, mean_pairs: float, weights: Sequence[float]) -> Matrix:
    """Return B of |psi> ~ exp(a+ B b+)|0>, shape (2 modes, 2 modes): for each Schmidt mode the two polarisations.

    Parameters
    ----------
    amplitudes:
        C_ij of the polarisations, shape (2, 2), of unit norm.
    mean_pairs:
        In a pulse, all modes together.
    weights:
        Of the Schmidt modes of the spectrum.
    """
    left, values, right = np.linalg.svd(amplitudes)
    shares = [weight * float(value) ** 2 for weight in weights for value in values]
    tanh = [math.tanh(r) for r in squeezing(mean_pairs, shares)]
    n = 2 * len(weights)
    result = np.zeros((n, n), np.complex128)
    for k in range(0, n, 2):
        result[k : k + 2, k : k + 2] = left @ np.diag(tanh[k : k + 2]) @ right
    return result


def none_clicks(pairs: Matrix, first: Matrix, second: Matrix, cross: Matrix | None) -> Floats:
    """Return the probability that nobody of each set of detectors clicks, shape (sets,).

    Parameters
    ----------
    pairs:
        B, shape (n, m): |psi> ~ exp(a+ B b+)|0>.
    first, second:
        M among the modes a, shape (sets, n, n), and among the modes b, shape (sets, m, m).
    cross:
        M between a and b, shape (sets, n, m); None for none, which makes matrices of half the size.
    """
    n, m = pairs.shape
    vacuum = float(np.linalg.det(np.eye(m) - pairs.conj().T @ pairs).real)
    sets = first.shape[0]
    result = np.empty(sets)
    per_chunk = max(_CHUNK // (n + m) ** 2, 1)
    for start in range(0, sets, per_chunk):
        some = slice(start, start + per_chunk)
        x, y = np.eye(n) - first[some], np.eye(m) - second[some]
        if cross is None:
            met = pairs.conj().T @ x @ pairs @ y.transpose(0, 2, 1)
            result[some] = vacuum / np.linalg.det(np.eye(m) - met).real
            continue
        seen = np.block([[x, -cross[some]], [-cross[some].conj().transpose(0, 2, 1), y]])
        z = np.block([[np.zeros((n, n)), pairs], [pairs.T, np.zeros((m, m))]])
        met = z.conj() @ seen @ z @ seen.transpose(0, 2, 1)
        result[some] = vacuum / np.sqrt(np.linalg.det(np.eye(n + m) - met).real)
    return result


def exact_patterns(none: Floats) -> Floats:
    """Return the probability of each pattern of clicks, by its bits, from that of no click in each set, by its bits.

    Inclusion and exclusion over the sets that contain the silent detectors; shape (2^detectors,).
    """
    silent = none.copy()
    bit = 1
    while bit < silent.size:
        pairs = silent.reshape(-1, 2, bit)
        pairs[:, 0] -= pairs[:, 1]
        bit *= 2
    return np.asarray(silent[::-1].clip(min=0.0))
