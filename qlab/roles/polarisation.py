"""What turns, analyses and controls polarisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from ophyd import Signal
    from ophyd.status import Status


__all__ = ["PolarisationAnalyser", "PolarisationController", "Rotator"]


@runtime_checkable
class Rotator(Protocol):
    """An axis of rotation in degrees; `repeatability_deg` is the standard deviation of where it stops.

    A turn takes up to some seconds; its status fails with `InstrumentError` where the motor is stuck or did not arrive.
    """

    name: str
    repeatability_deg: float

    def set(self, angle_deg: float) -> Status:
        """Turn to `angle_deg`; done when the mount has arrived."""


@runtime_checkable
class PolarisationAnalyser(Protocol):
    """Projects one photon of a pair on a polarisation and its orthogonal.

    `transmitted` and `reflected` are the tagger's input numbers, from 1, behind the two ports.  A setting takes as long as
    the slower of its motors, and fails as a `Rotator` does; `set_frame` raises `BadRequestError` for what is no rotation.
    """

    name: str
    transmitted: int
    reflected: int

    def set(self, setting: float | Sequence[float]) -> Status:
        """Analyse linear polarisation at an angle in degrees, or a Bloch vector (Z, X, Y), in the aligned frame."""

    def set_bloch(self, vector: Sequence[float]) -> Status:
        """Analyse the state with this unit Bloch vector (Z = H/V, X = D/A, Y = R/L) in the aligned frame."""

    @property
    def plate_angles_deg(self) -> tuple[float, float] | None:
        """Where quarter- and half-wave plate were sent to last; None for an analyser of another kind."""

    @property
    def plate_repeatability_deg(self) -> float:
        """The standard deviation of where the plates stop; 0 for an analyser of another kind."""

    @property
    def frame_rotation(self) -> NDArray[np.float64]:
        """The aligned frame, shape (3, 3)."""

    def bloch_covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the analysed Bloch vector at the last setting, shape (3, 3), in the aligned frame."""

    def set_frame(self, rotation: NDArray[np.float64]) -> None:
        """Define the aligned frame by a proper 3x3 rotation of the Bloch sphere; identity is the bare analyser."""


@runtime_checkable
class PolarisationController(Protocol):
    """Turns any polarisation into any other by several controls whose effect on the fibre only trying tells.

    Squeezers follow in milliseconds, paddles in seconds.  `set` raises `LimitError` at once outside the controls' limits; its
    status fails with `InstrumentError` where a motor is stuck.
    """

    name: str

    @property
    def controls(self) -> Sequence[Signal]:
        """The controls, each with its `limits` and what it was set to last."""

    def set(self, values: Sequence[float]) -> Status:
        """Set all controls, each in its own unit; done when they have settled."""
