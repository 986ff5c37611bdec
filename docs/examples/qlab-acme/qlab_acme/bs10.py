"""Acme BS-10: a bias supply, 0 to 10 V.  SCPI over TCP."""

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, parse_bool

__all__ = ["BS10"]


class BS10(ScpiInstrument):
    """The bias supply."""

    identity = r"^Acme,BS-10,"
    twin = "AcmeBS10Twin"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        voltage_v: float | None = None

    voltage_v = Cpt(ScpiSignal, query="SOUR:VOLT?", command="SOUR:VOLT {:g}", units="V", limits=(0, 10), settle_s=1.0)
    output = Cpt(
        ScpiSignal, query="OUTP?", command="OUTP {:d}", parse=parse_bool, limits=(0, 1), restore=False, kind="config"
    )
    measured_v = Cpt(ScpiSignal, query="MEAS:VOLT?", units="V", precision=3, kind="hinted")

    def make_safe(self) -> None:
        """Switch the output off: called at every end of a run, also of one that failed."""
        self.output.store(0)

    def check_health(self) -> list[str]:
        """Return what the supply complains of."""
        return ["the output is in current limit"] if parse_bool(self.ask("SOUR:CURR:PROT:TRIP?")) else []
