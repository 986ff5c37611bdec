"""What the wave plates of two analysers do to S where they stand a little wrong, or are not quite what they should be.

The analyser is a quarter-wave plate, a half-wave plate and a polarising splitter, in the way of the light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.bell import SIGNS
from qlab.errors import BadRequestError
from qlab.physics.jones import wave_plate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["PlateErrors", "SettingsError", "analysed_bloch", "chsh_settings_error"]

_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class PlateErrors:
    """Standard uncertainties of one analyser's plates, in degrees.

    Parameters
    ----------
    repeatability_deg:
        Of a plate's angle each time that it is sent somewhere.
    zero_deg:
        Of where its axis is when it says 0: the same at every setting.
    retardance_deg:
        Of its retardance: the same at every setting.
    """

    repeatability_deg: float = 0.0
    zero_deg: float = 0.0
    retardance_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class SettingsError:
    """What the plates' errors do to S.

    `shift` is what S loses on average, which is negative at the best settings, and `sigma` its standard deviation around
    that; `sigma_repeatability`, `sigma_zero` and `sigma_retardance` are its parts to first order.
    """

    sigma: float
    shift: float
    sigma_repeatability: float
    sigma_zero: float
    sigma_retardance: float
    units: str = ""
    method: str = "second-order propagation of normal errors"


def analysed_bloch(
    qwp_deg: float, hwp_deg: float, qwp_retardance_deg: float = 90.0, hwp_retardance_deg: float = 180.0
) -> NDArray[np.float64]:
    """Return the Bloch vector (Z, X, Y) of the light that leaves by the transmitted port, shape (3,)."""
    plates = wave_plate(math.radians(hwp_retardance_deg), math.radians(hwp_deg)) @ wave_plate(
        math.radians(qwp_retardance_deg), math.radians(qwp_deg)
    )
    h, v = plates[0].conj()
    cross = h * v.conjugate()
    return np.array([abs(h) ** 2 - abs(v) ** 2, 2.0 * cross.real, 2.0 * cross.imag])


def chsh_settings_error(
    t: ArrayLike,
    alice_deg: Sequence[tuple[float, float]],
    bob_deg: Sequence[tuple[float, float]],
    alice: PlateErrors,
    bob: PlateErrors,
    *,
    anew: bool = True,
    signs: tuple[int, ...] = SIGNS,
) -> SettingsError:
    """Propagate the errors of eight plate angles and four retardances into S.

    Parameters
    ----------
    t:
        T_ij = <sigma_i x sigma_j> along Z, X, Y, shape (3, 3).
    alice_deg, bob_deg:
        Angles (quarter, half) of their two settings.
    anew:
        Plates are sent to their setting again for each of the four correlations; otherwise once for both correlations
        that a setting enters.
    signs:
        Of the four correlations.

    Notes
    -----
    For normal errors x of covariance C, S(x) = S + g x + x H x / 2 has mean S + tr(HC)/2 and variance
    g C g + tr(HCHC)/2.  The second terms matter: S is stationary at the best settings if the plates are sent there once.

    Raises
    ------
    BadRequestError
        Not two settings a party, or negative errors.
    """
    matrix = np.asarray(t, dtype=np.float64)
    given = [getattr(one, name) for one in (alice, bob) for name in PlateErrors.__slots__]
    if len(alice_deg) != 2 or len(bob_deg) != 2 or matrix.shape != (3, 3) or min(given) < 0:
        msg = (
            f"errors of {len(alice_deg)} and {len(bob_deg)} settings, T {matrix.shape}; expected 2, 2, (3, 3), none < 0"
        )
        raise BadRequestError(msg)
    diallings = 4 if anew else 2
    per_party = 2 * diallings + 4

    def vector(x: NDArray[np.float64], party: int, setting: int, term: int) -> NDArray[np.float64]:
        mine = x[party * per_party : (party + 1) * per_party]
        dialled = mine[2 * (term if anew else setting) :][:2]
        qwp, hwp = (alice_deg, bob_deg)[party][setting]
        zero, plate = mine[-4:-2], mine[-2:]
        return analysed_bloch(qwp + dialled[0] + zero[0], hwp + dialled[1] + zero[1], 90.0 + plate[0], 180.0 + plate[1])

    def s(x: NDArray[np.float64]) -> float:
        total = 0.0
        for term, sign in enumerate(signs):
            total += sign * float(vector(x, 0, term // 2, term) @ matrix @ vector(x, 1, term % 2, term))
        return total

    sigmas = np.concatenate(
        [
            [one.repeatability_deg] * (2 * diallings) + [one.zero_deg] * 2 + [one.retardance_deg] * 2
            for one in (alice, bob)
        ]
    )
    kinds = np.array(([0] * (2 * diallings) + [1] * 2 + [2] * 2) * 2)
    gradient, hessian = _derivatives(s, sigmas)
    again, zero, plate = (math.sqrt(float((gradient[kinds == kind] ** 2).sum())) for kind in range(3))
    variance = float(gradient @ gradient) + 0.5 * float((hessian * hessian).sum())
    return SettingsError(math.sqrt(variance), 0.5 * float(np.trace(hessian)), again, zero, plate)


def _derivatives(
    s: Callable[[NDArray[np.float64]], float], sigmas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gradient and Hessian in units of the standard deviations, by central differences of `_STEP` radians."""
    n, step = sigmas.size, math.degrees(_STEP)
    unit = step * np.eye(n)
    scale = sigmas / step
    middle = s(np.zeros(n))
    ahead, behind = np.array([s(row) for row in unit]), np.array([s(-row) for row in unit])
    hessian = np.diag(ahead + behind - 2.0 * middle)
    for i in range(n):
        for j in range(i):
            mixed = s(unit[i] + unit[j]) - ahead[i] - ahead[j] + middle
            mixed += s(-unit[i] - unit[j]) - behind[i] - behind[j] + middle
            hessian[i, j] = hessian[j, i] = mixed / 2.0
    return (ahead - behind) / 2.0 * scale, hessian * np.outer(scale, scale)
