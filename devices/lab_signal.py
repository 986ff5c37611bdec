"""What all signals of our devices share, and the one that the driver keeps by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Signal

from devices.worker import done_status
from qlab.errors import LimitError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["LabSignal", "SoftSignal"]


class LabSignal(Signal):
    """What all our signals share: lab time stamps, units, limits, precision."""

    def __init__(
        self,
        *,
        units: str = "",
        limits: tuple[float, float] | None = None,
        precision: int | None = None,
        initial: Any = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(value=initial, timestamp=kwargs["parent"].clock.now_s(), **kwargs)
        self.units = units
        self.precision = precision
        self._limits = limits

    @property
    def limits(self) -> tuple[float, float] | None:
        """The inclusive limits of a settable signal."""
        return self._limits

    def check_value(self, value: Any) -> None:
        """Raise `LimitError` for a value outside the limits, before anything is sent."""
        limits = self.limits
        if limits is not None and not limits[0] <= value <= limits[1]:
            found = f"{self.parent.name}: {self.attr_name} = {value!r} {self.units}".rstrip()
            msg = f"{found} is outside its limits, {limits[0]:g} to {limits[1]:g} {self.units}".rstrip()
            raise LimitError(msg, self.attr_name)

    def remember(self, value: Any) -> None:
        """Take a value that came by another way."""
        super().put(value, timestamp=self.parent.clock.now_s(), force=True)

    def describe(self) -> dict[str, Any]:
        """Describe for the documents, with units, precision and limits."""
        description: dict[str, Any] = super().describe()
        key = description[self.name]
        if self.units:
            key["units"] = self.units
        if self.precision is not None:
            key["precision"] = self.precision
        if self.limits is not None:
            key["lower_ctrl_limit"], key["upper_ctrl_limit"] = self.limits
        return description


class SoftSignal(LabSignal):
    """A value that the driver keeps; setting it sends nothing."""

    def set(self, value: Any, **_: Any) -> WorkerStatus:
        """Take a value; done at once."""
        self.put(value)
        return done_status(self.parent.clock, f"set {self.name}")

    def put(self, value: Any, **_: Any) -> None:
        """Take a value; raises `LimitError` outside the limits."""
        self.check_value(value)
        self.remember(value)
