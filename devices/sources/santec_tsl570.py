"""Santec TSL-570: tunable laser, 1500 to 1630 nm; scans filters and seeds weak pulses.

SCPI over TCP 5000, carriage returns both ways.  The diode stays warm behind a shutter: `emission` switches the diode on and
opens the shutter, and closes the shutter at every end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, parse_bool, parse_float
from devices.sources.laser import Emission, Laser
from qlab.errors import InstrumentError, InterlockError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["TSL570"]

WARM_UP_S, SETTLING_S = 6.0, 0.2
TUNING_TIMEOUT_S = 30.0


class TSL570(Laser, ScpiInstrument):
    """The laser; role `qlab.roles.PhotonSource`."""

    identity = r"^SANTEC,TSL-5\d0"
    twin = "sim_devices.sources.santec_tsl570.TSL570Twin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::5000::SOCKET",)
    link_options = {"terminator": b"\r", "command_terminator": b"\r"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        wavelength_nm: float | None = None
        power_dbm: float | None = None

    emission = Cpt(
        Emission,
        query=":POW:SHUT?",
        command=":POW:SHUT {:d}",
        parse=lambda text: 1 - parse_bool(text),
        initial=0,
        limits=(0, 1),
        restore=False,
        kind="normal",
    )
    actual_dbm = Cpt(ScpiSignal, query=":POW:ACT?", units="dBm", precision=2, kind="hinted")
    wavelength_nm = Cpt(
        ScpiSignal,
        query=":WAV?",
        command=":WAV {:.4f}",
        units="nm",
        precision=4,
        limits=(1000.0, 2000.0),
        initial=1550.0,
        verify=1e-3,
        kind="config",
    )
    power_dbm = Cpt(
        ScpiSignal,
        query=":POW?",
        command=":POW {:.2f}",
        units="dBm",
        precision=2,
        limits=(-15.0, 20.0),
        verify=0.011,
        kind="config",
    )

    def refresh_configuration(self) -> None:
        """Fetch the configuration, and the range of wavelengths."""
        self.wavelength_nm.narrow(parse_float(self.ask(":WAV:MIN?")), parse_float(self.ask(":WAV:MAX?")))
        super().refresh_configuration()

    def set(self, wavelength_nm: float) -> WorkerStatus:
        """Tune to a wavelength in nm; done when it is there."""
        self.wavelength_nm.check_value(wavelength_nm)

        def tune() -> None:
            self.wavelength_nm.store(wavelength_nm)
            self.link.ask("*OPC?", timeout_s=TUNING_TIMEOUT_S, retry=False)

        return self.in_thread("tune", tune)

    def make_safe(self) -> None:
        """Close the shutter and see that it is."""
        if not self.link.is_open:
            return
        self.emission.wanted = 0
        self.tell(":POW:SHUT 1")
        if self.emission.fetch():
            what, hint = "the shutter is still open after it was closed", "switch the laser off by its key"
            raise InstrumentError(what, device=self.name, command=":POW:SHUT 1", found="0", expected="1", hint=hint)

    def shine(self) -> None:
        """Switch the diode on, open the shutter and wait for the light; blocks for the wire."""
        if not parse_bool(self.ask(":POW:STAT?")):
            self.tell(":POW:STAT 1")
            self.wait_s(WARM_UP_S)
        self.tell(":POW:SHUT 0")
        self.wait_s(SETTLING_S)
        if not self.emission.fetch() or not parse_bool(self.ask(":POW:STAT?")):
            self.refused(":POW:SHUT 0", "0")
        self.emission.wanted = 1

    def measure(self) -> None:
        """Fetch the readings; raises `InterlockError` when the light went out by itself."""
        super().measure()
        if self.emission.wanted and not parse_bool(self.ask(":POW:STAT?")):
            self.emission.wanted = 0
            self.refused(":POW:STAT?", "0")

    def check_health(self) -> list[str]:
        """Return whether the interlock is open."""
        return ["the interlock is open"] if parse_bool(self.ask(":SYST:LOCK?")) else []

    def refused(self, command: str, found: str) -> None:
        """Say what keeps the laser dark."""
        tripped = self.check_health() if "POW" in command else []
        if tripped:
            what, hint = f"the laser stays dark: {tripped[0]}", "clear the cause and switch on again"
            raise InterlockError(what, device=self.name, command=command, found=found, hint=hint)
        super().refused(command, found)
