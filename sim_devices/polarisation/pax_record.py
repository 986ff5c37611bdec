"""One measurement of a rotating-wave-plate polarimeter: what the plate makes of the light, and how it is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RECORD", "Errors", "Record", "detector_extremes", "evaluate"]

RECORD: Final = Struct("<7I6f")
"""52 bytes [V1]."""
REFERENCE_POINTS = 1024
"""A measurement of so many points has the noise that the parameters give."""


@dataclass(frozen=True, slots=True)
class Record:
    """Thirteen numbers, in the order of the wire [V1]."""

    revolution: int
    timestamp: int
    mode: int
    flags: int
    gain: int
    adc_min: int
    adc_max: int
    revolution_s: float
    misadjustment: float
    azimuth_rad: float
    ellipticity_rad: float
    dop: float
    power_w: float

    def text(self) -> str:
        """Return the record as `SENS:DATA:LAT?` tells it."""
        whole = (self.revolution, self.timestamp, self.mode, self.flags, self.gain, self.adc_min, self.adc_max)
        return ",".join([*map(str, whole), *(f"{value:.6e}" for value in self._floats())])

    def packed(self) -> bytes:
        """Return the record as `SENS:DATA:OLD:BIN?` tells it."""
        whole = (self.revolution, self.timestamp, self.mode, self.flags, self.gain, self.adc_min, self.adc_max)
        return RECORD.pack(*(value & 0xFFFFFFFF for value in whole), *self._floats())

    def _floats(self) -> tuple[float, ...]:
        angles = (self.azimuth_rad, self.ellipticity_rad)
        return (self.revolution_s, self.misadjustment, *angles, self.dop, self.power_w)


@dataclass(frozen=True, slots=True)
class Errors:
    """What the instrument adds to the truth.

    Parameters
    ----------
    rotation:
        Proper rotation of the Poincare sphere: the error of the calibration, always the same.
    dop:
        Relative error of the degree of polarisation, always the same.
    noise:
        Standard deviation of each normalised Stokes parameter.
    noise_w:
        What is added to it in quadrature, over the power: the amplifier's noise.
    """

    rotation: NDArray[np.float64]
    dop: float
    noise: float
    noise_w: float


def evaluate(
    stokes_w: NDArray[np.float64], errors: Errors, points: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return azimuth and ellipticity in rad, degree of polarisation and power in W as the instrument finds them."""
    power = float(stokes_w[0])
    scale = math.sqrt(REFERENCE_POINTS / points)
    draws = rng.standard_normal(4) * scale
    amplifier = errors.noise_w * draws[0]
    spread = math.hypot(errors.noise, errors.noise_w / max(power, errors.noise_w))
    vector = errors.rotation @ (stokes_w[1:] / power if power > 0 else np.zeros(3)) * (1.0 + errors.dop)
    s1, s2, s3 = vector + spread * draws[1:]
    dop = math.hypot(s1, s2, s3)
    ellipticity = 0.5 * math.asin(max(-1.0, min(1.0, s3 / dop))) if dop else 0.0
    return 0.5 * math.atan2(s2, s1), ellipticity, dop, max(power * (1.0 + errors.noise * draws[0]) + amplifier, 0.0)


def detector_extremes(stokes_w: NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the most power in W on the detector while the plate turns.

    A quarter-wave plate at the angle p before a horizontal polariser lets through
    (S0 + S1 cos^2 2p + S2 sin 2p cos 2p - S3 sin 2p) / 2 (Schaefer et al., Am. J. Phys. 75, 163 (2007), eq. 9).
    """
    s0, s1, s2, s3 = (float(value) for value in stokes_w)
    angle = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)  # twice the plate's
    seen = 0.5 * (s0 + s1 * np.cos(angle) ** 2 + s2 * np.sin(angle) * np.cos(angle) - s3 * np.sin(angle))
    return float(seen.min()), float(seen.max())
