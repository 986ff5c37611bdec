"""A polarisation analyser: a quarter-wave plate, a half-wave plate and a polarising splitter, in the light's order.

To send the state with Bloch vector (Z, X, Y) = (cos 2e cos 2p, cos 2e sin 2p, sin 2e), an ellipse with azimuth p and
ellipticity e (Y = 1 is R = (H - iV)/sqrt 2), into the transmitted port: the quarter-wave plate at the azimuth p makes it
linear at p + e, and the half-wave plate at half of that angle turns it horizontal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device

from devices.all_status import AllStatus
from devices.signals import SoftSignal
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from devices.worker import WorkerStatus
    from qlab.clock import Clock

    class Mount(Protocol):
        """A rotation mount."""

        name: str
        repeatability_deg: float

        def set(self, angle_deg: float) -> WorkerStatus:
            """Turn."""
            ...

        def stop(self, *, success: bool = False) -> object:
            """Stop turning."""
            ...


__all__ = ["WavePlateAnalyser", "analysed_vector", "plate_angles_deg"]

STEP_RAD = 1e-5
"""Of the numerical derivative."""


def plate_angles_deg(vector: Sequence[float]) -> tuple[float, float]:
    """Return the fast-axis angles of quarter- and half-wave plate that send `vector` (Z, X, Y) to the transmitted port."""
    z, x, y = vector
    azimuth = 0.5 * math.atan2(x, z) if math.hypot(x, z) > 1e-12 else 0.0
    ellipticity = 0.5 * math.asin(max(-1.0, min(1.0, y)))
    linear = azimuth + ellipticity
    # Twice, because a tiny negative angle modulo 180 is 180.0 in floating point.
    return math.degrees(azimuth) % 180.0 % 180.0, math.degrees(linear / 2.0) % 180.0 % 180.0


def analysed_vector(qwp_deg: float, hwp_deg: float) -> NDArray[np.float64]:
    """Return the Bloch vector (Z, X, Y) that the plates send to the transmitted port: the inverse of `plate_angles_deg`."""
    horizontal = np.array([1.0, 0.0, 0.0])
    return _retarded(_retarded(horizontal, hwp_deg, math.pi), qwp_deg, math.pi / 2.0)


def _retarded(vector: NDArray[np.float64], axis_deg: float, retardance_rad: float) -> NDArray[np.float64]:
    """Turn a Bloch vector (Z, X, Y) back through a plate."""
    double = math.radians(2.0 * axis_deg)
    axis = np.array([math.cos(double), math.sin(double), 0.0])
    along = axis * float(axis @ vector)
    across: NDArray[np.float64] = np.cross(axis, vector)
    return along + math.cos(retardance_rad) * (vector - along) + math.sin(retardance_rad) * across


class WavePlateAnalyser(Device):
    """An analyser made of two rotation mounts; role `qlab.roles.PolarisationAnalyser`.

    Parameters
    ----------
    hwp, qwp:
        The mounts of the plates.
    transmitted, reflected:
        The tagger's inputs behind the two ports, from 1.

    Reads the wanted Bloch vector, the azimuth of its linear part (`linear_deg`) and the angles that the plates were sent
    to; `frame` is the rotation of `set_frame`, row by row.
    """

    bloch_z = Cpt(SoftSignal, initial=1.0, precision=4, kind="normal")
    bloch_x = Cpt(SoftSignal, initial=0.0, precision=4, kind="normal")
    bloch_y = Cpt(SoftSignal, initial=0.0, precision=4, kind="normal")
    linear_deg = Cpt(SoftSignal, initial=0.0, units="deg", precision=3, kind="hinted")
    qwp_deg = Cpt(SoftSignal, initial=0.0, units="deg", precision=3, kind="normal")
    hwp_deg = Cpt(SoftSignal, initial=0.0, units="deg", precision=3, kind="normal")
    frame = Cpt(SoftSignal, initial=np.eye(3).ravel(), kind="config")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        hwp: Mount,
        qwp: Mount,
        transmitted: int,
        reflected: int,
        **kwargs: Any,
    ) -> None:
        self.clock = clock
        super().__init__(prefix, name=name, **kwargs)
        self.hwp = hwp
        self.qwp = qwp
        self.transmitted = transmitted
        self.reflected = reflected

    def set(self, setting: float | Sequence[float]) -> AllStatus:
        """Analyse linear polarisation at an angle in degrees, or a Bloch vector (Z, X, Y), in the aligned frame."""
        if not isinstance(setting, (int, float)):
            return self.set_bloch(setting)
        double = math.radians(2.0 * setting)
        return self.set_bloch((math.cos(double), math.sin(double), 0.0))

    def set_bloch(self, vector: Sequence[float]) -> AllStatus:
        """Analyse the state with this Bloch vector (Z, X, Y) in the aligned frame; both plates turn at once."""
        wanted = np.asarray(vector, dtype=np.float64)
        length = float(np.linalg.norm(wanted))
        if wanted.shape != (3,) or not math.isclose(length, 1.0, abs_tol=1e-6):
            msg = f"{self.name}: {vector!r} is not a unit Bloch vector (Z, X, Y)"
            raise BadRequestError(msg)
        bare = self.frame_rotation @ wanted
        qwp, hwp = plate_angles_deg([float(v) for v in bare])
        for signal, value in zip((self.bloch_z, self.bloch_x, self.bloch_y), wanted, strict=True):
            signal.put(float(value))
        self.linear_deg.put(math.degrees(0.5 * math.atan2(wanted[1], wanted[0])) % 180.0)
        self.qwp_deg.put(qwp)
        self.hwp_deg.put(hwp)
        return AllStatus(self.clock, f"{self.name} set", [lambda: self.qwp.set(qwp), lambda: self.hwp.set(hwp)])

    @property
    def plate_angles_deg(self) -> tuple[float, float]:
        """The angles that the quarter- and the half-wave plate were sent to last."""
        return float(self.qwp_deg.get()), float(self.hwp_deg.get())

    @property
    def plate_repeatability_deg(self) -> float:
        """The standard deviation of where the worse of both mounts stops."""
        return max(self.qwp.repeatability_deg, self.hwp.repeatability_deg)

    @property
    def frame_rotation(self) -> NDArray[np.float64]:
        """The rotation of `set_frame`, shape (3, 3)."""
        return np.asarray(self.frame.get(), dtype=np.float64).reshape(3, 3)

    def bloch_covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the analysed Bloch vector, shape (3, 3), that the mounts' repeatability leaves.

        In the aligned frame, at the setting that the plates were sent to last.
        """
        angles = np.radians([self.qwp_deg.get(), self.hwp_deg.get()])
        sigmas = np.radians([self.qwp.repeatability_deg, self.hwp.repeatability_deg])
        frame = self.frame_rotation
        covariance = np.zeros((3, 3))
        for plate, sigma in enumerate(sigmas):
            step = np.zeros(2)
            step[plate] = STEP_RAD
            ahead, behind = (analysed_vector(*np.degrees(angles + sign * step)) for sign in (1.0, -1.0))
            slope = frame.T @ (ahead - behind) / (2.0 * STEP_RAD)
            covariance += np.outer(slope, slope) * sigma**2
        return covariance

    def stop(self, *, success: bool = False) -> None:
        """Stop both plates, unless all went well."""
        super().stop(success=success)
        for mount in (self.qwp, self.hwp):
            mount.stop(success=success)

    def set_frame(self, rotation: NDArray[np.float64]) -> None:
        """Define the aligned frame: a vector of the frame times `rotation` is one of the bare analyser."""
        matrix = np.asarray(rotation, dtype=np.float64)
        if (
            matrix.shape != (3, 3)
            or not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
            or np.linalg.det(matrix) < 0
        ):
            msg = f"{self.name}: the frame must be a proper rotation, shape (3, 3)"
            raise BadRequestError(msg)
        self.frame.put(matrix.ravel())
