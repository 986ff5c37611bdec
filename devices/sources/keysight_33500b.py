"""Keysight 33500B and 33600A: function and arbitrary waveform generators; drive modulators and clock pulsed sources.

SCPI over TCP 5025.  Outputs reach 10 V into 50 Ohm, enough to hurt a modulator: nothing but a plan or a person switches one
on, and all go off at every end.  An arbitrary waveform is lost with the power, and sent again after a reconnection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ophyd import Component as Cpt
from ophyd import Kind

from devices.base import ScpiInstrument
from devices.signals import parse_int
from devices.sources.awg_output import AwgOutput
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devices.signals import QuerySignal
    from devices.worker import WorkerStatus

__all__ = ["Keysight33500B"]

TWO_OUTPUTS = re.compile(r",33(510|512|520|522|612|622)")
PROBLEMS = {0: "an output is overloaded and was switched off", 1: "it is too hot", 5: "the 10 MHz reference is lost"}
"""[INF] Bits of the questionable register, as the 33220A has them."""


class Keysight33500B(ScpiInstrument):
    """The generator, role `qlab.roles.PulseGenerator`; `output_2` is there only of models that have it."""

    identity = r"^(Agilent Technologies|Keysight Technologies),33[56]\d\d[AB]"
    twin = "sim_devices.sources.keysight_33500b.Keysight33500BTwin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::5025::SOCKET",)

    output_1 = Cpt(AwgOutput, "", number=1)
    output_2 = Cpt(AwgOutput, "", number=2)

    @property
    def outputs(self) -> list[AwgOutput]:
        """The outputs that the model has."""
        return [self.output_1, self.output_2] if TWO_OUTPUTS.search(self.identity_text) else [self.output_1]

    def prepare(self) -> None:
        """Forget old errors, and leave out an output that is not there; blocks are sent most significant byte first."""
        super().prepare()
        self.output_2.kind = Kind.normal if len(self.outputs) > 1 else Kind.omitted
        self.link.tell("FORM:BORD NORM")
        for output in self.outputs:
            self.link.tell(f"SOUR{output.number}:VOLT:UNIT VPP")

    def wire_signals(self) -> Iterator[QuerySignal]:
        """Yield the signals of the outputs that are there."""
        there = self.outputs
        return (signal for signal in super().wire_signals() if signal.parent in there)

    def restore(self) -> None:
        """Send waveforms and settings again; outputs stay off."""
        for output in self.outputs:
            output.reload()
        super().restore()

    def make_safe(self) -> None:
        """Switch the outputs off and see that they are."""
        if not self.link.is_open:
            return
        for output in self.outputs:
            command = f"OUTP{output.number} 0"
            self.tell(command)
            if output.output.fetch():
                what, hint = "an output is still on after it was switched off", "unplug it"
                raise InstrumentError(what, device=self.name, command=command, found="1", expected="0", hint=hint)

    def fire(self) -> WorkerStatus:
        """Trigger all outputs whose `trigger_source` is BUS; done when their bursts have ended."""

        def work() -> None:
            longest = max(output.burst_s() for output in self.outputs)
            self.tell("*TRG")
            self.link.ask("*OPC?", timeout_s=longest + 10.0, retry=False)

        return self.in_thread("trigger", work)

    def check_health(self) -> list[str]:
        """Return overloads, heat and a lost reference."""
        bits = parse_int(self.ask("STAT:QUES:COND?"))
        return [words for bit, words in PROBLEMS.items() if bits >> bit & 1]
