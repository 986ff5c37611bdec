"""S-Fifteen single-photon detector module: avalanche photodiode with cooler and high voltage.

Serial (USB-CDC).  Sets are silent, also when they are refused: each is read back and compared.  `counts?` answers after the
counting time.  The bias stays on when a run ends: a cold, biased diode is the module's resting state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal, parse_int

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["SPD"]

BIAS_LIMIT_V = 250.0
"""[INF] The range is not published."""
THRESHOLD_LIMIT_V = 5.0
"""[INF] Nor is that of the discriminator."""
SET_C, COUNTING_MS = (-60.0, 30.0), (1, 65535)
"""[INF] Nor what it may be cooled to, and how long it may count."""
COLD_WITHIN_K = 2.0


class SPD(Instrument):
    """The detector; roles `qlab.roles.Detector` and `Counter`."""

    detector_channels = ("",)
    rates_hz: Mapping[str, float] = {}

    identity = r"\bSPD\b"
    twin = "sim_devices.detectors.sfifteen_spd.SPDTwin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"\r\n", "command_terminator": b"\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        temperature_c: float | None = None
        loop: int | None = None
        threshold_v: float | None = None
        bias_v: float | None = None
        counting_time_ms: int | None = None

    counts = Cpt(QuerySignal, query="counts?", parse=parse_int, initial=0, kind="hinted")
    actual_c = Cpt(QuerySignal, query="temp?", units="degC", precision=2, kind="normal")
    bias_v = Cpt(
        QuerySignal,
        query="hvolt?",
        command="hvolt {:g}",
        units="V",
        precision=2,
        limits=(0.0, BIAS_LIMIT_V),
        verify=0.1,
        kind="config",
    )
    threshold_v = Cpt(
        QuerySignal,
        query="threshvolt?",
        command="threshvolt {:g}",
        units="V",
        precision=3,
        limits=(-THRESHOLD_LIMIT_V, THRESHOLD_LIMIT_V),
        verify=0.01,
        kind="config",
    )
    temperature_c = Cpt(
        QuerySignal,
        query="settemp?",
        command="settemp {:g}",
        units="degC",
        precision=2,
        limits=SET_C,
        verify=0.011,
        kind="config",
    )
    loop = Cpt(
        QuerySignal,
        query="loop?",
        command="loop {:d}",
        parse=parse_int,
        initial=1,
        limits=(0, 1),
        verify=0,
        kind="config",
    )
    counting_time_ms = Cpt(
        QuerySignal,
        query="time?",
        command="time {:d}",
        parse=parse_int,
        initial=1000,
        units="ms",
        limits=COUNTING_MS,
        verify=0,
        kind="config",
    )

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return a reply; that to `counts?` is waited for, on the lab's clock, as long as the module counts."""
        if command == "counts?":
            timeout_s = self.counting_time_ms.get() / 1000.0 + self.link.policy.timeout_s
        return super().ask(command, delay_s=delay_s, timeout_s=timeout_s)

    def count(self, gate_s: float) -> WorkerStatus:
        """Count for a time, rounded to whole ms; `rates_hz["1"]` then has the rate."""
        gate_ms = round(gate_s * 1000.0)
        self.counting_time_ms.check_value(gate_ms)

        def work() -> None:
            self.counting_time_ms.store(gate_ms)
            self.rates_hz = {"1": self.counts.fetch() / (gate_ms / 1000.0)}

        return self.in_thread("count", work)

    def query_identity(self, link: Link) -> str:
        """Return the reply to `*idn?`."""
        return link.ask("*idn?", retry=False)

    @property
    def firmware(self) -> str:
        """Unknown: the module does not tell."""
        return ""

    def check_health(self) -> list[str]:
        """Return whether the cooler holds its temperature."""
        if not self.loop.fetch():
            return ["the temperature loop is open"]
        away = self.actual_c.fetch() - self.temperature_c.fetch()
        return [f"the diode is {away:.1f} K away from its set temperature"] if abs(away) > COLD_WITHIN_K else []
