"""What one tomography says of a two-qubit state, in numbers with their uncertainties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.analysis.state_extremes import TSIRELSON, entropy_interval, largest_chsh_interval
from qlab.analysis.state_intervals import KINK, linear_state
from qlab.analysis.state_measures import (
    BELL_NAMES,
    bell_weights,
    concurrence,
    negativity,
    purity,
)
from qlab.analysis.state_sampling import sample_states

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.analysis.projections import ProjectionCounts

__all__ = ["describe_state"]

_SMOOTH = {"concurrence": (concurrence, 0.0, 1.0), "purity": (purity, 0.25, 1.0), "negativity": (negativity, 0.0, 0.5)}


def describe_state(data: ProjectionCounts, target: str, seed: int = 0) -> dict[str, Any]:
    """Return fidelity with a Bell state, concurrence and other figures, each with `_sigma`, `_low` and `_high`.

    Parameters
    ----------
    target:
        phi+, phi-, psi+ or psi-.
    seed:
        Of the samples of the posterior, and of the halves of the counts.

    Returns
    -------
    dict
        Values, standard errors and limits of the intervals that hold the truth with 68 %.  Fidelity, concurrence, purity and
        negativity come without bias from `qlab.analysis.state_intervals`, cut where no state is; entropy and the largest S
        from `qlab.analysis.state_extremes`.
        `bell_weights`, shape (4,), and `chain_spread`, R-hat of the fidelity: above 1.1 do not trust the samples.
    """
    samples = sample_states(data, np.random.default_rng(seed))
    k = BELL_NAMES.index(target)

    def fidelity(rho: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray(bell_weights(rho)[..., k])

    found: dict[str, Any] = {"chain_spread": samples.spread(fidelity)}
    state = linear_state(data)
    intervals = {
        "entropy_bits": (entropy_interval(state), 0.0, 2.0),
        "largest_chsh": (largest_chsh_interval(data, state, seed), 0.0, TSIRELSON),
    }
    for name, (figure, least, most) in {"fidelity": (fidelity, 0.0, 1.0), **_SMOOTH}.items():
        mixed_by = KINK if name == "concurrence" else 0.0
        intervals[name] = (state.interval(figure, mixed_by=mixed_by), least, most)
    for name, (interval, least, most) in intervals.items():
        # The error is that of the counts, also where the interval is cut.
        found |= {
            name: min(max(interval.value, least), most),
            f"{name}_sigma": interval.sigma,
            f"{name}_low": min(max(interval.low, least), most),
            f"{name}_high": min(max(interval.high, least), most),
        }
    found["bell_weights"] = bell_weights(samples.mean)
    return found
