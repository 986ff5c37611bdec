"""S-Fifteen single-photon detector module: avalanche photodiode with cooler and high voltage.

Serial (USB-CDC); sets are silent; `counts?` answers after the counting time.
"""

from __future__ import annotations

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import WireSignal, parse_int

__all__ = ["SPD"]


class SPD(Instrument):
    """The detector; role `qlab.roles.CountingDetector`."""

    identity = r"SPD"
    twin = "sim_devices.detectors.sfifteen_spd.SPDTwin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"\r\n", "command_terminator": b"\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        bias_v: float | None = None
        temperature_c: float | None = None
        counting_time_ms: int | None = None

    counts = Cpt(WireSignal, query="counts?", parse=parse_int, initial=0, kind="normal")
    actual_c = Cpt(WireSignal, query="temp?", units="degC", kind="normal")
    bias_v = Cpt(WireSignal, query="hvolt?", command="hvolt {:g}", units="V", limits=(0.0, 250.0), kind="config")
    threshold_v = Cpt(WireSignal, query="threshvolt?", command="threshvolt {:g}", units="V", kind="config")
    temperature_c = Cpt(
        WireSignal, query="settemp?", command="settemp {:g}", units="degC", limits=(-60.0, 30.0), kind="config"
    )
    loop = Cpt(WireSignal, query="loop?", command="loop {:d}", parse=parse_int, initial=1, kind="config")
    counting_time_ms = Cpt(
        WireSignal,
        query="time?",
        command="time {:d}",
        parse=parse_int,
        initial=1000,
        units="ms",
        limits=(1, 65535),
        kind="config",
    )

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return a reply; that to `counts?` is waited for as long as the module counts."""
        if command == "counts?":
            delay_s = self.counting_time_ms.get() / 1000.0
        return super().ask(command, delay_s=delay_s, timeout_s=timeout_s)

    def query_identity(self, link: object) -> str:
        """Return the reply to `*idn?`."""
        return self.link.ask("*idn?", retry=False)

    def check_health(self) -> list[str]:
        """Return whether the cooler holds its temperature."""
        away = self.actual_c.fetch() - self.temperature_c.fetch()
        return [f"the diode is {away:.1f} K away from its set temperature"] if abs(away) > 2.0 else []
