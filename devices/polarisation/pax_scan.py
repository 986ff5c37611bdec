"""Measurements of the Thorlabs PAX1000 as its binary replies have them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

__all__ = ["SIZE", "Scan", "scans_of"]

LAYOUT = "<IIIIIIIffffff"
SIZE = struct.calcsize(LAYOUT)
"""[V1] Seven whole numbers and six others, 52 bytes."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One measurement: the plate's state, and the ellipse of the light."""

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

    @property
    def stokes(self) -> tuple[float, float, float]:
        """The normalised Stokes parameters: H-V, D-A, R-L; their length is the degree of polarisation."""
        linear = self.dop * math.cos(2.0 * self.ellipticity_rad)
        azimuth = 2.0 * self.azimuth_rad
        return linear * math.cos(azimuth), linear * math.sin(azimuth), self.dop * math.sin(2.0 * self.ellipticity_rad)


def scans_of(data: bytes) -> list[Scan]:
    """Read records one after the other; raises `ValueError` for a length that is none or numbers that are none."""
    if len(data) % SIZE:
        msg = f"{len(data)} bytes are not a multiple of {SIZE}"
        raise ValueError(msg)
    scans = [Scan(*fields) for fields in struct.iter_unpack(LAYOUT, data)] if data else []
    if not all(math.isfinite(s.azimuth_rad + s.ellipticity_rad + s.dop + s.power_w) for s in scans):
        msg = "a measurement is not finite"
        raise ValueError(msg)
    return scans
