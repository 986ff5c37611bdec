"""What a tomography counted: projections on two-photon polarisation states, and how often each came up.

Basis HH, HV, VH, VV; R = (H - iV)/sqrt 2, as in James et al., PRA 64, 052312 (2001).  Bloch vectors are (Z, X, Y) with Z
towards H, X towards D, Y towards R, as analysers take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["AXES", "NINE_SETTINGS", "PAULI", "ProjectionCounts", "analyser_counts", "bloch_projector"]

Matrices: TypeAlias = NDArray[np.complex128]

PAULI = np.array([[[1, 0], [0, -1]], [[0, 1], [1, 0]], [[0, 1j], [-1j, 0]]], dtype=np.complex128)
"""sigma_Z, sigma_X and sigma_Y in the convention above, shape (3, 2, 2)."""
AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
NINE_SETTINGS = tuple((a, b) for a in AXES for b in AXES)
"""Both analysers along all axes; with both outcomes of each these are the 36 projections."""


@dataclass(frozen=True, slots=True)
class ProjectionCounts:
    """Counts of projections.

    Parameters
    ----------
    projectors:
        Shape (m, d, d).
    counts:
        Shape (m,).
    weights:
        Live time times relative efficiency of each, shape (m,).
    accidentals:
        Expected accidental counts, shape (m,).

    Raises
    ------
    BadRequestError
        Shapes that do not fit, negative counts, or projections that do not fix a state.
    """

    projectors: Matrices
    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    accidentals: NDArray[np.float64]

    def __post_init__(self) -> None:
        p = self.projectors
        m = p.shape[0]
        if (
            p.ndim != 3
            or p.shape[1] != p.shape[2]
            or any(x.shape != (m,) for x in (self.counts, self.weights, self.accidentals))
        ):
            msg = f"tomography: projectors of shape {p.shape}, counts {self.counts.shape}; expected (m, d, d) and (m,)"
            raise BadRequestError(msg)
        if not (self.counts >= 0).all() or not (self.weights > 0).all() or not (self.accidentals >= 0).all():
            msg = "tomography: expected counts and accidentals of at least 0, and weights above 0"
            raise BadRequestError(msg)
        if self.counts.sum() <= self.accidentals.sum():
            msg = f"tomography: {self.counts.sum():g} coincidences, {self.accidentals.sum():g} accidental: nothing is left"
            raise BadRequestError(msg)
        d = p.shape[1]
        rank = int(np.linalg.matrix_rank(p.reshape(m, d * d), tol=1e-9))
        if rank < d * d:
            msg = f"tomography: {m} projections span {rank} of {d * d} dimensions; add settings, best all nine pairs of axes"
            raise BadRequestError(msg)

    @property
    def total(self) -> float:
        """Coincidences in all, accidentals taken off."""
        return float(self.counts.sum() - self.accidentals.sum())


def bloch_projector(vector: Sequence[float], contrast: float = 1.0) -> Matrices:
    """Return the projector on the state with a unit Bloch vector (Z, X, Y), shape (2, 2).

    A splitter that lets a fraction `leak` of the wrong polarisation through projects with a contrast of 1 - 2 leak.
    """
    v = np.asarray(vector, dtype=np.float64)
    if v.shape != (3,) or abs(float(v @ v) - 1.0) > 1e-6:
        msg = f"Bloch vector {v.tolist()}: expected three numbers of length 1"
        raise BadRequestError(msg)
    return np.asarray((np.eye(2) + contrast * np.tensordot(v, PAULI, axes=1)) / 2.0, np.complex128)


def analyser_counts(
    settings: Sequence[tuple[Sequence[float], Sequence[float]]],
    tables: ArrayLike,
    *,
    live_s: ArrayLike = 1.0,
    accidentals: ArrayLike | None = None,
    contrast: float = 1.0,
) -> ProjectionCounts:
    """Return the projections of two analysers with two outcomes each.

    Parameters
    ----------
    settings:
        Bloch vectors (Z, X, Y) of Alice's and Bob's transmitted outcome.
    tables:
        Coincidences, shape (settings, 2, 2): rows are Alice's outcomes, transmitted and reflected, columns Bob's.
    live_s:
        One number, or one for each setting.
    accidentals:
        Expected accidental coincidences, of the shape of `tables`.
    contrast:
        Of each analyser.
    """
    counts = np.asarray(tables, dtype=np.float64)
    if counts.shape != (len(settings), 2, 2):
        msg = (
            f"tomography: tables of shape {counts.shape} for {len(settings)} settings; expected ({len(settings)}, 2, 2)"
        )
        raise BadRequestError(msg)
    projectors = []
    for a, b in settings:
        ours, theirs = bloch_projector(a, contrast), bloch_projector(b, contrast)
        projectors += [np.kron(x, y) for x in (ours, np.eye(2) - ours) for y in (theirs, np.eye(2) - theirs)]
    weights = np.repeat(np.broadcast_to(np.asarray(live_s, dtype=np.float64), (len(settings),)), 4)
    background = np.zeros_like(counts) if accidentals is None else np.asarray(accidentals, dtype=np.float64)
    return ProjectionCounts(np.array(projectors), counts.ravel(), weights, background.ravel())
