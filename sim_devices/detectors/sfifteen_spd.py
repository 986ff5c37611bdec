"""Twin of the S-Fifteen single-photon detector module.  Written from protocol sheet 09."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.physics.knob import Knob, Relaxation
from qlab.twin.lines import LineTwin, line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Later

__all__ = ["SPDTwin"]

MAXIMUM_V = 250.0  # [INF] a sane range
REFUSED = "error: out of range"  # [INF] what a refused value is answered with
NUMBER = r"([-+0-9.eE]+)"


class Parameters(BaseModel):
    """The `twin:` section: the detector at its working point, and how it changes away from it."""

    model_config = ConfigDict(extra="forbid")

    efficiency: float = Field(0.5, ge=0, le=1, description="at working point")
    dark_rate_hz: float = Field(500.0, ge=0, description="at working point")
    jitter_fwhm_ps: float = Field(350.0, ge=0)
    dead_time_ns: float = Field(50.0, ge=0)
    afterpulse_probability: float = Field(0.01, ge=0, lt=1)
    afterpulse_tau_ns: float = Field(50.0, gt=0)
    bias_v: float = Field(180.0, gt=0, description="saved working bias, [INF]")
    breakdown_v: float = Field(160.0, gt=0, description="[INF]")
    temperature_c: float = Field(-20.0, description="saved set temperature, [INF]")
    dark_doubling_k: float = Field(8.0, gt=0, description="darks double per so many kelvin, typical for Si and InGaAs")
    cooling_tau_s: float = Field(5.0, gt=0)


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
        self._reset()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> SPDTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Return to the saved working point."""
        self._reset()
        self._update()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"bias_v": self._bias_v, "temperature_c": self._actual_c(), "loop": self._loop, "time_ms": self._time_ms}

    @line(r"\*idn\?()")
    def _identity(self, _: str) -> str:
        return "SPD, S-Fifteen Instruments, APD module"

    @line("hvolt?")
    def _bias_query(self) -> str:
        return f"{self._bias_v:.2f}"

    @line(f"hvolt {NUMBER}")
    def _bias(self, value: str) -> str | None:
        volts = _number(value)
        if volts is None or not 0.0 <= volts <= MAXIMUM_V:
            return REFUSED
        self._bias_v = volts
        self._update()
        return None

    @line("threshvolt?")
    def _threshold_query(self) -> str:
        return f"{self._threshold_v:.2f}"

    @line(f"threshvolt {NUMBER}")
    def _threshold(self, value: str) -> str | None:
        volts = _number(value)
        if volts is None:
            return REFUSED
        self._threshold_v = volts
        return None

    @line("settemp?")
    def _set_temperature_query(self) -> str:
        return f"{self._set_c:.2f}"

    @line(f"settemp {NUMBER}")
    def _set_temperature(self, value: str) -> str | None:
        celsius = _number(value)
        if celsius is None or not -60.0 <= celsius <= 30.0:
            return REFUSED
        self._set_c = celsius
        self._cool()
        return None

    @line("temp?")
    def _temperature_query(self) -> str:
        return f"{self._actual_c():.2f}"

    @line("loop?")
    def _loop_query(self) -> str:
        return str(int(self._loop))

    @line("loop ([01])")
    def _set_loop(self, value: str) -> None:
        self._loop = value == "1"
        self._cool()

    @line("(pvolt|constp|consti|delay)[?]")
    def _stored_query(self, name: str) -> str:
        return f"{self._stored[name]:g}"

    @line(f"(pvolt|constp|consti|delay) {NUMBER}")
    def _store(self, name: str, value: str) -> str | None:
        number = _number(value)
        if number is None:
            return REFUSED
        self._stored[name] = number
        return None

    @line("time?")
    def _time_query(self) -> str:
        return str(self._time_ms)

    @line(r"time (\d+)")
    def _time(self, value: str) -> str | None:
        if not 1 <= int(value) <= 65535:
            return REFUSED
        self._time_ms = int(value)
        return None

    @line("counts?")
    def _counts(self) -> Later:
        start = self.clock.now_ps()
        stop = start + self._time_ms * PS_PER_S // 1000
        return self.later(self._time_ms / 1000.0, lambda: self._count(start, stop))

    @line("save")
    def _save(self) -> str:
        return "saved"

    @line("help")
    def _help(self) -> list[str]:
        return ["hvolt v, hvolt?", "settemp v, settemp?, temp?", "time ms, time?", "counts?", "save"]

    def _count(self, start_ps: int, stop_ps: int) -> str:
        return str(self._bench.world.clicks(self._bench.detector_id(self._name), start_ps, stop_ps).size)

    def _reset(self) -> None:
        self._bias_v, self._threshold_v = self._p.bias_v, 0.1
        self._set_c, self._loop, self._time_ms = self._p.temperature_c, True, 1000
        self._stored = {"pvolt": 0.0, "constp": 1.0, "consti": 0.1, "delay": 0.0}

    def _actual_c(self) -> float:
        return self._temperature.value(self.clock.now_ps())

    def _cool(self) -> None:
        now = self.clock.now_ps()
        target = self._set_c if self._loop else self._bench.ambient_c(self._name)
        tau = round(self._p.cooling_tau_s * PS_PER_S)
        self._temperature.set(Relaxation(now, self._temperature.value(now), target, tau), now)
        self._update()

    def _update(self) -> None:
        """Efficiency and darks of the world's detector, by a simple model of the diode around its working point.

        Efficiency saturates with excess bias, eta = eta_0 (1 - exp(-V/V0)) / (1 - exp(-1)) with V0 the working excess;
        darks grow linearly with excess bias and double every `dark_doubling_k`.  [INF]
        """
        now = self.clock.now_ps()
        working = max(self._p.bias_v - self._p.breakdown_v, 1e-9)
        excess = max(self._bias_v - self._p.breakdown_v, 0.0) / working
        efficiency = self._p.efficiency * -math.expm1(-excess) / -math.expm1(-1.0)
        target = self._set_c if self._loop else self._bench.ambient_c(self._name)
        warm = 2.0 ** ((target - self._p.temperature_c) / self._p.dark_doubling_k)
        self._detector.efficiency.set(min(efficiency, 1.0), now)
        self._detector.dark_rate_hz.set(self._p.dark_rate_hz * excess * warm, now)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
