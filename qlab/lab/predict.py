"""What the lab file says S should be, without the world: state, splitters and accidentals, by `qlab.analysis.prediction`.

That is another way of calculating than `qlab.physics` takes: rates instead of draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.prediction import PairExperiment, linear_analyser, werner_state
from qlab.errors import BadRequestError
from qlab.lab.optic_models import PairSourceModel, PbsModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.lab.models import LabFile

__all__ = ["Prediction", "predict_chsh"]

ANGLES_DEG = ((0.0, 45.0), (22.5, 67.5))


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction of S at the best settings: as it is counted, and of state and splitters alone.

    Attributes
    ----------
    s, s_state:
        Both predictions.
    e:
        The correlations as they are counted, at (a, b), (a, b'), (a', b), (a', b'), shape (4,); with the signs of phi+.
    """

    s: float
    s_state: float
    e: NDArray[np.float64]


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
    Pair rate and efficiencies follow from the measured rates as Klyshko's do, R = S_A S_B / C and eta = C / S, so that only
    the correlations come from the file.  The window holds the differences of whole ps up to half of it on either side.
    """
    source = next((optic for optic in lab.optics.values() if isinstance(optic, PairSourceModel)), None)
    if source is None:
        msg = f"lab {lab.name}: there is no pair source whose S could be predicted"
        raise BadRequestError(msg)
    leaks = [10.0 ** (-optic.extinction_db / 10.0) for optic in lab.optics.values() if isinstance(optic, PbsModel)]
    extinctions = [*leaks[:2], 0.0, 0.0][:2]
    effective_ps = 2 * (window_ps // 2) + 1
    s_a, s_b = float(np.sum(singles_hz[:2])), float(np.sum(singles_hz[2:]))
    true_hz = coincidences_hz - s_a * s_b * effective_ps * 1e-12
    rho = werner_state(source.state.visibility)  # the analysers' frames make phi+ of any Bell state
    # Dephasing: the coherences between H and V of either photon are the two anti-diagonal pairs.
    rho = np.where(np.eye(4) > 0, rho, rho * source.state.coherence)
    experiment = PairExperiment(rho, s_a * s_b / true_hz, effective_ps)
    efficiencies = (true_hz / s_b, true_hz / s_a)
    parties = [
        [linear_analyser(angle, eta, 0.0, leak) for angle in angles]
        for angles, eta, leak in zip(ANGLES_DEG, efficiencies, extinctions, strict=True)
    ]
    e = np.array([experiment.correlation(a, b) for a in parties[0] for b in parties[1]])
    return Prediction(abs(experiment.chsh(*parties)), abs(experiment.chsh(*parties, corrected=True)), e)
