"""Twin of the SRS SIM900 mainframe with bias modules in its slots.  Written from protocol sheet 07."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.errors import TwinError
from qlab.physics.nanowire import Nanowire
from sim_devices.detectors.nanowire_channel import NanowireChannel
from sim_devices.detectors.quantum_opus import QuantumOpusModule
from sim_devices.detectors.sim900_arguments import MainframeError, command
from sim_devices.detectors.sim900_commands import Commands
from sim_devices.detectors.sim900_conversation import HostConversation
from sim_devices.detectors.sim900_parameters import Parameters
from sim_devices.detectors.sim900_ports import Ports
from sim_devices.detectors.sim900_status import Registers, TimeBase
from sim_devices.detectors.srs_sim928 import Sim928Module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script
    from sim_devices.detectors.sim900_module import Module

__all__ = ["Parameters", "SIM900Twin"]


class SIM900Twin:
    """The mainframe: no chaining, tokens as integers, silence for sets."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._clock = bench.clock
        self._parameters = p = parameters
        wire = Nanowire(switching_ua=p.switching_ua, efficiency=p.efficiency, dark_rate_hz=p.dark_rate_hz)
        self.modules: dict[int, Module] = {}
        for slot, kind in p.slots.items():
            channel = NanowireChannel(bench, name, str(slot), wire)
            build = QuantumOpusModule if kind == "qoamp" else Sim928Module
            self.modules[slot] = build(channel, bench.clock, f"{3000 + slot:06d}")
        self.registers = Registers()
        self._ports = Ports(bench.clock, self.registers, self.modules)
        self._base = TimeBase(bench.clock, reference=p.reference)
        self._commands = Commands(p.serial, bench.clock, self.registers, self._ports, self._base)
        self._ports.power_up()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> SIM900Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @staticmethod
    def detector_channels(parameters: Parameters) -> Sequence[str]:
        """Return the slots, each of which biases a nanowire."""
        return [str(slot) for slot in parameters.slots]

    def connect(self) -> HostConversation:
        """Begin a conversation with one client."""
        return HostConversation(self, self, self._clock)

    def reset_power(self) -> None:
        """Power was cycled: modules come back as they do."""
        self.registers.power_up()
        self._ports.power_up()
        self._base.follow(on=False)

    def device_fault(self, name: str, *, active: bool = True, slot: int = 1) -> None:
        """Latch the nanowire on a slot (nothing but zero bias ends that), or a fault that its module knows."""
        module = self.modules.get(slot)
        if module is None or not module.fault(name, active=active):
            what = f"unknown device fault {name!r} of slot {slot}"
            msg = f"{self._name}: {what}; expected latch, or overload, trip or battery of a slot with a SIM928"
            raise TwinError(msg)

    def peek(self) -> dict[str, object]:
        """Return what the nanowires are at."""
        channels = {n: module.channel for n, module in self.modules.items()}
        return {f"slot_{n}": {"bias_ua": c.bias_ua, "latched": c.latched} for n, c in channels.items()}

    def answer(self, message: bytes) -> Script:
        """Carry out one line; what it does not know sets a bit, and nothing is said."""
        self._ports.look()
        try:
            word, arguments = command(message)
            reply = self._commands.carry_out(word, arguments)
        except MainframeError as error:
            self.registers.fail(error)
            return
        if isinstance(reply, bytes):
            yield reply
        elif reply is not None:
            yield reply.encode("latin-1") + self._ports.host_end

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Say nothing: mistakes set bits."""
        del message, kind, text
        self.registers.esr |= 0x10
        return b""

    @property
    def connected(self) -> bool:
        """Whether bytes go straight to a module."""
        return self._ports.connected is not None

    def pass_on(self, data: bytes) -> bytes:
        """Take bytes for the module that the host is connected to."""
        return self._ports.pass_on(data)

    def unasked_due_ps(self) -> int | None:
        """Return when something is to be said unasked."""
        return self._ports.unasked_due_ps()

    def unasked(self) -> bytes:
        """Return what is to be said now without having been asked."""
        return self._ports.unasked()
