"""Where to set two analysers next, from what earlier settings told of the state.

Two ways.  By information: of candidates, the setting whose outcomes tell most of the state on average (F. Huszar and N. M. T.
Houlsby, PRA 85, 052120 (2012)).  In two steps: after a first half of the data, in axes in which the estimated state is nearly
diagonal, so that small eigenvalues are seen as rare counts (D. H. Mahler et al., PRL 111, 183601 (2013), for one qubit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.projections import PAULI, bloch_projector
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from qlab.analysis.state_sampling import StateSamples

__all__ = ["expected_information_bits", "next_setting", "second_step_settings"]

Setting = tuple[tuple[float, float, float], tuple[float, float, float]]


def expected_information_bits(
    samples: StateSamples, settings: Sequence[tuple[Sequence[float], Sequence[float]]]
) -> NDArray[np.float64]:
    """Return what one more pair at each setting tells of the state, in bits; shape (settings,).

    Parameters
    ----------
    samples:
        Of the posterior of two qubits.
    settings:
        Bloch vectors (Z, X, Y) of Alice's and Bob's transmitted outcome.

    Notes
    -----
    The mutual information of outcome and state, H(mean p) - mean H(p) over the samples.
    """
    rho = samples.rho.reshape(-1, *samples.rho.shape[2:])
    if rho.shape[1:] != (4, 4) or not settings:
        msg = f"next setting: samples of shape {samples.rho.shape}, {len(settings)} settings; expected two qubits, 1"
        raise BadRequestError(msg)
    gained = []
    for a, b in settings:
        ours, theirs = bloch_projector(a), bloch_projector(b)
        effects = np.array([np.kron(x, y) for x in (ours, np.eye(2) - ours) for y in (theirs, np.eye(2) - theirs)])
        p = np.maximum(np.einsum("mij,sji->sm", effects, rho).real, 1e-300)
        mean = p.mean(axis=0)
        gained.append(float(-(mean * np.log2(mean)).sum() + (p * np.log2(p)).sum(axis=1).mean()))
    return np.array(gained)


def next_setting(samples: StateSamples, settings: Sequence[Setting]) -> Setting:
    """Return the setting of the largest expected information."""
    return settings[int(np.argmax(expected_information_bits(samples, settings)))]


def second_step_settings(rho: ArrayLike) -> list[Setting]:
    """Return nine settings along the estimated state's own axes, for the second half of the data.

    Parameters
    ----------
    rho:
        Estimate from the first half, shape (4, 4).

    Notes
    -----
    A local basis cannot diagonalise an entangled state; the axes are those of the singular value decomposition of the
    correlation tensor, in which the state is as near to a Bell-diagonal one as local rotations bring it.
    """
    state = np.asarray(rho, dtype=np.complex128)
    if state.shape != (4, 4):
        msg = f"second step of a state of shape {state.shape}: expected (4, 4)"
        raise BadRequestError(msg)
    products = np.array([[np.kron(a, b) for b in PAULI] for a in PAULI])
    t = np.einsum("kl,ijlk->ij", state, products).real
    left, _, right = np.linalg.svd(t)

    def axis(v: NDArray[np.float64]) -> tuple[float, float, float]:
        x, y, z = (float(part) for part in v)
        return x, y, z

    return [(axis(a), axis(b)) for a in left.T for b in right]
