"""Thorlabs Elliptec ELL14: rotation mount on a multidrop bus; turns a wave plate.

Serial, 9600 baud; frames are an address, two letters and hexadecimal data, without terminator towards the module and with
CR LF back.  All mounts of a bus share one link.  A move leaves the bus free: the driver waits on the lab's clock for as long
as the way takes and then collects the module's reply.  Angles count modulo 360 degrees, and the mount takes the shorter way.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.polarisation.elliptec_bus import bus_of
from devices.signals import QuerySignal
from qlab.errors import BadReplyError, BadRequestError, InstrumentError
from qlab.links.lock import ClockLock

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
    6: "the module is out of isolation",
    7: "initialisation failed",
    8: "thermal error",
    9: "the module is still busy",
    10: "sensor error",
    11: "motor error",
    12: "out of range",
    13: "over-current",
}
SPEED_DEG_PER_S = 430.0
"""[V2] Fastest rotation; the module says its share of it."""
START_STOP_S = 0.1
"""[INF] A move takes 0.1 to 1 s in all."""
MOVE_TIMEOUT_S = 10.0
POLL_S = 0.05
TOLERANCE_DEG = 0.5
"""[INF] Repeatability is 0.05 to 0.2 degrees."""


class ELL14(Instrument):
    """A rotation mount; role `qlab.roles.Rotator`.

    Parameters
    ----------
    unit:
        Its address on the bus, "0" to "F".
    """

    identity = r"^.IN0E[0-9A-F]{28}$"
    twin = "sim_devices.polarisation.thorlabs_elliptec.ELL14Twin"
    wire = "serial"
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b""}
    multidrop = True

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        offset_deg: float = 0.0
        """Where the mount stands when the plate's fast axis is horizontal."""
        home: bool = True
        """Whether the mount looks for its zero at the first connection; without it, nobody knows where it stands."""
        repeatability_deg: float = 0.05
        """[INF] Standard deviation of where it stops; 0.05 to 0.2 degrees."""

    angle_deg = Cpt(QuerySignal, query="gp", units="deg", precision=2, kind="hinted")

    def __init__(self, prefix: str = "", *, unit: str = "0", **kwargs: object) -> None:
        super().__init__(prefix, **kwargs)  # type: ignore[arg-type]
        if re.fullmatch(r"[0-9A-Fa-f]", unit) is None:
            msg = f"{self.name}: unit {unit!r}: expected an address from '0' to 'F'"
            raise BadRequestError(msg)
        self.unit = unit.upper()
        self.homed = False
        self._bus = bus_of(self.link)
        self._generation = 0
        self._pulses_per_turn = 143360
        self._speed_deg_per_s = SPEED_DEG_PER_S
        self._position = 0
        self._moving = False
        self._turning = ClockLock(self.clock)

    def connect(self) -> None:
        """Identify this unit, whoever opened the bus, and find its zero."""
        with self._bus.lock:
            self.link.open()
            self._verify()
        self._pulses_per_turn = int(self.identity_text[25:33], 16) or self._pulses_per_turn
        share = int(self._exchange("gv")[3:5], 16) / 100.0
        self._speed_deg_per_s = SPEED_DEG_PER_S * (share or 1.0)
        if self.settings.home and not self.homed:
            self._home()
        self.measure()

    def query_identity(self, link: Link) -> str:
        """Return the reply to `in`."""
        del link
        reply = self._bus.exchange(self.unit, "in")
        # A status instead: the module complains of half a command that stood on the bus before ours.
        return self._bus.exchange(self.unit, "in") if reply[1:3] == "GS" else reply

    @property
    def firmware(self) -> str:
        """The firmware field of the identity, hexadecimal."""
        return self.identity_text[17:19]

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the plate's angle in degrees; the only value that is asked for."""
        del delay_s, timeout_s
        self._arrived(self._exchange(command))
        return f"{self._angle_deg()}"

    @property
    def repeatability_deg(self) -> float:
        """Standard deviation of where the mount stops."""
        return float(self.settings.repeatability_deg)

    def measure(self) -> None:
        """Fetch the angle; while the mount turns, the last one stands."""
        if not self._moving:
            super().measure()

    def set(self, angle_deg: float) -> WorkerStatus:
        """Turn the plate's fast axis to an angle from horizontal; done when the mount stands there."""
        if not math.isfinite(angle_deg):
            msg = f"{self.name}: angle {angle_deg!r} deg: expected a finite number"
            raise BadRequestError(msg)
        return self.in_thread("move", lambda: self.move(angle_deg))

    def move(self, angle_deg: float) -> None:
        """Turn and wait, after what an earlier move has left to do; blocks for the wire."""
        with self._turning:
            self._move(angle_deg)

    def _move(self, angle_deg: float) -> None:
        self._get_ready()
        if self.settings.home and not self.homed:
            self._find_zero()
        turn = self._pulses_per_turn
        target = round((angle_deg + self.settings.offset_deg) / 360.0 * turn) % turn
        way = (target - self._position + turn // 2) % turn - turn // 2
        direct = 0 <= self._position + way < turn
        self._go(f"ma{target:08X}" if direct else f"mr{way & 0xFFFFFFFF:08X}", abs(way) / turn * 360.0)
        away = abs((self._angle_deg() - angle_deg + 180.0) % 360.0 - 180.0)
        if away > TOLERANCE_DEG:
            what = f"the mount stopped {away:.2f} deg away from where it should be"
            found, expected = f"{self._angle_deg():.2f} deg", f"{angle_deg % 360:.2f} deg"
            raise InstrumentError(what, device=self.name, found=found, expected=expected)

    def home(self) -> WorkerStatus:
        """Find the zero of the scale."""
        return self.in_thread("home", self._home)

    def stop(self, *, success: bool = False) -> WorkerStatus | None:
        """Stop a move."""
        super().stop(success=success)
        return None if success else self.in_thread("stop", lambda: self._bus.interrupt(self.unit))

    def check_health(self) -> list[str]:
        """Return what the status says, and whether the zero is known."""
        code = self._code(self._exchange("gs"))
        unknown = [] if self.homed or not self.settings.home else ["the mount does not know its zero; home it"]
        return [STATUS.get(code, f"status {code}"), *unknown] if code else unknown

    def _get_ready(self) -> None:
        """Prove the link, and clear the error of an earlier move; raises `InstrumentError` for what does not pass."""
        reply = self._exchange("gs")
        code = self._code(reply)
        if code not in (0, 2):
            self._raise(code, "gs", reply)

    def _home(self) -> None:
        with self._turning:
            self._find_zero()

    def _find_zero(self) -> None:
        self._get_ready()
        self._go("ho0", 360.0)
        self.homed = True

    def _go(self, letters: str, way_deg: float) -> None:
        """Move, with the bus free for others until the mount should have arrived."""
        self._moving = True
        try:
            self._bus.start(self.unit, letters, self._generation)
            self.clock.sleep(way_deg / self._speed_deg_per_s + START_STOP_S)
            reply = self._bus.finish(self.unit)
            deadline_s = self.clock.now_s() + MOVE_TIMEOUT_S
            while reply is None or (reply[1:3] == "GS" and self._code(reply) in (0, BUSY)):
                if reply is not None:
                    self.clock.sleep(POLL_S)
                if self.clock.now_s() > deadline_s:
                    self._raise(2, letters, reply or "")
                reply = self._exchange("gp")
            self._arrived(reply)
        finally:
            self._moving = False
        self.angle_deg.remember(self._angle_deg())

    def _verify(self) -> None:
        """After each opening of the bus: see that it is the same module, and whether it stands where it stood."""
        if self._generation == self._bus.generation:
            return
        generation, known = self._bus.generation, bool(self.identity_text)
        self.check_identity(self.link)
        if known:
            before = self._position
            self._arrived(self._bus.exchange(self.unit, "gp"))
            if abs(self._position - before) / self._pulses_per_turn * 360.0 > TOLERANCE_DEG:
                self.homed = False  # it lost its scale with its power, or somebody turned it
        self._generation = generation

    def _exchange(self, letters: str) -> str:
        with self._bus.lock:
            while True:
                self._verify()
                reply = self._bus.exchange(self.unit, letters)
                if self._generation == self._bus.generation:  # the reply came from the module that was identified
                    return reply

    def _arrived(self, reply: str) -> None:
        """Take the position from a reply; raises `InstrumentError` for a status in its place."""
        if reply[1:3] == "GS":
            self._raise(self._code(reply), "gp", reply)
        if reply[1:3] != "PO" or len(reply) != 11:
            what = "the reply is not a position"
            raise BadReplyError(what, device=self.name, found=reply, expected=f"{self.unit}PO and 8 digits")
        value = int(reply[3:], 16)
        self._position = value - (1 << 32) if value >= 1 << 31 else value

    def _code(self, reply: str) -> int:
        if reply[1:3] != "GS" or len(reply) != 5:
            what = "the reply is not a status"
            raise BadReplyError(what, device=self.name, found=reply, expected=f"{self.unit}GS and 2 digits")
        return int(reply[3:], 16)

    def _angle_deg(self) -> float:
        offset_deg: float = self.settings.offset_deg
        return (self._position / self._pulses_per_turn * 360.0 - offset_deg) % 360.0

    def _raise(self, code: int, command: str, reply: str) -> None:
        what = STATUS.get(code, f"status {code}")
        raise InstrumentError(what, device=self.name, command=f"{self.unit}{command}", found=reply or f"{code:02X}")
