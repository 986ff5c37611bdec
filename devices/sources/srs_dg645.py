"""SRS DG645: digital delay generator; clocks pulsed sources, gates detectors, simulates heralds.

SCPI-like over TCP 5025 with numbered errors (`LERR?`).  Edges A to H come at delays after a trigger, pulses lie between pairs
of them; delays in seconds are kept with steps of 5 ps.  It runs on after a plan; but its pulses may make light, so that after
it lost its power nothing but a person or a plan sets its trigger source again: until then it is not well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.part import Part
from devices.signals import QuerySignal, parse_float, parse_int
from devices.sources.dg645_errors import words_for
from qlab.errors import InstrumentError

if TYPE_CHECKING:
    from devices.worker import WorkerStatus

__all__ = ["DG645"]

CHANNEL = {"T0": 0, "T1": 1, "A": 2, "B": 3, "C": 4, "D": 5, "E": 6, "F": 7, "G": 8, "H": 9}
STEP_S = 5e-12
SINGLE_SHOT = 5
"""[V2] The trigger source after `*RST`: it waits for a command."""
PROBLEMS = {1: "triggers come faster than the delays allow, and are missed", 6: "the 10 MHz reference is lost"}
"""[V2] Bits of INSR?."""


class _DelaySignal(QuerySignal):
    """A delay behind T0: the reply has the reference before it."""

    def __init__(self, *, channel: str, **kwargs: Any) -> None:
        n = CHANNEL[channel]
        super().__init__(
            query=f"DLAY?{n}",
            command=f"DLAY {n},0," + "{:.12g}",
            parse=lambda text: float(text.split(",")[1]),
            units="s",
            precision=12,
            limits=(0.0, 2000.0),
            verify=STEP_S,
            **kwargs,
        )


class _Output(Part):
    """One output: amplitude, offset, and the edges of its pulse."""

    amplitude_v = Cpt(
        QuerySignal, query="LAMP?{}", command="LAMP {},{{:g}}", units="V", limits=(0.5, 5.0), kind="config"
    )
    offset_v = Cpt(QuerySignal, query="LOFF?{}", command="LOFF {},{{:g}}", units="V", limits=(-2.0, 2.0), kind="config")

    def __init__(self, prefix: str = "", *, number: int, **kwargs: Any) -> None:
        super().__init__(prefix, number=number, **kwargs)
        for signal in (self.amplitude_v, self.offset_v):
            signal.query, signal.command = signal.query.format(number), signal.command.format(number)


class DG645(Instrument):
    """The generator; role `qlab.roles.PulseGenerator`.

    `ab` to `gh` are its outputs, `a_s` to `h_s` the delays of the edges after T0.
    """

    identity = r"^Stanford Research Systems,DG645"
    twin = "sim_devices.sources.srs_dg645.DG645Twin"
    wire = "tcp"
    usual_addresses = (
        "TCPIP0::HOST::5025::SOCKET",
        "TCPIP0::HOST::INSTR",
        "GPIB0::15::INSTR",
        "ASRL/dev/ttyUSB0::INSTR",
    )
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b"\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        trigger_source: int | None = None
        trigger_rate_hz: float | None = None
        a_s: float | None = None
        b_s: float | None = None
        c_s: float | None = None
        d_s: float | None = None
        e_s: float | None = None
        f_s: float | None = None
        g_s: float | None = None
        h_s: float | None = None

    trigger_rate_hz = Cpt(
        QuerySignal, query="TRAT?", command="TRAT {:.6f}", units="Hz", limits=(1e-4, 1e7), verify=1e-3, kind="hinted"
    )
    trigger_source = Cpt(
        QuerySignal,
        query="TSRC?",
        command="TSRC {:d}",
        parse=parse_int,
        initial=SINGLE_SHOT,
        limits=(0, 6),
        verify=0,
        restore=False,
        kind="config",
    )
    burst_count = Cpt(
        QuerySignal,
        query="BURC?",
        command="BURC {:d}",
        parse=parse_int,
        initial=1,
        limits=(1, 2**32 - 1),
        kind="config",
    )
    burst_period_s = Cpt(
        QuerySignal,
        query="BURP?",
        command="BURP {:.12g}",
        units="s",
        limits=(1e-7, 2000.0 - 1e-8),
        verify=STEP_S,
        kind="config",
    )
    burst = Cpt(
        QuerySignal,
        query="BURM?",
        command="BURM {:d}",
        parse=parse_int,
        initial=0,
        limits=(0, 1),
        verify=0,
        kind="config",
    )
    a_s = Cpt(_DelaySignal, channel="A", kind="config")
    b_s = Cpt(_DelaySignal, channel="B", kind="config")
    c_s = Cpt(_DelaySignal, channel="C", kind="config")
    d_s = Cpt(_DelaySignal, channel="D", kind="config")
    e_s = Cpt(_DelaySignal, channel="E", kind="config")
    f_s = Cpt(_DelaySignal, channel="F", kind="config")
    g_s = Cpt(_DelaySignal, channel="G", kind="config")
    h_s = Cpt(_DelaySignal, channel="H", kind="config")
    t0 = Cpt(_Output, "", number=0)
    ab = Cpt(_Output, "", number=1)
    cd = Cpt(_Output, "", number=2)
    ef = Cpt(_Output, "", number=3)
    gh = Cpt(_Output, "", number=4)

    def prepare(self) -> None:
        """Forget errors from before our time."""
        self.link.tell("*CLS")

    def tell(self, command: str) -> None:
        """Send a set and ask for its error; raises `InstrumentError` with what the number means."""
        with self.link.transaction() as link:
            link.tell(command)
            code = parse_int(link.ask("LERR?", retry=False))
        if code:
            what = f"the generator refused a command: {words_for(code)}"
            raise InstrumentError(what, device=self.name, command=command, found=f"error {code}")

    def fire(self) -> WorkerStatus:
        """Trigger once by software; the trigger source must be 5."""
        return self.in_thread("trigger", lambda: self.tell("*TRG"))

    def set_pulse(self, output: str, delay_s: float, width_s: float) -> WorkerStatus:
        """Let an output ("ab", "cd", "ef", "gh") pulse `delay_s` after T0, `width_s` long."""
        first, second = (getattr(self, f"{letter}_s") for letter in output.lower())
        first.check_value(delay_s)
        second.check_value(delay_s + width_s)

        def work() -> None:
            first.store(delay_s)
            second.store(delay_s + width_s)

        return self.in_thread("pulse", work)

    def check_health(self) -> list[str]:
        """Return missed triggers, a lost reference, and a trigger source that is no longer what was set."""
        bits = round(parse_float(self.ask("INSR?")))
        wrong = [words for bit, words in PROBLEMS.items() if bits >> bit & 1]
        wanted = self.trigger_source.wanted
        if wanted is not None and self.trigger_source.fetch() != wanted:
            wrong.append(f"it lost its settings and makes no pulses by itself: set trigger_source to {wanted} again")
        return wrong
