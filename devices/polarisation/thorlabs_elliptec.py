"""Thorlabs Elliptec ELL14: rotation mount on a multidrop bus; turns a wave plate.

Serial, 9600 baud; frames are an address, two letters and hexadecimal data, without terminator towards the module and with
CR LF back.  All mounts of a bus share one link.  A move leaves the bus free: the driver waits on the lab's clock for as long
as the way takes and then asks where the mount is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import WireSignal
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["ELL14"]

BUSY = 9
STATUS = {
    1: "communication time-out",
    2: "mechanical time-out: the mount is stuck or its drive is off resonance",
    3: "the module does not know the command",
    4: "a value is out of range",
    5: "the module is isolated",
    7: "initialisation failed",
    8: "thermal error",
    9: "the module is still busy",
    10: "sensor error",
    11: "motor error",
    12: "out of range",
    13: "over-current",
}
SPEED_DEG_PER_S = 430.0
"""[V2] Fastest rotation; the module is asked for its share of it."""
SETTLE_S = 0.1
"""[INF] A move takes 0.1 to 1 s in all."""
MOVE_TIMEOUT_S = 10.0
TOLERANCE_DEG = 1.0


class ELL14(Instrument):
    """A rotation mount; role `qlab.roles.Rotator`.

    Parameters
    ----------
    unit:
        Its address on the bus, "0" to "F".
    """

    identity = r"^.IN0E"
    twin = "sim_devices.polarisation.thorlabs_elliptec.ELL14Twin"
    wire = "serial"
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b""}
    multidrop = True

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        offset_deg: float = 0.0
        """Where the mount stands when the plate's fast axis is horizontal."""

    angle_deg = Cpt(WireSignal, query="gp", units="deg", kind="normal")

    def __init__(self, prefix: str = "", *, unit: str = "0", **kwargs: object) -> None:
        super().__init__(prefix, **kwargs)  # type: ignore[arg-type]
        self.unit = unit.upper()
        self._pulses_per_turn = 143360

    def connect(self) -> None:
        """Identify this unit, whoever opened the bus."""
        self.link.open()
        self.check_identity(self.link)
        self._pulses_per_turn = int(self.identity_text[25:33], 16) or self._pulses_per_turn
        self.apply_settings()
        self.refresh_configuration()
        self.measure()

    def query_identity(self, link: Link) -> str:
        """Return the reply to `in`."""
        return self._exchange(link, "in")

    @property
    def firmware(self) -> str:
        """The firmware field of the identity, hexadecimal."""
        return self.identity_text[15:17]

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the plate's angle; the only value that is asked for."""
        del delay_s, timeout_s
        return f"{self._degrees(self._position(self._exchange(self.link, command)))}"

    def set(self, angle_deg: float) -> WorkerStatus:
        """Turn the plate's fast axis to an angle from horizontal; done when the mount stands there."""
        return self.in_thread("move", lambda: self.move(angle_deg))

    def move(self, angle_deg: float) -> None:
        """Turn and wait; blocks for the wire."""
        target = (angle_deg + self.settings.offset_deg) % 360.0
        pulses = round(target / 360.0 * self._pulses_per_turn) % self._pulses_per_turn
        way = abs(target - (self.angle_deg.get() + self.settings.offset_deg) % 360.0)
        self.link.write(f"{self.unit}ma{pulses:08X}".encode())
        self.clock.sleep(way / SPEED_DEG_PER_S + SETTLE_S)
        self._arrive(pulses)
        found = self.angle_deg.get()
        away = abs((found - angle_deg + 180.0) % 360.0 - 180.0)
        if away > TOLERANCE_DEG:
            what = f"the mount stopped {away:.2f} deg away from where it should be"
            raise InstrumentError(
                what, device=self.name, found=f"{found:.2f} deg", expected=f"{angle_deg % 360:.2f} deg"
            )

    def home(self) -> WorkerStatus:
        """Find the zero of the scale."""
        return self.in_thread("home", self._home)

    def check_health(self) -> list[str]:
        """Return what the status says."""
        code = self._code(self._exchange(self.link, "gs"))
        return [STATUS.get(code, f"status {code}")] if code else []

    def _home(self) -> None:
        self.link.write(f"{self.unit}ho0".encode())
        self.clock.sleep(360.0 / SPEED_DEG_PER_S + SETTLE_S)
        self._arrive(0)

    def _arrive(self, pulses: int) -> None:
        """Collect the reply of a move; replies of other units on the bus are theirs to ask for again."""
        deadline_s = self.clock.now_s() + MOVE_TIMEOUT_S
        while True:
            reply = self._reply_or_status()
            if reply[1:3] == "PO":
                self.angle_deg.remember(self._degrees(self._position(reply)))
                return
            code = self._code(reply)
            if code not in (0, BUSY):
                self._raise(code, f"ma{pulses:08X}", reply)
            if self.clock.now_s() > deadline_s:
                self._raise(2, f"ma{pulses:08X}", reply)
            self.clock.sleep(0.05)

    def _reply_or_status(self) -> str:
        """Ask for the position; a mount that still moves answers with its status instead."""
        with self.link.transaction() as link:
            link.discard()
            return self._exchange(link, "gp")

    def _exchange(self, link: Link, letters: str) -> str:
        command = f"{self.unit}{letters}"
        with link.transaction():
            link.discard()
            reply = link.query(command.encode()).decode("latin-1")
        if reply[:1] != self.unit:
            link.distrust()
            what = "another unit of the bus answered"
            raise BadReplyError(what, device=self.name, command=command, found=reply, expected=f"{self.unit}...")
        if reply[1:3] == "GS" and letters not in ("gs", "gp"):
            self._raise(self._code(reply), command, reply)
        return reply

    def _position(self, reply: str) -> int:
        try:
            value = int(reply[3:11], 16)
            if reply[1:3] != "PO":
                raise ValueError
        except ValueError as error:
            if reply[1:3] == "GS":
                self._raise(self._code(reply), "gp", reply)
            what = "the reply is not a position"
            raise BadReplyError(what, device=self.name, found=reply, expected=f"{self.unit}PO and 8 digits") from error
        return value - (1 << 32) if value >= 1 << 31 else value

    def _code(self, reply: str) -> int:
        try:
            return int(reply[3:5], 16)
        except ValueError as error:
            what = "the reply is not a status"
            raise BadReplyError(what, device=self.name, found=reply, expected=f"{self.unit}GS and 2 digits") from error

    def _degrees(self, pulses: int) -> float:
        offset_deg: float = self.settings.offset_deg
        return (pulses / self._pulses_per_turn * 360.0 - offset_deg) % 360.0

    def _raise(self, code: int, command: str, reply: str) -> None:
        raise InstrumentError(STATUS.get(code, f"status {code}"), device=self.name, command=command, found=reply)
