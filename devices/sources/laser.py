"""What all lasers have in common: nothing but a person or a plan switches the light on, and it goes off at every end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devices.base import Instrument
from devices.signals import ScpiSignal
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["Emission", "Laser"]


class Emission(ScpiSignal):
    """The light: 1 makes ready, switches on and waits until it is there; 0 switches off."""

    def store(self, value: Any) -> None:
        """Switch, and see that it happened; blocks for the wire."""
        self.check_value(value)
        if value:
            self.parent.shine()
        else:
            self.parent.make_safe()

    def stop(self, *, success: bool = False) -> WorkerStatus | None:
        """Switch off when a plan that set it was aborted."""
        status: WorkerStatus | None = self.parent.stop(success=success)
        return status


class Laser(Instrument):
    """A laser with a signal `emission`; role `qlab.roles.PhotonSource`.  A driver adds `shine` and `make_safe`."""

    def switch_on(self) -> WorkerStatus:
        """Make ready and switch the emission on; done when the light is there."""
        status: WorkerStatus = self.emission.set(1)
        return status

    def switch_off(self) -> WorkerStatus:
        """Switch the emission off."""
        status: WorkerStatus = self.emission.set(0)
        return status

    def shine(self) -> None:
        """Make ready, switch on and wait for the light; blocks for the wire."""
        raise NotImplementedError

    def refused(self, command: str, found: str) -> None:
        """Raise the error that says why there is no light; a driver may know more."""
        what = "the instrument refused a command"
        raise InstrumentError(what, device=self.name, command=command, found=found, expected="no error")

    def measure(self) -> None:
        """Fetch the readings; raises `InterlockError` when the light went out by itself."""
        super().measure()
        if self.emission.wanted and not self.emission.get():
            self.emission.wanted = 0
            self.refused(self.emission.query, "0")
