"""OZ Optics EPC-400: four fibre squeezers that make any polarisation of any; undoes what a fibre does to photons.

Serial, 9600 baud; voltages of -5000 to 5000 mV, whose effect on the fibre is known only by trying, and drifts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ophyd import Component as Cpt

from devices.all_status import AllStatus
from devices.base import InstrumentSettings
from devices.routing.oz_dialogue import OzInstrument
from devices.signals import QuerySignal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["EPC400"]

CHANNELS = 4
SETTLING_S = 0.01
"""[INF] The squeezers follow within milliseconds."""


def _voltage(channel: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        found = re.search(rf"CH{channel}\s*([-+]?\d+)", text)
        if found is None:
            msg = f"no channel {channel} in {text!r}"
            raise ValueError(msg)
        return float(found[1])

    return parse


def _mode(text: str) -> str:
    return "DC" if "DC" in text.partition(":")[2] else "AC"


def _squeezer(channel: int) -> Cpt:
    return Cpt(
        QuerySignal,
        query="V?",
        command=f"V{channel}," + "{:.0f}",
        parse=_voltage(channel),
        units="mV",
        precision=0,
        limits=(-5000, 5000),
        settle_s=SETTLING_S,
        verify=0.5,
        kind="hinted",
    )


class EPC400(OzInstrument):
    """The controller, role `qlab.roles.PolarisationController`; `set` takes its four voltages in mV."""

    identity = r"^Voltage\(mV\): CH1"
    twin = "sim_devices.polarisation.ozoptics_epc400.EPC400Twin"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        voltage_1_mv: float | None = None
        voltage_2_mv: float | None = None
        voltage_3_mv: float | None = None
        voltage_4_mv: float | None = None

    voltage_1_mv = _squeezer(1)
    voltage_2_mv = _squeezer(2)
    voltage_3_mv = _squeezer(3)
    voltage_4_mv = _squeezer(4)
    mode = Cpt(QuerySignal, query="M?", command="M{}", parse=_mode, initial="DC", kind="config")

    def query_identity(self, link: Link) -> str:
        """Return the voltages, as there is no identity query."""
        del link
        return self.ask("V?", retry=False)

    @property
    def firmware(self) -> str:
        """Nothing: it does not tell."""
        return ""

    @property
    def controls(self) -> tuple[QuerySignal, ...]:
        """The four voltages."""
        return (self.voltage_1_mv, self.voltage_2_mv, self.voltage_3_mv, self.voltage_4_mv)

    def prepare(self) -> None:
        """Let the voltages be constant: in AC mode the controller scrambles."""
        self.tell("MDC")

    def set(self, voltages_mv: Sequence[float]) -> WorkerStatus:
        """Set all four voltages in mV; done when the squeezers have settled."""
        for signal, voltage in zip(self.controls, voltages_mv, strict=True):
            signal.check_value(voltage)
        starts = [lambda s=s, v=v: s.set(v) for s, v in zip(self.controls, voltages_mv, strict=True)]
        return AllStatus(self.clock, f"{self.name} squeeze", starts)

    def check_health(self) -> list[str]:
        """Return whether it scrambles."""
        return [] if self.mode.fetch() == "DC" else ["it is in AC mode, in which it scrambles the polarisation"]
