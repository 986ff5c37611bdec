"""What the lab file says S should be, without the world: state, plates, splitters, efficiencies, darks and accidentals.

This is deliberately another way of calculating than `qlab.physics` takes: correlation matrices instead of Kraus operators,
and rates instead of draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.lab import optic_models

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.lab.models import LabFile

__all__ = ["Prediction", "predict_chsh"]

_DIAGONALS = {"phi+": (1, 1, -1), "phi-": (1, -1, 1), "psi+": (-1, 1, 1), "psi-": (-1, -1, -1)}


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction of S.

    Attributes
    ----------
    s:
        With accidentals and darks.
    s_state:
        Of the state and the splitters alone.
    visibility:
        That the accidentals leave of the splitters' contrast.
    """

    s: float
    s_state: float
    visibility: float


def predict_chsh(lab: LabFile, singles_hz: NDArray[np.floating], coincidences_hz: float, window_ps: int) -> Prediction:
    """Predict S at the best settings.

    Parameters
    ----------
    lab:
        The lab file; its first pair source counts.
    singles_hz:
        Measured rates of the four inputs, Alice's two first, shape (4,): they fix the accidentals.
    coincidences_hz:
        Measured total coincidence rate of one setting.
    window_ps:
        Full width of the coincidence window.

    Notes
    -----
    The correlation matrix of the state is V diag(d) with the coherence factor c on X and Y; a splitter's extinction e
    shrinks every Bloch vector by 1 - 2e.  Accidentals add S_A S_B T_w without correlation, T_w the full width including the
    discretisation of 1 ps.  S = sqrt(2) (t_z + t_x) at the CHSH angles.
    """
    source = next(o for o in lab.optics.values() if isinstance(o, optic_models.PairSourceModel))
    leaks = [10.0 ** (-o.extinction_db / 10.0) for o in lab.optics.values() if isinstance(o, optic_models.PbsModel)]
    contrast = math.prod(1.0 - 2.0 * leak for leak in leaks)
    state = source.state
    diagonal = _DIAGONALS[state.bell]
    t_z = abs(diagonal[0]) * state.visibility * contrast
    t_x = abs(diagonal[1]) * state.visibility * state.coherence * contrast
    s_state = math.sqrt(2.0) * (t_z + t_x)
    accidental = float(np.outer(singles_hz[:2], singles_hz[2:]).sum()) * (2 * (window_ps // 2) + 1) * 1e-12
    kept = 1.0 - accidental / coincidences_hz
    return Prediction(s_state * kept, s_state, kept * contrast)
