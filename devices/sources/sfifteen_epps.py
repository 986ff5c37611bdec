"""S-Fifteen EPPS: an entangled-pair source with pump diode, Peltier and crystal heater on one board.

Serial over USB.  A set is answered by silence, a refused one by a line of text: the driver asks for the status behind each
set to tell these apart.  The current is ramped by 1 mA in 50 ms, as the vendor's library does.  Emission is switched on by
`emission` alone: never at connection, never after a reconnection.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.signals import QuerySignal, parse_float
from devices.sources.laser import Emission, Laser
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["EPPS"]

HEATER_LOOP, PELTIER_LOOP, LASER_ON, LASER_RAIL = 1, 2, 4, 512
RAMP_MA, RAMP_S = 1.0, 0.05  # [V1] as the vendor's library ramps
TOLERANCE_C, TIMEOUT_S, POLL_S = 0.1, 900.0, 1.0
LASER_TOLERANCE_C = 2.0
"""[INF] A laser that is further from its set point than this has lost its temperature control."""


class _Current(QuerySignal):
    """The laser's current, ramped."""

    @property
    def limits(self) -> tuple[float, float] | None:
        low, high = self._limits or (0.0, 0.0)
        return low, min(high, self.parent.current_limit_ma.get())

    def store(self, value: Any) -> None:
        self.check_value(value)
        here = self.fetch()
        steps = math.ceil(abs(value - here) / RAMP_MA)
        for step in range(1, steps):
            self.parent.tell(f"LCURRENT {here + (value - here) * step / steps:.3f}")
            self.parent.clock.sleep(RAMP_S)
        super().store(value)


def _setting(name: str, low: float, high: float, units: str, **more: Any) -> Cpt:
    cls = more.pop("cls", QuerySignal)
    return Cpt(
        cls,
        query=f"{name}?",
        command=name + " {:.3f}",
        units=units,
        precision=3,
        limits=(low, high),
        verify=2e-3,
        kind="config",
        **more,
    )


class EPPS(Laser):
    """The source; role `qlab.roles.PhotonSource`."""

    identity = r"SPDCSDR"
    twin = "sim_devices.sources.sfifteen_epps.EPPSTwin"
    wire = "serial"
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b"\n"}
    line_break = b"\n"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        current_limit_ma: float | None = None
        current_ma: float | None = None
        crystal_c: float | None = None
        laser_c: float | None = None

    emission = Cpt(
        Emission,
        query="STATUS?",
        command="ON",
        parse=lambda text: int(bool(int(text) & LASER_ON and int(text) & LASER_RAIL)),
        initial=0,
        limits=(0, 1),
        restore=False,
        kind="normal",
    )
    measured_crystal_c = Cpt(QuerySignal, query="HTEMP?", units="degC", precision=3, kind="hinted")
    measured_laser_c = Cpt(QuerySignal, query="PTEMP?", units="degC", precision=3, kind="normal")
    current_limit_ma = _setting("LLIMIT", 0.0, 97.0, "mA", initial=97.0)
    current_ma = _setting("LCURRENT", 0.0, 97.0, "mA", cls=_Current)
    crystal_c = _setting("HSETTEMP", 20.0, 100.0, "degC", initial=30.0)
    crystal_rate_k_per_s = _setting("HRATE", 0.0, 1.0, "K/s")
    laser_c = _setting("PSETTEMP", 20.0, 50.0, "degC", initial=25.0)

    @property
    def firmware(self) -> str:
        """Nothing: it does not tell."""
        return ""

    def tell(self, command: str) -> None:
        """Send a set, and the status query behind it: a line of text before its answer is a refusal."""
        with self.link.transaction() as link:
            said = link.query(f"{command};STATUS?\n".encode(), retry=False, read=self._reply)
        lines = said.decode("latin-1").split("\n")
        if len(lines) > 1:
            what = "the source refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=lines[0])

    def apply_settings(self) -> None:
        """Set what the lab file asks for; a crystal temperature there means closed loops, but no light."""
        super().apply_settings()
        if self.settings.crystal_c is not None:
            self._close_loops()

    def set(self, crystal_c: float) -> WorkerStatus:
        """Heat the crystal to a temperature; done when it is there."""
        self.crystal_c.check_value(crystal_c)
        return self.in_thread("heat", lambda: self._heat(crystal_c))

    def make_safe(self) -> None:
        """Switch the emission off and see that it is; the loops stay closed."""
        if not self.link.is_open:
            return
        self.emission.wanted = 0
        self.tell("OFF")
        if self.emission.fetch():
            what, hint = "the laser is still on after it was switched off", "switch the source off"
            raise InstrumentError(what, device=self.name, command="OFF", found="on", expected="off", hint=hint)

    def shine(self) -> None:
        """Close both loops, power the laser and switch it on; blocks for the wire."""
        self._close_loops(POWER=3)
        self._wait(self.measured_laser_c, self.laser_c.get())
        self.tell("ON")
        if not self.emission.fetch():
            self.refused("ON", "off")
        self.emission.wanted = 1

    def check_health(self) -> list[str]:
        """Return a laser that has lost its temperature while its loop is closed."""
        if not int(self.ask("STATUS?")) & PELTIER_LOOP:
            return []
        away = parse_float(self.ask("PTEMP?")) - parse_float(self.ask("PSETTEMP?"))
        return [f"the laser is {away:+.1f} K away from its set point"] if away > LASER_TOLERANCE_C else []

    def _close_loops(self, **power: int) -> None:
        for name, value in {"POWER": 1, "HLOOP": 1, "PLOOP": 1, **power}.items():
            self.tell(f"{name} {value}")

    def _heat(self, crystal_c: float) -> None:
        self.crystal_c.store(crystal_c)
        shines = bool(self.emission.fetch())
        self._close_loops(POWER=3 if shines else 1)
        self._wait(self.measured_crystal_c, crystal_c)

    def _wait(self, signal: QuerySignal, wanted_c: float) -> None:
        deadline_s = self.clock.now_s() + TIMEOUT_S
        while abs(signal.fetch() - wanted_c) > TOLERANCE_C:
            if self.clock.now_s() > deadline_s:
                what = f"a temperature did not settle within {TIMEOUT_S:g} s"
                found, expected = f"{signal.get():.3f} degC", f"{wanted_c:.3f} degC"
                raise InstrumentError(what, device=self.name, command=signal.query, found=found, expected=expected)
            self.wait_s(POLL_S)

    def _reply(self) -> bytes:
        """Read the status, and a line of complaint before it."""
        lines = [self.link.read_until()]
        if not lines[0].strip().isdigit():
            lines.append(self.link.read_until())
        if not lines[-1].strip().isdigit():
            self.link.distrust()
            what = "the status is no number"
            raise BadReplyError(what, device=self.name, command="STATUS?", found=lines[-1])
        return b"\n".join(lines)
