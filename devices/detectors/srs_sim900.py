"""SRS SIM900 mainframe with SIM928 sources or Quantum Opus amplifiers: biases superconducting nanowires.

Serial (or a serial server over TCP), 9600 baud.  Modules are spoken to through the mainframe, which says nothing to sets: a
bias is read back.  A bias is no danger, so that it stays when a plan ends; it is not set by itself after a reconnection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from ophyd import Component as Cpt
from pydantic import Field

from devices.base import InstrumentSettings
from devices.detectors.sim900_dialogue import ModuleDialogue
from devices.detectors.sim900_slot import BiasSlot
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SIM900"]

Slot = Annotated[int, Field(ge=1, le=8)]


class SIM900(ModuleDialogue):
    """The mainframe; `slot1` to `slot8` are the nanowires.  Roles `qlab.roles.NanowireSystem` and `Detector`."""

    identity = r"^Stanford Research Systems,SIM900"
    twin = "sim_devices.detectors.srs_sim900.SIM900Twin"
    wire = "serial"
    usual_addresses = ("/dev/ttyUSB0", "socket://HOST:5025")
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b"\n"}
    line_break = b"\r"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        slots: dict[Slot, Literal["sim928", "qoamp"]] = {1: "sim928"}
        """Module by slot."""
        bias_ua: dict[Slot, float] = {}
        """Bias by slot, set at connection."""

    slot1 = Cpt(BiasSlot, "", number=1)
    slot2 = Cpt(BiasSlot, "", number=2)
    slot3 = Cpt(BiasSlot, "", number=3)
    slot4 = Cpt(BiasSlot, "", number=4)
    slot5 = Cpt(BiasSlot, "", number=5)
    slot6 = Cpt(BiasSlot, "", number=6)
    slot7 = Cpt(BiasSlot, "", number=7)
    slot8 = Cpt(BiasSlot, "", number=8)

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        every = (self.slot1, self.slot2, self.slot3, self.slot4, self.slot5, self.slot6, self.slot7, self.slot8)
        for slot in every:
            slot.use(self.settings.slots.get(slot.number, ""))
        self.slots: Mapping[int, BiasSlot] = {slot.number: slot for slot in every if slot.module}

    @property
    def detectors(self) -> Mapping[str, BiasSlot]:
        """The nanowires by channel, as the lab file calls them behind the dot."""
        return {str(number): slot for number, slot in self.slots.items()}

    @property
    def detector_channels(self) -> list[str]:
        """The same by name."""
        return list(self.detectors)

    def prepare(self) -> None:
        """Speak to the modules with line feeds."""
        for number in self.slots:
            self.link.tell(f"TERM {number},LF")

    def apply_settings(self) -> None:
        """See that the modules are there, and set the biases."""
        for slot in self.slots.values():
            slot.identify()
        for number, bias_ua in self.settings.bias_ua.items():
            if number not in self.slots:
                msg = f"{self.name}: settings.bias_ua names slot {number}, but settings.slots has {sorted(self.slots)}"
                raise BadRequestError(msg)
            self.slots[number].bias_ua.put(bias_ua)

    def measure(self) -> None:
        """Fetch biases and voltages."""
        for slot in self.slots.values():
            slot.fetch()

    def check_health(self) -> list[str]:
        """Return what the modules complain of."""
        return [sentence for slot in self.slots.values() for sentence in slot.check_health()]
