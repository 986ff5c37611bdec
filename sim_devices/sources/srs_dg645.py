"""Twin of the SRS DG645 digital delay generator.  Written from protocol sheet 06."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.scpi import ScpiError, command, integer, parameter, query
from sim_devices.pulse_output import PulseOutput
from sim_devices.sources.dg645_delays import ILLEGAL_MODE, LONGEST_S, RECALL_FAILED, T0
from sim_devices.sources.dg645_panel import PanelTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.twin.bench import Bench

__all__ = ["DG645Twin"]

INSERTION_S = 85e-9  # [V1]
RECOVERY_S = 60e-9  # [INF] between the longest delay and the next trigger
SINGLE_SHOT, INTERNAL = 5, 0
NO_TRIGGERS = 1
"""[V2] Of `INHB`."""
TRIGGERED, RATE_ERROR, END_OF_DELAY, END_OF_BURST, INHIBITED, ABORTED, PLL_UNLOCK, RB_UNLOCK = (
    1 << n for n in range(8)
)
"""[V2] Of `INSR?`; [INF] the order of the last two."""
FAULTS = {"reference_lost": PLL_UNLOCK, "rubidium_unlocked": RB_UNLOCK}
FAILURES = {"self_test": 16, "calibration": 17}
"""[V2] Of `LERR?`, behind `*TST?` and `*CAL?`."""
MEMORIES = 10  # [INF]
PULSE_OUTPUTS = ("T0", "AB", "CD", "EF", "GH")
T1_S = 25e-9  # [INF] T0 falls so long after the last edge


_Saved: TypeAlias = tuple[dict[str, float | bool | str], dict[int, tuple[int, float]], list[list[float]]]


class Parameters(BaseModel):
    """The `twin:` section."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "003075"
    firmware: str = "1.17.10E"
    reference_locked: bool = Field(default=True, description="whether an external 10 MHz reference is good")


class DG645Twin(PanelTable):
    """The generator: edges A to H behind a trigger, and pulses between pairs of them."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    terminator = b"\r\n"

    source = parameter("TSRC", 5, limits=(0, 6), changed="_changed")
    rate_hz = parameter("TRAT", 1e3, limits=(1e-4, 1e7), fmt="+.6f", changed="_changed")
    level_v = parameter("TLVL", 1.0, limits=(-3.5, 3.5), fmt="+.2f")
    inhibit = parameter("INHB", 0, limits=(0, 5), changed="_changed")
    advanced = parameter("ADVT", 0, limits=(0, 1))
    hold_off_s = parameter("HOLD", 0.0, limits=(0.0, 10.0), fmt="+.12f")
    burst = parameter("BURM", 0, limits=(0, 1), changed="_changed")
    burst_count = parameter("BURC", 5, limits=(1, 2**32 - 1), changed="_changed")
    burst_delay_s = parameter("BURD", 0.0, limits=(0.0, LONGEST_S), fmt="+.12f", changed="_changed")
    burst_period_s = parameter("BURP", 1e-5, limits=(1e-7, LONGEST_S - 1e-8), fmt="+.12f", changed="_changed")
    burst_t0 = parameter("BURT", 0, limits=(0, 1))

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        self._pulses = {n: PulseOutput(bench, name, output) for n, output in enumerate(PULSE_OUTPUTS)}
        self._knobs = {n: bench.knob(name, f"frequency_hz.{n}") for n in range(5)}
        self._unlocked = 0 if parameters.reference_locked else PLL_UNLOCK
        self._shot_ps = 0
        self._status = 0
        self._memory: dict[int, _Saved] = {}
        self._delays: dict[int, tuple[int, float]] = {}
        self._outputs: list[list[float]] = []
        self._defaults()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> DG645Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @classmethod
    def trigger_outputs(cls, parameters: Parameters) -> Sequence[str]:
        """Return the outputs that can trigger something."""
        del parameters
        return PULSE_OUTPUTS

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Stanford Research Systems,DG645,s/n{self._parameters.serial},ver{self._parameters.firmware}"

    def on_reset(self) -> None:
        """Return delays and outputs to their defaults; a cycle that is under way is broken off."""
        self._status |= ABORTED if self.clock.now_ps() < self._shot_ps else 0
        self._shot_ps = 0
        self._defaults()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Lose the 10 MHz reference or the rubidium's lock, or fail the tests; or end it."""
        if name in FAILURES:
            self.failures[name] = FAILURES[name] if active else 0
            return
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join((*FAULTS, *FAILURES))}"
            raise TwinError(msg)
        self._unlocked = self._unlocked | FAULTS[name] if active else self._unlocked & ~FAULTS[name]
        self._status |= self._unlocked

    def peek(self) -> dict[str, object]:
        """Return the edges after the trigger, in s, and the rate of the outputs."""
        return {"edges_s": [self.edge_s(c) for c in range(10)], "rate_hz": self._rate_hz()}

    @command("PRES", integer(0, 4), integer(1, 2**31 - 1))
    def _prescale(self, output: int, factor: int) -> None:
        self._prescalers[output] = factor
        self._changed()

    @query("PRES?", integer(0, 4))
    def _prescale_query(self, output: int) -> int:
        return self._prescalers[output]

    @command("PHAS", integer(1, 4), integer(0, 2**31 - 2))
    def _phase(self, output: int, phase: int) -> None:
        self._phases[output - 1] = phase

    @query("PHAS?", integer(1, 4))
    def _phase_query(self, output: int) -> int:
        return self._phases[output - 1]

    @command("*TRG")
    def _trigger(self) -> None:
        if self.source != SINGLE_SHOT:
            raise ScpiError(ILLEGAL_MODE, "illegal mode")
        now = self.clock.now_ps()
        if now < self._shot_ps:
            self._status |= RATE_ERROR
            return
        if self.inhibit == NO_TRIGGERS:
            self._status |= INHIBITED
            return
        self._status |= TRIGGERED | END_OF_DELAY | (END_OF_BURST if self.burst else 0)
        self._shot_ps = now + round((INSERTION_S + self._longest_s()) * PS_PER_S)

    def busy(self) -> bool:
        """Return whether a cycle of delays is under way."""
        return self.clock.now_ps() < self._shot_ps

    @query("INSR?")
    def _instrument_status(self) -> int:
        """Clear on read; a rate that is too fast for the delays sets its bit again."""
        rate = self._trigger_hz()
        self._status |= TRIGGERED | END_OF_DELAY | (END_OF_BURST if self.burst else 0) if rate else 0
        self._status |= INHIBITED if self.source == INTERNAL and self.inhibit == NO_TRIGGERS else 0
        self._status |= RATE_ERROR if rate and self._missed(rate) else 0
        self._status |= self._unlocked
        found, self._status = self._status, 0
        return found

    @command("*SAV", integer(0, MEMORIES - 1))
    def _save(self, slot: int) -> None:
        outputs = [list(output) for output in self._outputs]
        self._memory[slot] = (dict(self.values), dict(self._delays), outputs)

    @command("*RCL", integer(0, MEMORIES - 1))
    def _recall(self, slot: int) -> None:
        if slot not in self._memory:
            raise ScpiError(RECALL_FAILED, "recall failed")
        values, delays, outputs = self._memory[slot]
        self.values, self._delays = dict(values), dict(delays)
        self._outputs = [list(output) for output in outputs]
        self._changed()

    def _defaults(self) -> None:
        self._delays = dict.fromkeys(range(10), (T0, 0.0)) | {c: (c - 1, 1e-7) for c in (3, 5, 7, 9)}
        self._outputs = [[2.5, 0.0, 1] for _ in range(5)]
        self._steps = [0.0] * 10
        self._prescalers, self._phases = [1] * 5, [0] * 4
        self._changed()

    def _trigger_hz(self) -> float:
        return float(self.rate_hz) if self.source == INTERNAL and self.inhibit != NO_TRIGGERS else 0.0

    def _missed(self, rate_hz: float) -> bool:
        return 1.0 / rate_hz < self._longest_s() + RECOVERY_S

    def _rate_hz(self) -> float:
        """Return how often the outputs pulse: triggers that come while it is busy are missed."""
        rate = self._trigger_hz()
        while rate and self._missed(rate):
            rate /= 2.0
        return rate * (int(self.burst_count) if self.burst else 1)

    def _changed(self) -> None:
        now, rate = self.clock.now_ps(), self._rate_hz()
        for output, knob in self._knobs.items():
            silent = output and self.inhibit >= output + 1
            knob.set(0.0 if silent else rate / self._prescalers[output], now)
            self._pulse(output, bool(silent), now)

    def _pulse(self, output: int, silent: bool, now_ps: int) -> None:
        """Let the world know an output's pulses; of a single shot it sees none."""
        burst = (int(self.burst_count), float(self.burst_period_s)) if self.burst else (1, 0.0)
        rate = self._rate_hz() / burst[0]
        edges = [self.edge_s(channel) for channel in (2 * output, 2 * output + 1)]
        if output == T0:
            edges = [0.0, self._longest_s() + T1_S]
        begin, end = min(edges), max(edges)
        if self.burst:
            begin, end = begin + float(self.burst_delay_s), end + float(self.burst_delay_s)
        amplitude, offset, positive = self._outputs[output]
        if not positive and rate:  # idles high: it rises where the pulse ends
            begin, end = end, begin + (burst[1] if self.burst else 1.0 / rate)
        divide = 0 if silent or begin == end else self._prescalers[output]
        self._pulses[output].set(now_ps, rate, divide, begin, end - begin, amplitude + offset, burst)
