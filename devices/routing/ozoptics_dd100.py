"""OZ Optics DD-100-MC: motorised variable attenuator; makes loss, or weak pulses of a laser.

Serial, 9600 baud.  It counts steps from its home and does not know where it stands after power-up, so the driver homes
it at connection (`home: false` leaves that to you); homing and full travel take seconds, and it says `Done` at the end.
Homing passes through small attenuation: do not home into a detector that bright light would hurt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.routing.oz_dialogue import OzInstrument, labelled_number
from devices.signals import QuerySignal
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["DD100"]

HOME_S = 35.0
"""[V2] Homing takes up to 30 s."""
TRAVEL_S = 10.0
"""[INF] Full travel takes 1 to 2 s."""
STEP_DB = 0.05
"""How far the attenuation read back may be from the one that was set; it stops on whole steps."""


class DD100(OzInstrument):
    """The attenuator; role `qlab.roles.Attenuator`."""

    identity = r"IL:\s*\d+(\.\d+)?\b.*MAX ATTEN:\s*\d+(\.\d+)?\b"
    twin = "sim_devices.routing.ozoptics_dd100.DD100Twin"
    empty_line = True

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        loss_db: float | None = None
        home: bool = True

    loss_db = Cpt(
        QuerySignal,
        query="D",
        command="A{:.2f}",
        parse=lambda text: labelled_number(text, "ATTEN"),
        units="dB",
        precision=2,
        limits=(0.0, 100.0),
        verify=STEP_DB,
        kind="hinted",
    )

    homed = False
    insertion_loss_db = 0.0

    def query_identity(self, link: Link) -> str:
        """Return what `CD` tells of the configuration; there is no identity query."""
        del link
        return self.ask("CD", retry=False).replace("\n", ", ")

    def check_identity(self, link: Link) -> None:
        """See that an attenuator answers, and learn its range and insertion loss."""
        super().check_identity(link)
        self.insertion_loss_db = labelled_number(self.identity_text, "IL")
        self.loss_db.narrow(0.0, labelled_number(self.identity_text, "MAX ATTEN"))

    @property
    def firmware(self) -> str:
        """Nothing: it does not tell."""
        return ""

    def apply_settings(self) -> None:
        """Home if that is asked for, then set the attenuation."""
        if self.settings.home and not self.homed:
            self._home()
        super().apply_settings()

    def tell(self, command: str) -> None:
        """Send a set and wait for the motor; refused where the zero is lost, as nobody knows what the loss would be."""
        with self.link.transaction():
            self.loss_db.fetch()  # a power cycle since the last word comes to light here, before anything moves
            if self.settings.home and not self.homed:
                what, hint = "its zero is lost, so a loss cannot be set", "home it: call home()"
                raise InstrumentError(what, device=self.name, command=command, hint=hint)
            self.ask(command, timeout_s=TRAVEL_S, retry=False)

    def set(self, loss_db: float) -> WorkerStatus:
        """Set the attenuation in dB beyond the insertion loss; done when the motor has arrived."""
        status: WorkerStatus = self.loss_db.set(loss_db)
        return status

    def home(self) -> WorkerStatus:
        """Find the zero; done when it has."""
        return self.in_thread("home", self._home)

    def restore(self) -> None:
        """See whether it still stands where it stood: a power cycle lost its zero, and homing is a person's decision."""
        before_db = self.loss_db.get()
        if self.homed and abs(self.loss_db.fetch() - before_db) > STEP_DB:
            self.homed = False

    def check_health(self) -> list[str]:
        """Return whether its zero is known."""
        return [] if self.homed or not self.settings.home else ["it is not homed: its attenuation is unknown"]

    def _home(self) -> None:
        self.ask("H", timeout_s=HOME_S, retry=False)
        self.homed = True
        self.measure()
