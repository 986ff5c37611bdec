"""Toptica DLC pro with one tunable diode laser: control or read laser of a memory, tunable pump.

DeCoP over TCP 1998: every answer ends with a prompt.  `set` tunes a motorised (CTL) head to a wavelength; piezo, current
and temperature are signals of any head.  Emission is switched on by `emission` alone and goes off at every end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.sources.decop import DecopDialogue
from devices.sources.decop_signals import DecopNumber, DecopSwitch, DecopText, parse_switch
from devices.sources.laser import Emission, Laser
from qlab.errors import BadRequestError, InstrumentError, InterlockError

if TYPE_CHECKING:
    from devices.signals import QuerySignal
    from devices.worker import WorkerStatus

__all__ = ["DLCpro"]

DL = "laser1:dl:"
LOCKED, ON_HOLD = 5, 6  # [V1] lock states
SOFT_START_S = 0.5  # [INF]
TEMPERATURE_TIMEOUT_S, TUNING_TIMEOUT_S, POLL_S = 120.0, 60.0, 0.2
TUNED_NM = 0.01
"""[INF] How near the motor must come."""
DARKENING = {"interlock-open": "the interlock is open", "frontkey-locked": "the key switch is locked"}


class DLCpro(DecopDialogue, Laser):
    """The controller and its first laser; role `qlab.roles.PhotonSource`."""

    identity = r"^DLC pro"
    twin = "sim_devices.sources.toptica_dlcpro.DLCproTwin"
    usual_addresses = ("TCPIP0::HOST::1998::SOCKET",)

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        current_clip_ma: float | None = None
        current_ma: float | None = None
        temperature_c: float | None = None
        piezo_v: float | None = None
        wavelength_nm: float | None = None

    emission = Cpt(
        Emission,
        query=f"(param-ref '{DL}cc:emission)",
        command=f"(param-set! '{DL}cc:enabled {{}})",
        parse=parse_switch,
        initial=0,
        limits=(0, 1),
        restore=False,
        kind="normal",
    )
    measured_current_ma = Cpt(DecopNumber, parameter=f"{DL}cc:current-act", units="mA", precision=3, kind="hinted")
    measured_temperature_c = Cpt(DecopNumber, parameter=f"{DL}tc:temp-act", units="degC", precision=3, kind="normal")
    measured_nm = Cpt(DecopNumber, parameter="laser1:ctl:wavelength-act", units="nm", precision=4, kind="normal")
    lock_state = Cpt(DecopNumber, parameter=f"{DL}lock:state", precision=0, kind="normal")
    current_clip_ma = Cpt(
        DecopNumber,
        parameter=f"{DL}cc:current-clip",
        settable=True,
        units="mA",
        limits=(0.0, 1000.0),
        precision=3,
        verify=1e-3,
        kind="config",
    )
    current_ma = Cpt(
        DecopNumber,
        parameter=f"{DL}cc:current-set",
        settable=True,
        units="mA",
        limits=(0.0, 1000.0),
        precision=3,
        verify=1e-3,
        kind="config",
    )
    temperature_c = Cpt(
        DecopNumber,
        parameter=f"{DL}tc:temp-set",
        settable=True,
        units="degC",
        limits=(0.0, 60.0),
        precision=3,
        verify=1e-3,
        kind="config",
    )
    piezo_v = Cpt(
        DecopNumber,
        parameter=f"{DL}pc:voltage-set",
        settable=True,
        units="V",
        limits=(-1.0, 150.0),
        precision=3,
        verify=1e-3,
        kind="config",
    )
    wavelength_nm = Cpt(
        DecopNumber,
        parameter="laser1:ctl:wavelength-set",
        settable=True,
        units="nm",
        limits=(300.0, 2500.0),
        precision=4,
        verify=1e-3,
        restore=False,
        kind="config",
    )
    lock_enabled = Cpt(DecopSwitch, parameter=f"{DL}lock:lock-enabled", settable=True, restore=False, kind="config")
    head = Cpt(DecopText, parameter="laser1:product-name", kind="config")

    motorised = False
    """Whether the head has a motor, as it said at connection."""

    def prepare(self) -> None:
        """Switch the echo off and learn what head there is, and what it allows."""
        super().prepare()
        self.motorised = self.knows("laser1:ctl:wavelength-act")
        self.measured_nm.kind = "normal" if self.motorised else "omitted"
        self.wavelength_nm.kind = "config" if self.motorised else "omitted"
        self._narrow(self.temperature_c, f"{DL}tc:temp-set-min", f"{DL}tc:temp-set-max")
        self._narrow(self.piezo_v, f"{DL}pc:voltage-min", f"{DL}pc:voltage-max")
        if self.motorised:
            self._narrow(self.wavelength_nm, "laser1:ctl:wavelength-min", "laser1:ctl:wavelength-max")

    def _narrow(self, signal: QuerySignal, low: str, high: str) -> None:
        signal.narrow(self.number(low), self.number(high))

    def set(self, wavelength_nm: float) -> WorkerStatus:
        """Turn the motor to a wavelength in nm; done when it is there."""
        if not self.motorised:
            msg = f"{self.name}: {self.head.get()!r} has no motor; tune it by temperature_c, current_ma and piezo_v"
            raise BadRequestError(msg)
        self.wavelength_nm.check_value(wavelength_nm)
        return self.in_thread("tune", lambda: self._tune(wavelength_nm))

    def _tune(self, wavelength_nm: float) -> None:
        self.wavelength_nm.store(wavelength_nm)
        self._wait_until(
            "laser1:busy", False, TUNING_TIMEOUT_S, f"the motor did not arrive within {TUNING_TIMEOUT_S:g} s"
        )
        if abs(self.measured_nm.fetch() - wavelength_nm) > TUNED_NM:
            what, found = "the motor stopped elsewhere", f"{self.measured_nm.get():.4f} nm"
            raise InstrumentError(what, device=self.name, found=found, expected=f"{wavelength_nm:.4f} nm")

    def _wait_until(self, parameter: str, wanted: bool, timeout_s: float, what: str) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        while self.switch(parameter) != wanted:
            if self.clock.now_s() > deadline_s:
                raise InstrumentError(
                    what, device=self.name, command=parameter, found=str(not wanted), expected=str(wanted)
                )
            self.wait_s(POLL_S)

    def make_safe(self) -> None:
        """Switch the emission off and see that it is."""
        if not self.link.is_open:
            return
        self.emission.wanted = 0
        self.put_parameter(f"{DL}cc:enabled", "#f")
        if self.emission.fetch():
            what, hint = "the laser is still on after it was switched off", "turn its key"
            raise InstrumentError(what, device=self.name, command="cc:enabled #f", found="#t", expected="#f", hint=hint)

    def shine(self) -> None:
        """Let the temperature settle, switch on and wait for the light; blocks for the wire."""
        if not self.check_darkness():
            self._wait_until(f"{DL}tc:ready", True, TEMPERATURE_TIMEOUT_S, "the laser's temperature did not settle")
        self.put_parameter(f"{DL}cc:enabled", "#t")
        self.wait_s(SOFT_START_S)
        if not self.emission.fetch():
            self.refused("cc:enabled #t", "#f")
        self.emission.wanted = 1

    def check_darkness(self) -> list[str]:
        """Return what keeps the light away."""
        found = [words for name, words in DARKENING.items() if self.switch(name)]
        return [*found, "the temperature control has failed"] if self.switch(f"{DL}tc:fault") else found

    def check_health(self) -> list[str]:
        """Return what keeps the light away, a lost lock, and what else the controller says."""
        found = self.check_darkness()
        if self.lock_enabled.fetch() and self.emission.fetch() and self.lock_state.fetch() not in (LOCKED, ON_HOLD):
            found.append(f"the lock is lost (state {self.lock_state.get():.0f})")
        if not found and self.number("system-health"):
            found.append(f"the controller says {self.text('system-health-txt')!r}")
        return found

    def refused(self, command: str, found: str) -> None:
        """Say what keeps the laser dark."""
        reasons = self.check_darkness() or self.check_health()
        if "emission" in command or "cc:enabled" in command:
            what, hint = f"the laser stays dark: {' and '.join(reasons)}", "clear the cause and switch on again"
            raise InterlockError(what, device=self.name, command=command, found=found, hint=hint)
        super().refused(command, found)

    def measure(self) -> None:
        """Fetch the readings; a lock that was asked for and is lost shows in the health."""
        super().measure()
        locked: Any = self.lock_state.get()
        if self.lock_enabled.get() and self.emission.get() and locked not in (LOCKED, ON_HOLD):
            self.refresh_health()
