"""Twin of the Pendulum CNT-91 counter (Tektronix FCA3100 kin).  Written from protocol sheet 23.

It counts the tags that the lab's cables bring to its inputs: a frequency is (n - 1) events over the time from the first to
the last in the gate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.twin.scpi import (
    Kind,
    Later,
    ScpiError,
    ScpiTwin,
    boolean,
    command,
    integer,
    number,
    optional,
    parameter,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["CNT91Twin"]

BUFFER = 10_000
NAN = 9.91e37
NOTHING_TO_FETCH = (-230, "Data corrupt or stale")


def _channel(text: str) -> int:
    """Read `(@1)` [V2]; 1 to 7, of which 1 and 2 are the inputs A and B."""
    found = re.fullmatch(r"\(@(\d)\)", text.strip(), re.ASCII)
    if found is None or not 1 <= int(found[1]) <= 7:
        raise ScpiError(-224)
    return int(found[1])


def _count(text: str) -> int:
    return BUFFER if text.strip().upper() in ("MAX", "MAXIMUM") else integer(1, BUFFER).parse(text)


CHANNEL: Kind[int] = Kind(_channel)
COUNT: Kind[int] = Kind(_count)


class Parameters(BaseModel):
    """The `twin:` section."""

    model_config = ConfigDict(extra="forbid")

    model: Literal["CNT-91", "FCA3100"] = Field(
        "CNT-91", description="Pendulum's, or Tektronix' which is the same inside"
    )
    serial: str = "123456"
    firmware: str = "V1.26"


class CNT91Twin(ScpiTwin):
    """The counter."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    number_format = ".12E"
    no_error = '0,"No error"'
    """[V1] A public driver reads errors until one begins with `0,`."""

    aperture_s = parameter("ACQuisition:APERture", 0.01, limits=(2e-8, 1000.0))
    continuous = parameter("INITiate:CONTinuous", True)
    data_format = parameter("FORMat[:DATA]", "ASC", choices=("ASCii", "REAL"))
    arm_source = parameter("ARM:SOURce", "IMM", choices=("IMMediate", "EXT1", "EXT2", "EXT4"))
    arm_slope = parameter("ARM:SLOPe", "POS", choices=("POSitive", "NEGative"))
    calibrate = parameter("CALibration:INTerpolator:AUTO", True)
    time_stamps = parameter("FORMat:TINFormation", False)

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._function, self._samples = "FREQ", 1
        self._inputs: tuple[int, ...] = (1,)
        self._begun_ps: int | None = None
        self._levels: dict[int, float] = {}
        self._fixed: frozenset[int] = frozenset()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> CNT91Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        p = self._parameters
        return ", ".join(("PENDULUM", p.model, p.serial, p.firmware)) if p.model == "CNT-91" else self._tektronix()

    def _tektronix(self) -> str:
        p = self._parameters
        return ",".join(("TEKTRONIX", p.model, p.serial, p.firmware))

    def on_reset(self) -> None:
        """Forget what was measured."""
        self._forget()

    def peek(self) -> dict[str, object]:
        """Return what is configured."""
        return {"function": self._function, "samples": self._samples, "channels": self._inputs}

    @query("FORMat:SMAX?")
    def _longest(self) -> int:
        return BUFFER

    @command("CONFigure[:SCALar]:FREQuency", "CONFigure:FREQuency:CW", optional(CHANNEL, 1))
    def _configure(self, channel: int) -> None:
        self._function, self._samples, self._inputs = "FREQ", 1, (channel,)

    @command("CONFigure:ARRay:FREQuency", "CONFigure:ARRay:FREQuency:BTB", COUNT, optional(CHANNEL, 1))
    def _configure_array(self, samples: int, channel: int) -> None:
        self._function, self._samples, self._inputs = "FREQ", samples, (channel,)

    @command("CONFigure:TINTerval", optional(CHANNEL, 1), optional(CHANNEL, 2))
    def _configure_interval(self, first: int, second: int) -> None:
        self._function, self._samples, self._inputs = "TINT", 1, (first, second)

    @command("CONFigure:TOTalize", optional(CHANNEL, 1))
    def _configure_total(self, channel: int) -> None:
        self._function, self._samples, self._inputs = "TOT", 1, (channel,)

    @query("CONFigure?")
    def _configuration(self) -> str:
        return f'"{self._function} {",".join(f"(@{n})" for n in self._inputs)}"'

    @query("MEASure:FREQuency?", optional(CHANNEL, 1))
    def _measure(self, channel: int) -> Later:
        self._configure(channel)
        return self._read()

    @query("MEASure:TINTerval?", optional(CHANNEL, 1), optional(CHANNEL, 2))
    def _measure_interval(self, first: int, second: int) -> Later:
        self._configure_interval(first, second)
        return self._read()

    @command("INITiate[:IMMediate]")
    def _initiate(self) -> None:
        self._begun_ps = self.clock.now_ps()
        self.begin_operation(self._samples * float(self.aperture_s))

    @command("ABORt")
    def _abort(self) -> None:
        self._begun_ps = None
        self.end_operations()

    @query("READ?")
    def _read(self) -> Later:
        self._initiate()
        return Later(self._samples * float(self.aperture_s), self._fetch)

    @query("READ:ARRay?", COUNT)
    def _read_array(self, count: int) -> Later:
        self._initiate()
        return Later(self._samples * float(self.aperture_s), lambda: self._fetch_array(count))

    @query("FETCh?")
    def _fetch(self) -> str:
        return self._results(1)

    @query("FETCh:ARRay?", COUNT)
    def _fetch_array(self, count: int) -> str:
        return self._results(count)

    @command("INPut#:COUPling", "INPut#:IMPedance", "INPut#:SLOPe")
    def _input(self, channel: int, value: str) -> None:
        """Take what does not matter to tags."""

    @command("INPut#:LEVel[:ABSolute]", number(-5.0, 5.0))
    def _set_level(self, channel: int, volts: float) -> None:
        self._levels[channel] = volts

    @query("INPut#:LEVel[:ABSolute]?")
    def _level(self, channel: int) -> float:
        return self._levels.get(channel, 0.0)

    @command("INPut#:LEVel:AUTO", boolean)
    def _set_auto(self, channel: int, on: bool) -> None:
        self._fixed = self._fixed - {channel} if on else self._fixed | {channel}

    @query("INPut#:LEVel:AUTO?")
    def _auto(self, channel: int) -> bool:
        return channel not in self._fixed

    @command("SENSe:FUNCtion[:ON]", "DISPlay:ENABle")
    def _other(self, value: str) -> None:
        """Take what does not matter to tags."""

    @query("DISPlay:ENABle?", optional(boolean, default=False))
    def _display(self, _: bool) -> int:
        return 1

    def _forget(self) -> None:
        self._function, self._samples, self._inputs, self._begun_ps = "FREQ", 1, (1,), None

    def _results(self, count: int) -> str:
        """Return up to so many results of the last measurement that has ended."""
        if self._begun_ps is None:
            raise ScpiError(*NOTHING_TO_FETCH)
        gate_ps = round(float(self.aperture_s) * PS_PER_S)
        ended = min(self._samples, (self.clock.now_ps() - self._begun_ps) // gate_ps)
        if ended < 1:
            raise ScpiError(*NOTHING_TO_FETCH)
        starts = (self._begun_ps + i * gate_ps for i in range(min(count, ended)))
        rows = ((self._one(start, start + gate_ps), (start - self._begun_ps) / PS_PER_S) for start in starts)
        return ",".join(f"{value:.12E},{since:.12E}" if self.time_stamps else f"{value:.12E}" for value, since in rows)

    def _one(self, start_ps: int, stop_ps: int) -> float:
        block = self._bench.tag_feed(self._name).read(start_ps, stop_ps)
        times = [block.t[block.ch == n - 1] for n in self._inputs]
        first = times[0]
        if self._function == "TOT":
            return float(first.size)
        if self._function == "FREQ":
            span = float(first[-1] - first[0]) if first.size > 1 else 0.0
            return (first.size - 1) / (span / PS_PER_S) if span else NAN
        if not first.size:
            return NAN
        later = times[1][times[1] >= first[0]]
        return float(later[0] - first[0]) / PS_PER_S if later.size else NAN
