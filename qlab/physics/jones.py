"""Jones matrices of what stands between source and detector; angles in radians from horizontal."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bloch_unitary", "random_rotation", "rotation", "wave_plate"]

Matrix: TypeAlias = NDArray[np.complex128]

_SIGMA = (
    np.array([[1, 0], [0, -1]], dtype=np.complex128),  # Z: H, V
    np.array([[0, 1], [1, 0]], dtype=np.complex128),  # X: D, A
    np.array([[0, 1j], [-1j, 0]], dtype=np.complex128),  # Y: R = (H - iV)/sqrt 2, L
)


def rotation(angle_rad: float) -> Matrix:
    """Return the rotation of the polarisation by `angle_rad`."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s], [s, c]], dtype=np.complex128)


def wave_plate(retardance_rad: float, angle_rad: float) -> Matrix:
    """Return a retarder with its fast axis at `angle_rad`: exp(-i d/2) on the fast, exp(+i d/2) on the slow axis."""
    phase = cmath.exp(0.5j * retardance_rad)
    turn = rotation(angle_rad)
    return turn @ np.diag([phase.conjugate(), phase]) @ turn.T


def bloch_unitary(vector: Sequence[float]) -> Matrix:
    """Return the rotation of the Bloch sphere about `vector` (Z, X, Y) by its length in radians."""
    angle = math.sqrt(sum(v * v for v in vector))
    if angle == 0.0:
        return np.eye(2, dtype=np.complex128)
    axis = sum((v / angle) * s for v, s in zip(vector, _SIGMA, strict=True))
    turned: Matrix = math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * np.asarray(axis)
    return turned


def random_rotation(seed: int) -> Matrix:
    """Return a Haar-random SU(2) element: the unit quaternion of four normal draws (Shoemake 1992)."""
    q = np.random.default_rng((seed, 0x5025)).standard_normal(4)
    a, b, c, d = (float(x) for x in q / math.sqrt(float(q @ q)))
    return np.array([[a + 1j * b, c + 1j * d], [-c + 1j * d, a - 1j * b]], dtype=np.complex128)
