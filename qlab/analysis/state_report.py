"""What one tomography says of a two-qubit state, in numbers with their uncertainties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.analysis.state_measures import (
    BELL_NAMES,
    bell_weights,
    concurrence,
    entropy_bits,
    largest_chsh,
    negativity,
    purity,
)
from qlab.analysis.state_sampling import sample_states

if TYPE_CHECKING:
    from qlab.analysis.projections import ProjectionCounts

__all__ = ["describe_state"]

_FIGURES = {
    "concurrence": concurrence,
    "purity": purity,
    "entropy_bits": entropy_bits,
    "negativity": negativity,
    "largest_chsh": largest_chsh,
}


def describe_state(data: ProjectionCounts, target: str, seed: int = 0) -> dict[str, Any]:
    """Return fidelity with a Bell state, concurrence and other figures, each with `_sigma`, `_low` and `_high`.

    Parameters
    ----------
    target:
        phi+, phi-, psi+ or psi-.
    seed:
        Of the samples of the posterior.

    Returns
    -------
    dict
        Medians of the posterior, half widths and limits of the intervals that hold 68 % of it; `bell_weights`, shape (4,),
        and `chain_spread`, R-hat of the fidelity: above about 1.1 the intervals are not to be trusted.
    """
    samples = sample_states(data, np.random.default_rng(seed))
    k = BELL_NAMES.index(target)
    found: dict[str, Any] = {"chain_spread": samples.spread(lambda rho: bell_weights(rho)[..., k])}
    for name, figure in {"fidelity": lambda rho: bell_weights(rho)[..., k], **_FIGURES}.items():
        interval = samples.interval(figure)
        found |= {
            name: interval.value,
            f"{name}_sigma": interval.sigma,
            f"{name}_low": interval.low,
            f"{name}_high": interval.high,
        }
    found["bell_weights"] = bell_weights(samples.mean)
    return found
