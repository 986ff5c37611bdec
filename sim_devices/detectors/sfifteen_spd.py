"""Twin of the S-Fifteen single-photon detector module.  Written from protocol sheet 09."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.physics.knob import Knob, Relaxation
from qlab.twin.lines import LineError, LineTwin, line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Later

__all__ = ["SPDTwin"]

MAXIMUM_V = 250.0  # [INF] a sane range
SET_C, COUNTING_MS = (-60.0, 30.0), (1, 65535)  # [INF] what it takes
SAVED = "saved"  # [INF] the line behind `save`
MOST = 1e6  # [INF] of what has no published range
REFUSED = "error: out of range"  # [INF] what a refused value is answered with
COOLING_K_PER_V = 10.0  # [INF] what the Peltier element does in open loop
VALUE = " +(.+)"
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
HELP = (
    "hvolt v, hvolt?: bias",
    "threshvolt v, threshvolt?: discriminator",
    "settemp v, settemp?, temp?: temperature",
    "loop 0|1, loop?, constp v, consti v, pvolt v: cooler",
    "time ms, time?, counts?: counter",
    "delay n, delay?: output delay",
    "save: store the settings",
)  # [INF] the words


class Parameters(BaseModel):
    """The `twin:` section: the detector at its working point, and how it changes away from it."""

    model_config = ConfigDict(extra="forbid")

    efficiency: float = Field(0.5, ge=0, le=1, description="at working point")
    dark_rate_hz: float = Field(500.0, ge=0, description="at working point")
    jitter_fwhm_ps: float = Field(350.0, ge=0, description="data sheet of Excelitas SPCM-AQRH: 350 ps")
    dead_time_ns: float = Field(50.0, ge=0, description="[INF]; SPCM-AQRH: 20 to 50 ns, quenched actively")
    afterpulse_probability: float = Field(0.01, ge=0, lt=1, description="[INF]; SPCM-AQRH: 0.5 %")
    afterpulse_tau_ns: float = Field(
        50.0, gt=0, description="[INF] life of traps, tens of ns in silicon (Cova et al., Appl. Opt. 35, 1956 (1996))"
    )
    bias_v: float = Field(180.0, gt=0, description="saved working bias, [INF]")
    breakdown_v: float = Field(160.0, gt=0, description="[INF]")
    temperature_c: float = Field(-20.0, description="saved set temperature, [INF]")
    dark_doubling_k: float = Field(8.0, gt=0, description="darks double per so many kelvin, typical for Si and InGaAs")
    cooling_tau_s: float = Field(5.0, gt=0, description="[INF] of the Peltier cooler")
    cooling_span_k: float = Field(80.0, gt=0, description="most that the cooler gets below the room, [INF]")
    maximum_excess_v: float = Field(90.0, gt=0, description="bias above breakdown that is refused, [INF]")


@dataclass(frozen=True, slots=True)
class State:
    """What can be set and saved, by the commands' names."""

    hvolt: float
    settemp: float
    threshvolt: float = 0.1
    loop: int = 1
    pvolt: float = 0.0
    constp: float = 1.0
    consti: float = 0.1
    time: int = 1000
    delay: float = 0.0


class SPDTwin(LineTwin):
    """The module: sets are silent, queries end with CR LF."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b"\r\n;"
    ignore_case = True

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._p = parameters
        self._detector = bench.detector(name)
        self._temperature = Knob(parameters.temperature_c)
        self._saved = State(parameters.bias_v, parameters.temperature_c)
        self._state = self._saved

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> SPDTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Return to the saved working point."""
        self._state = self._saved
        self._cool()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        state = self._state
        return {"bias_v": state.hvolt, "temperature_c": self._actual_c(), "loop": state.loop, "time_ms": state.time}

    @line("*idn?")
    def _identity(self) -> str:
        return "SPD, S-Fifteen Instruments, APD module"

    @line("(hvolt|threshvolt|settemp)[?]")
    def _volts_query(self, name: str) -> str:
        return f"{getattr(self._state, name.lower()):.2f}"

    @line("(pvolt|constp|consti|delay)[?]")
    def _stored_query(self, name: str) -> str:
        return f"{getattr(self._state, name.lower()):g}"

    @line("(loop|time)[?]")
    def _whole_query(self, name: str) -> str:
        return str(getattr(self._state, name.lower()))

    @line("temp?")
    def _temperature_query(self) -> str:
        return f"{self._actual_c():.2f}"

    @line(f"hvolt{VALUE}")
    def _bias(self, text: str) -> None:
        volts = _number(text, 0.0, min(MAXIMUM_V, self._p.breakdown_v + self._p.maximum_excess_v))
        self._state = replace(self._state, hvolt=volts)
        self._update()

    @line(f"settemp{VALUE}")
    def _set_temperature(self, text: str) -> None:
        self._state = replace(self._state, settemp=_number(text, *SET_C))
        self._cool()

    @line(f"pvolt{VALUE}")
    def _peltier(self, text: str) -> None:
        self._state = replace(self._state, pvolt=_number(text, 0.0, MOST))
        self._cool()

    @line(f"loop{VALUE}")
    def _set_loop(self, text: str) -> None:
        self._state = replace(self._state, loop=_whole(text, 0, 1))
        self._cool()

    @line(f"(threshvolt|constp|consti|delay){VALUE}")
    def _store(self, name: str, text: str) -> None:
        changes: dict[str, Any] = {name.lower(): _number(text, -MOST, MOST)}
        self._state = replace(self._state, **changes)

    @line(f"time{VALUE}")
    def _time(self, text: str) -> None:
        self._state = replace(self._state, time=_whole(text, *COUNTING_MS))

    @line("counts?")
    def _counts(self) -> Later:
        start = self.clock.now_ps()
        stop = start + self._state.time * PS_PER_S // 1000
        return self.later(self._state.time / 1000.0, lambda: self._count(start, stop))

    @line("save")
    def _save(self) -> str:
        self._saved = self._state
        return SAVED

    @line("help")
    def _help(self) -> list[str]:
        return list(HELP)

    def _count(self, start_ps: int, stop_ps: int) -> str:
        return str(self._bench.world.clicks(self._bench.detector_id(self._name), start_ps, stop_ps).size)

    def _actual_c(self) -> float:
        return self._temperature.value(self.clock.now_ps())

    def _target_c(self) -> float:
        """Return where the temperature goes: the cooler has an end, and in open loop it does what it is told."""
        room = self._bench.ambient_c(self._name)
        state = self._state
        wanted = state.settemp if state.loop else room - COOLING_K_PER_V * state.pvolt
        return max(wanted, room - self._p.cooling_span_k)

    def _cool(self) -> None:
        now = self.clock.now_ps()
        tau = round(self._p.cooling_tau_s * PS_PER_S)
        self._temperature.set(Relaxation(now, self._temperature.value(now), self._target_c(), tau), now)
        self._update()

    def _update(self) -> None:
        """Efficiency and darks of the world's detector, by a simple model of the diode around its working point.

        Efficiency saturates with excess bias, eta = eta_0 (1 - exp(-V/V0)) / (1 - exp(-1)) with V0 the working excess;
        darks grow linearly with excess bias and double every `dark_doubling_k`.  [INF]
        """
        now = self.clock.now_ps()
        working = max(self._p.bias_v - self._p.breakdown_v, 1e-9)
        excess = max(self._state.hvolt - self._p.breakdown_v, 0.0) / working
        efficiency = self._p.efficiency * -math.expm1(-excess) / -math.expm1(-1.0)
        self._detector.efficiency.set(min(efficiency, 1.0), now)
        dark, target = (self._p.dark_rate_hz * excess * self._warmth(c) for c in (self._actual_c(), self._target_c()))
        # The rate is exponential in a temperature that relaxes; that it relaxes by itself is near enough.
        tau = round(self._p.cooling_tau_s * PS_PER_S)
        settled = math.isclose(dark, target, rel_tol=1e-6)
        self._detector.dark_rate_hz.set(target if settled else Relaxation(now, dark, target, tau), now)

    def _warmth(self, celsius: float) -> float:
        return math.pow(2.0, (celsius - self._p.temperature_c) / self._p.dark_doubling_k)


def _number(text: str, low: float, high: float) -> float:
    if not NUMBER.fullmatch(text) or not low <= float(text) <= high:
        raise LineError(REFUSED)
    return float(text)


def _whole(text: str, low: int, high: int) -> int:
    value = _number(text, low, high)
    if value != round(value):
        raise LineError(REFUSED)
    return round(value)
