"""SRS FS740: GPS time and frequency system; a node's 10 MHz and 1 pps.

SCPI over TCP 5025.  Without satellites it holds over: its time wanders, and it says since when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, parse_int
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["FS740"]

STATES = {  # [V2] the words
    "POW": "it warms up",
    "SEAR": "it searches for satellites",
    "STAB": "it stabilises",
    "VTIM": "it validates the time",
    "MAN": "hold-over was switched on by hand",
    "NGPS": "there are no satellites: it holds over",
    "BGPS": "the satellites are bad: it holds over",
    "UNL": "it is not locked",
}
POLL_S = 5.0
GATES_S = (0.01, 1000.0)
"""[V1] Of a measured frequency."""


def _word(text: str) -> str:
    return text.strip()


class FS740(ScpiInstrument):
    """The clock; role `qlab.roles.Clock`."""

    identity = r"^Stanford Research Systems,FS740"
    twin = "sim_devices.timing.srs_fs740.FS740Twin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::5025::SOCKET", "ASRL/dev/ttyUSB0::INSTR")
    link_options = {"baud": 115200, "terminator": b"\r\n", "command_terminator": b"\n"}
    warm_up_s: ClassVar[float] = 900.0
    lock_timeout_s: ClassVar[float] = 3600.0

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        output_delay_s: float | None = None
        gate_s: float | None = None

    state = Cpt(ScpiSignal, query="TBAS:STAT?", parse=_word, initial="UNL", kind="normal")
    interval_s = Cpt(ScpiSignal, query="TBAS:TINT?", units="s", precision=12, kind="hinted")
    holdover_s = Cpt(ScpiSignal, query="TBAS:HOLD?", parse=parse_int, initial=0, units="s", kind="normal")
    locked_s = Cpt(ScpiSignal, query="TBAS:LOCK?", parse=parse_int, initial=0, units="s", kind="normal")
    output_delay_s = Cpt(
        ScpiSignal,
        query="SOUR3:PHAS:SYNC:TDEL?",
        command="SOUR3:PHAS:SYNC:TDEL {:.12g}",
        units="s",
        precision=12,
        limits=(-0.5, 0.5),
        verify=1e-9,
        kind="config",
    )
    gate_s = Cpt(
        ScpiSignal,
        query="SENS:FREQ:GATE?",
        command="SENS:FREQ:GATE {:g}",
        units="s",
        limits=GATES_S,
        initial=1.0,
        verify=1e-3,
        kind="config",
    )
    frequency_hz = Cpt(ScpiSignal, query="MEAS:FREQ?", units="Hz", precision=6, kind="omitted")

    @property
    def firmware(self) -> str:
        """The version behind `ver`."""
        return self.identity_text.rpartition("ver")[2].strip()

    @property
    def locked(self) -> bool:
        """Whether it was locked when it was asked last."""
        return bool(self.state.get() == "LOCK")

    @property
    def offset_s(self) -> float | None:
        """Its 1 pps against GPS, as last fetched; it tells GPS minus its own."""
        return -float(self.interval_s.get())

    def wait_for_lock(self) -> WorkerStatus:
        """Wait until it is locked to GPS."""
        return self.in_thread("lock", self._wait_for_lock)

    def count(self) -> WorkerStatus:
        """Measure the frequency on the front input for `gate_s`; the signal `frequency_hz` then has it, NaN for none."""
        return self.in_thread("count", self._count)

    def hold_over(self, *, on: bool = True) -> WorkerStatus:
        """Switch the discipline by GPS off, so that it holds over, or on again; then it has to be waited for."""
        return self.in_thread("hold over", lambda: self.tell(f"TBAS:CONF:LOCK {int(not on)}"))

    def check_health(self) -> list[str]:
        """Return why it is not locked."""
        state = self.state.fetch()
        return [] if state == "LOCK" else [STATES.get(state, f"its state is {state}")]

    def _count(self) -> None:
        gate_s = self.gate_s.get()
        reply = self.link.ask_value("MEAS:FREQ?", float, delay_s=gate_s)
        self.frequency_hz.remember(reply if reply < 9e37 else float("nan"))

    def _wait_for_lock(self) -> None:
        deadline_s = self.clock.now_s() + self.lock_timeout_s
        while self.state.fetch() != "LOCK":
            if self.clock.now_s() > deadline_s:
                what = f"it is not locked after {self.lock_timeout_s / 60:g} minutes"
                hint = "is the antenna connected, and does it see the sky?"
                raise InstrumentError(what, device=self.name, found=self.state.get(), expected="LOCK", hint=hint)
            self.wait_s(POLL_S)
