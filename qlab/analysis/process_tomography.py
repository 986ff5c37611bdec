"""What a link does to polarisation: the Choi matrix of the channel, by maximum likelihood among channels that are possible.

J = sum |i><j| x E(|i><j|), input first, so that the probability of an effect M after the input rho is Tr J (rho^T x M):
counts of a process are those of a state of twice the size (M. Jezek, J. Fiurasek and Z. Hradil, PRA 68, 012305 (2003)).  An
entangled pair whose other half is measured prepares inputs from afar (G. M. D'Ariano and P. Lo Presti, PRL 86, 4195 (2001)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.analysis.central_path import Subspace
from qlab.analysis.projections import PAULI, ProjectionCounts, bloch_projector
from qlab.analysis.state_estimation import maximum_likelihood
from qlab.analysis.state_sampling import StateSamples, sample_states
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["INPUTS", "ProcessFit", "ancilla_counts", "fit_process", "lossless", "prepared_counts", "sample_process"]

Matrices: TypeAlias = NDArray[np.complex128]

INPUTS = ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
"""Bloch vectors (Z, X, Y) of H, V, D and R, the usual inputs; all six do better."""


@dataclass(frozen=True, slots=True)
class ProcessFit:
    """A fitted channel.

    Attributes
    ----------
    choi:
        Shape (4, 4), positive, of trace 2; only relative losses are known.
    log_likelihood, gap:
        Of the Poisson counts, a constant left out, and a bound of what any other channel could have more.
    keeps_trace:
        The channel was held to lose no light, or the same of every polarisation.
    """

    choi: Matrices
    log_likelihood: float
    gap: float
    keeps_trace: bool


def prepared_counts(
    inputs: Sequence[Sequence[float]],
    settings: Sequence[Sequence[float]],
    tables: ArrayLike,
    *,
    live_s: ArrayLike = 1.0,
    background: ArrayLike | None = None,
    contrast: float = 1.0,
) -> ProjectionCounts:
    """Return the projections of prepared polarisations behind an analyser with two outcomes.

    Parameters
    ----------
    inputs, settings:
        Bloch vectors (Z, X, Y) of what is sent, and of the analyser's transmitted outcome.
    tables:
        Counts, shape (inputs, settings, 2): transmitted, reflected.
    live_s:
        Live time times relative brightness, of a shape that broadcasts to (inputs, settings).
    background:
        Expected dark or accidental counts, of the shape of `tables`.
    contrast:
        Of the analyser, see `qlab.analysis.projections.bloch_projector`.

    Raises
    ------
    BadRequestError
        Shapes that do not fit, or inputs and settings that do not fix a channel.
    """
    counts = np.asarray(tables, dtype=np.float64)
    if counts.shape != (len(inputs), len(settings), 2):
        msg = f"process: tables of shape {counts.shape}; expected ({len(inputs)}, {len(settings)}, 2), inputs and settings"
        raise BadRequestError(msg)
    effects = _effects(settings, contrast)
    projectors = [np.kron(bloch_projector(one).T, effect) for one in inputs for pair in effects for effect in pair]
    weights = np.repeat(np.broadcast_to(np.asarray(live_s, np.float64), counts.shape[:2]).ravel(), 2)
    dark = np.zeros_like(counts) if background is None else np.asarray(background, dtype=np.float64)
    return ProjectionCounts(np.array(projectors), counts.ravel(), weights, dark.ravel())


def ancilla_counts(
    rho: ArrayLike,
    settings: Sequence[tuple[Sequence[float], Sequence[float]]],
    tables: ArrayLike,
    *,
    live_s: ArrayLike = 1.0,
    accidentals: ArrayLike | None = None,
    contrast: float = 1.0,
) -> ProjectionCounts:
    """Return the projections of a pair whose second photon went through the channel.

    Parameters
    ----------
    rho:
        The pair without the channel, shape (4, 4), for example of `measure_tomography` at the source.
    settings, tables, live_s, accidentals, contrast:
        As for `qlab.analysis.projections.analyser_counts`, of both photons, the second behind the channel.

    Raises
    ------
    BadRequestError
        Shapes that do not fit, or a pair that is not entangled enough to carry every input.
    """
    counts, pair = np.asarray(tables, dtype=np.float64), np.asarray(rho, dtype=np.complex128)
    if counts.shape != (len(settings), 2, 2) or pair.shape != (4, 4):
        msg = f"process: tables of shape {counts.shape}, pair {pair.shape}; expected ({len(settings)}, 2, 2) and (4, 4)"
        raise BadRequestError(msg)
    parts = pair.reshape(2, 2, 2, 2)
    projectors = []
    for a, b in settings:
        ours, theirs = _effects([a], contrast)[0], _effects([b], contrast)[0]
        for effect in ours:
            prepared = np.einsum("ij,jkil->kl", effect, parts)
            projectors += [np.kron(prepared.T, other) for other in theirs]
    weights = np.repeat(np.broadcast_to(np.asarray(live_s, dtype=np.float64), (len(settings),)), 4)
    dark = np.zeros_like(counts) if accidentals is None else np.asarray(accidentals, dtype=np.float64)
    return ProjectionCounts(np.array(projectors), counts.ravel(), weights, dark.ravel())


def lossless() -> Subspace:
    """Return the Choi matrices of channels that treat every polarisation's power alike, Tr_out J = 1: 13 of 16 dimensions."""
    paulis = np.concatenate([np.eye(2, dtype=np.complex128)[None], PAULI])
    basis = [np.kron(a, b) / 2.0 for i, a in enumerate(paulis) for j, b in enumerate(paulis) if i == 0 or j > 0]
    return Subspace(np.array(basis), np.eye(4, dtype=np.complex128))


def fit_process(data: ProjectionCounts, *, keeps_trace: bool = True, tolerance: float = 1e-3) -> ProcessFit:
    """Return the channel of the largest Poisson likelihood among completely positive ones.

    Parameters
    ----------
    keeps_trace:
        Hold it to lose the same of every polarisation; False where polarisation-dependent loss is asked for.
    tolerance:
        Of the log-likelihood.
    """
    fit = maximum_likelihood(data, tolerance=tolerance, within=lossless() if keeps_trace else None)
    return ProcessFit(2.0 * fit.rho, fit.log_likelihood, fit.gap, keeps_trace)


def sample_process(
    data: ProjectionCounts, seed: int, *, keeps_trace: bool = True, chains: int = 16, samples: int = 250
) -> StateSamples:
    """Draw channels from the posterior; `rho` of the samples is J/2, as the measures of `process_measures` take them too."""
    rng = np.random.default_rng(seed)
    return sample_states(data, rng, chains=chains, samples=samples, within=lossless() if keeps_trace else None)


def _effects(settings: Sequence[Sequence[float]], contrast: float) -> list[tuple[Matrices, Matrices]]:
    passed = [bloch_projector(vector, contrast) for vector in settings]
    return [(effect, np.eye(2) - effect) for effect in passed]
