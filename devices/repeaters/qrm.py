"""QRM repeater module: memory qubits, entangled with a neighbour's over heralded links.

SCPI over TCP 5025, or HiSLIP.  Qubit 1 has the optical interface, the others store.  A link heralds only while both its
ends try, so a plan starts both and waits for both; what is stored decays meanwhile, and its fidelity is the module's belief,
not a measurement.  Ending a plan ends attempts; pairs stay until they are measured, freed, or cut off by age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from ophyd import Component as Cpt
from pydantic import BaseModel, ConfigDict, Field

from devices.base import InstrumentSettings
from devices.repeaters.qrm_qubits import OPERATION_S, QubitModule
from devices.repeaters.qrm_records import Distillation, StoredPair, Swap, parse_events
from devices.signals import ScpiSignal, SoftSignal, parse_bool, parse_int
from qlab.errors import BadReplyError, BadRequestError, InstrumentError

if TYPE_CHECKING:
    from devices.repeaters.qrm_records import Events
    from devices.worker import WorkerStatus

__all__ = ["QRM", "LinkSettings"]

Number = Annotated[int, Field(ge=1)]

FEWEST_POLLS_S, MOST_POLLS_S = 1e-4, 0.05
BLOCK = 3000
"""[design] The most event records of one reply."""
TROUBLES = {
    2: "the clock is not locked to its reference",
    4: "the memory is too warm",
    5: "a laser is unlocked",
    6: "the phase lock is lost",
    11: "events were lost",
}
"""Bits of the questionable status."""


class LinkSettings(BaseModel):
    """One link in the lab file."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    most_attempts: int = Field(1_000_000, ge=1, lt=2**31)
    window_s: float = Field(1e-6, ge=1e-9, le=1e-3)
    cut_off_s: float | None = Field(None, gt=1e-6)
    least_fidelity: float = Field(0.0, ge=0, le=1)


class QRM(QubitModule):
    """The module; role `qlab.roles.RepeaterModule`."""

    identity = r",QRM-\d+Q,"
    twin = "sim_devices.repeaters.qrm.QRMTwin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::5025::SOCKET", "TCPIP0::HOST::hislip0,4880::INSTR")

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        links: dict[Number, LinkSettings] = {1: LinkSettings()}
        """By number; others stay off."""

    states = Cpt(SoftSignal, initial="", kind="normal")
    events_waiting = Cpt(ScpiSignal, query="EVEN:COUN?", parse=parse_int, initial=0, kind="normal")
    temperature_k = Cpt(ScpiSignal, query="CRYO:TEMP?", units="K", precision=2, kind="normal")
    clock_locked = Cpt(ScpiSignal, query="TIME:LOCK?", parse=parse_bool, initial=0, kind="normal")
    epoch_s = Cpt(ScpiSignal, query="TIME:EPOC?", parse=parse_int, initial=0, units="s", kind="config")
    tick_hz = Cpt(ScpiSignal, query="TICK:FREQ?", units="Hz", kind="config")

    link_count = 0
    """How many links there are, as the module said at connection."""

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.last_swap: Swap | None = None
        self.last_distillation: Distillation | None = None
        self.last_events: Events = parse_events(self.name, b"")

    def prepare(self) -> None:
        """Take the lock, so that nobody else changes anything, and learn the module's size."""
        super().prepare()
        if not parse_bool(self.ask("SYST:LOCK:REQ?")):
            what, hint = "another controller holds the module's lock", "close the other program"
            raise InstrumentError(what, device=self.name, command="SYST:LOCK:REQ?", found="0", expected="1", hint=hint)
        options = self.ask("*OPT?").split(",")
        try:
            self.qubit_count, self.link_count = int(options[0].removeprefix("QUB")), int(options[1].removeprefix("LNK"))
        except (ValueError, IndexError) as error:
            what = "the options do not say how many qubits and links there are"
            found, expected = ",".join(options), "QUB4,LNK2,TICK100K"
            raise BadReplyError(what, device=self.name, command="*OPT?", found=found, expected=expected) from error

    def apply_settings(self) -> None:
        """Set up the links that the lab file names."""
        self._set_up()

    def restore(self) -> None:
        """Set the links up again; pairs and qubits are what the module says they are."""
        super().restore()
        self._set_up()

    def _set_up(self) -> None:
        for k, link in self.settings.links.items():
            if k > self.link_count:
                msg = f"{self.name}: settings.links names link {k}, but the module has {self.link_count}"
                raise BadRequestError(msg)
            cut_off = "INF" if link.cut_off_s is None else f"{link.cut_off_s:.6g}"
            self.tell(
                f"LINK{k}:ATT:MAX {link.most_attempts};WIND {link.window_s:.6g};"
                f":LINK{k}:CUT {cut_off};FMIN {link.least_fidelity:.6g};ENAB {link.enabled:d}"
            )

    def measure(self) -> None:
        """Fetch the readings, and which qubit is in which state."""
        super().measure()
        self.states.remember(",".join(self.ask(f"QUB{n}:STAT?") for n in range(1, self.qubit_count + 1)))

    def check_health(self) -> list[str]:
        """Return what the questionable status complains of."""
        bits = parse_int(self.ask("STAT:QUES:COND?"))
        return [words for bit, words in TROUBLES.items() if bits & 1 << bit]

    def make_safe(self) -> None:
        """End all attempts."""
        if self.link.is_open:
            for k in range(1, self.link_count + 1):
                self.tell(f"LINK{k}:ABOR")

    # Entanglement.

    def generate(self, link: int, qubit: int = 1, timeout_s: float = 60.0) -> WorkerStatus:
        """Try until a pair is heralded and stored in `qubit`; `pairs` then has it.

        Fails with `InstrumentError` where the most attempts were made in vain, or `timeout_s` of lab time was over.
        """
        self.check_qubits(qubit)
        if not 1 <= link <= self.link_count:
            msg = f"{self.name}: there is no link {link}; expected 1 to {self.link_count}"
            raise BadRequestError(msg)
        return self.in_thread("generate", lambda: self._generate(link, qubit, timeout_s))

    def _generate(self, link: int, qubit: int, timeout_s: float) -> None:
        self.pairs.pop(qubit, None)
        end_s, pause_s = self.clock.now_s() + timeout_s, FEWEST_POLLS_S
        self.tell(f"LINK{link}:GEN {qubit}")
        while (state := self.ask(f"LINK{link}:STAT?")) == "ATT":
            if self.clock.now_s() >= end_s:
                self.tell(f"LINK{link}:ABOR")
                state = "FAIL"
                break
            self.wait_s(pause_s)
            pause_s = min(2.0 * pause_s, MOST_POLLS_S)
        if state != "HER":
            herald = self.ask(f"LINK{link}:HER?")
            what, hint = "no pair was heralded", "does the other end try at the same time, and how much light is lost?"
            raise InstrumentError(
                what, device=self.name, command=f"LINK{link}:GEN", found=herald, expected="1,...", hint=hint
            )
        self.wait_for_pair(qubit)
        self.pairs[qubit] = self._pair(qubit)

    def swap(self, a: int, b: int) -> WorkerStatus:
        """Join the pairs on two qubits into one between their far ends; `last_swap` says which correction that needs."""
        self.check_qubits(a, b)
        return self.in_thread("swap", lambda: self._swap(a, b))

    def _swap(self, a: int, b: int) -> None:
        self.last_swap = None
        self.wait_for(f"ESW {a},{b}")
        found = self.ask("ESW:RES?")
        try:
            success, bell, left, right = (int(each) for each in found.split(","))
        except ValueError as error:
            what = "the reply is not the result of a swap"
            raise BadReplyError(what, device=self.name, command="ESW:RES?", found=found) from error
        self.pairs.pop(a, None)
        self.pairs.pop(b, None)
        if not success:
            what = "the entanglement swapping failed"
            raise InstrumentError(what, device=self.name, command=f"ESW {a},{b}", found=found, expected="1,...")
        self.last_swap = Swap(bell, left, right)

    def distil(self, kept: int, spent: int) -> WorkerStatus:
        """Spend the pair on one qubit to test that on another; `last_distillation` has the outcome.

        The far end does the same, and both compare outcomes.  Rotations before it choose which errors are found.
        """
        self.check_qubits(kept, spent)
        return self.in_thread("distil", lambda: self._distil(kept, spent))

    def _distil(self, kept: int, spent: int) -> None:
        self.last_distillation = None
        command = f"DIST {kept},{spent}"
        self.tell(command)
        self.link.ask("*OPC?", timeout_s=OPERATION_S, retry=False)
        found = self.ask("DIST:RES?")
        try:
            outcome, first, second = (int(each) for each in found.split(","))
        except ValueError as error:
            what = "the reply is not the result of a purification"
            raise BadReplyError(what, device=self.name, command="DIST:RES?", found=found) from error
        self.pairs.pop(spent, None)
        if outcome not in (0, 1):
            what = "the purification failed"
            raise InstrumentError(what, device=self.name, command=command, found=found, expected="0,... or 1,...")
        self.last_distillation = Distillation(outcome, first, second)

    def refresh_pair(self, qubit: int) -> StoredPair:
        """Ask what is stored now; raises `InstrumentError` where nothing is.  Blocks for the wire."""
        self.check_qubits(qubit)
        self.pairs[qubit] = self._pair(qubit)
        return self.pairs[qubit]

    def _pair(self, qubit: int) -> StoredPair:
        pair = self.ask_or_raise(f"QUB{qubit}:PAIR?")
        fidelity = self.ask_or_raise(f"QUB{qubit}:FID?")
        try:
            return StoredPair.parse(pair, fidelity)
        except ValueError as error:
            what = "the reply does not describe a pair"
            raise BadReplyError(what, device=self.name, command=f"QUB{qubit}:PAIR?", found=pair) from error

    # Programme and events.

    def fetch_events(self) -> Events:
        """Take all event records out of the module; blocks for the wire."""
        pieces = []
        while waiting := self.events_waiting.fetch():
            command = f"EVEN:DATA? {min(waiting, BLOCK)}"
            # Not repeated: what was read is gone from the module.
            pieces.append(parse_events(self.name, self.link.query(command, read=self.link.read_block, retry=False)))
        self.last_events = np.concatenate(pieces) if pieces else parse_events(self.name, b"")
        return self.last_events

    def run_programme(self, code: bytes, timeout_s: float = 60.0) -> WorkerStatus:
        """Load a micro-programme of 8-byte instructions, run it to its end and fetch the events into `last_events`."""
        return self.in_thread("run programme", lambda: self._run_programme(code, timeout_s))

    def _run_programme(self, code: bytes, timeout_s: float) -> None:
        length = str(len(code))
        with self.link.transaction() as link:
            link.write(f"TICK:PROG #{len(length)}{length}".encode() + code + link.command_terminator)
            self.raise_errors("TICK:PROG")
        self.tell("EVEN:CLE")
        self.tell("TICK:RUN")
        end_s = self.clock.now_s() + timeout_s
        while self.ask("TICK:STAT?").startswith("RUN"):
            if self.clock.now_s() >= end_s:
                self.tell("TICK:STOP")
                what, expected = "the programme did not end in time", f"its end within {timeout_s:g} s"
                raise InstrumentError(what, device=self.name, command="TICK:RUN", found="RUN", expected=expected)
            self.wait_s(MOST_POLLS_S)
        self.fetch_events()
