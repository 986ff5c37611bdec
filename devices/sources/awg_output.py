"""One output of a Keysight 33500B: function, levels, bursts, arbitrary waveform."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from ophyd import Component as Cpt

from devices.part import Part
from devices.signals import ScpiSignal, parse_bool, parse_float, parse_int
from qlab.errors import BadRequestError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devices.worker import WorkerStatus

__all__ = ["AwgOutput"]

FUNCTIONS = ("SIN", "SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC")
LEAST_POINTS = 8
SCPI_INFINITY = 9.9e37
LARGEST_OHM = 10e3


def _word(text: str) -> str:
    return text.strip().strip('"')


def _ohms(text: str) -> float:
    value = parse_float(text)
    return math.inf if value >= SCPI_INFINITY else value


class _Function(ScpiSignal):
    """The function; the highest frequency depends on it."""

    def check_value(self, value: Any) -> None:
        if value not in FUNCTIONS:
            msg = f"{self.parent.name}: function {value!r} is none of {', '.join(FUNCTIONS)}"
            raise BadRequestError(msg)

    def store(self, value: Any) -> None:
        super().store(value)
        self.parent.frequency_hz.fetch_limits()


class _Frequency(ScpiSignal):
    """The frequency, with the limits of the function that is set."""

    def fetch_limits(self) -> None:
        self._limits = (self._ask(f"{self.query} MIN"), self._ask(f"{self.query} MAX"))


class _Load(ScpiSignal):
    """What is at the other end, in Ohm; infinite for nothing."""

    def check_value(self, value: Any) -> None:
        if not (1.0 <= value <= LARGEST_OHM or math.isinf(value)):
            msg = f"{self.parent.name}: load_ohm = {value!r} is neither 1 to {LARGEST_OHM:g} Ohm nor infinite"
            raise LimitError(msg)

    def store(self, value: Any) -> None:
        self.check_value(value)
        self.parent.tell(str(self.command).format("INF" if math.isinf(value) else f"{value:g}"))
        self.wanted = value
        self.fetch()


class _Switch(ScpiSignal):
    """The output; a switch that did not switch is an error."""

    def stop(self, *, success: bool = False) -> WorkerStatus | None:
        """Switch off when a plan that set it was aborted."""
        status: WorkerStatus | None = self.parent.parent.stop(success=success)
        return status


class AwgOutput(Part):
    """An output; `{n}` in its commands becomes its number.

    Parameters
    ----------
    number:
        From 1.
    """

    function = Cpt(
        _Function, query="SOUR{n}:FUNC?", command="SOUR{n}:FUNC {}", parse=_word, initial="SIN", kind="config"
    )
    load_ohm = Cpt(_Load, query="OUTP{n}:LOAD?", command="OUTP{n}:LOAD {}", parse=_ohms, units="Ohm", kind="config")
    frequency_hz = Cpt(
        _Frequency,
        query="SOUR{n}:FREQ?",
        command="SOUR{n}:FREQ {:.9g}",
        units="Hz",
        limits=(1e-6, 120e6),
        kind="config",
    )
    amplitude_vpp = Cpt(
        ScpiSignal,
        query="SOUR{n}:VOLT?",
        command="SOUR{n}:VOLT {:.6g} VPP",
        units="V",
        limits=(1e-3, 20),
        verify=1e-4,
        kind="config",
    )
    offset_v = Cpt(
        ScpiSignal,
        query="SOUR{n}:VOLT:OFFS?",
        command="SOUR{n}:VOLT:OFFS {:.6g}",
        units="V",
        limits=(-10, 10),
        verify=1e-4,
        kind="config",
    )
    phase_deg = Cpt(
        ScpiSignal,
        query="SOUR{n}:PHAS?",
        command="SOUR{n}:PHAS {:.6g}",
        units="deg",
        limits=(-360, 360),
        verify=1e-3,
        kind="config",
    )
    sample_hz = Cpt(
        ScpiSignal,
        query="SOUR{n}:FUNC:ARB:SRAT?",
        command="SOUR{n}:FUNC:ARB:SRAT {:.9g}",
        units="Hz",
        limits=(1e-6, 1e9),
        kind="config",
    )
    trigger_source = Cpt(
        ScpiSignal, query="TRIG{n}:SOUR?", command="TRIG{n}:SOUR {}", parse=_word, initial="IMM", kind="config"
    )
    burst_cycles = Cpt(
        ScpiSignal, query="SOUR{n}:BURS:NCYC?", command="SOUR{n}:BURS:NCYC {:.9g}", limits=(1, 1e8), kind="config"
    )
    burst_period_s = Cpt(
        ScpiSignal,
        query="SOUR{n}:BURS:INT:PER?",
        command="SOUR{n}:BURS:INT:PER {:.9g}",
        units="s",
        limits=(1e-6, 8000),
        kind="config",
    )
    burst = Cpt(
        ScpiSignal,
        query="SOUR{n}:BURS:STAT?",
        command="SOUR{n}:BURS:STAT {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        verify=0,
        kind="config",
    )
    output = Cpt(
        _Switch,
        query="OUTP{n}?",
        command="OUTP{n} {:d}",
        parse=parse_int,
        initial=0,
        limits=(0, 1),
        restore=False,
        verify=0,
        kind="hinted",
    )

    def __init__(self, prefix: str = "", *, number: int, **kwargs: Any) -> None:
        super().__init__(prefix, number=number, **kwargs)
        self._loaded: tuple[str, bytes] | None = None
        for walk in self.walk_signals():
            signal = walk.item
            signal.query, signal.command = (text.replace("{n}", str(number)) for text in (signal.query, signal.command))

    def set(self, frequency_hz: float) -> WorkerStatus:
        """Set the frequency."""
        status: WorkerStatus = self.frequency_hz.set(frequency_hz)
        return status

    def play(self, name: str, points: Sequence[float], sample_hz: float) -> WorkerStatus:
        """Load points from -1 to 1 as a waveform and select it; the output is switched by `output`.

        Raises
        ------
        BadRequestError
            The points are too few, or not between -1 and 1; nothing was sent.
        """
        values = np.asarray(points, float)
        if values.ndim != 1 or values.size < LEAST_POINTS or not np.all(np.abs(values) <= 1.0):
            msg = f"{self.name}: a waveform has at least {LEAST_POINTS} points between -1 and 1; {values.shape} were given"
            raise BadRequestError(msg)
        self.sample_hz.check_value(sample_hz)
        self._loaded = (name, struct.pack(f">{values.size}f", *values))

        def work() -> None:
            self.reload()
            self.sample_hz.store(sample_hz)
            self.function.store("ARB")

        return self.in_thread("load", work)

    def burst_s(self) -> float:
        """Return how long a burst lasts, 0 where it does not end; blocks for the wire."""
        cycles = self.burst_cycles.fetch()
        arbitrary = self.function.fetch() == "ARB"
        hertz = parse_float(self.ask(f"SOUR{self.number}:FUNC:ARB:FREQ?")) if arbitrary else self.frequency_hz.fetch()
        return float(cycles / hertz) if cycles < SCPI_INFINITY else 0.0

    def reload(self) -> None:
        """Send the waveform that was loaded last, and see that all of it arrived; blocks for the wire."""
        if self._loaded is None:
            return
        name, data = self._loaded
        source = f"SOUR{self.number}"
        self.tell(f"{source}:FUNC SIN")
        self.tell(f"{source}:DATA:VOL:CLE")
        size = str(len(data))
        with self.link.transaction() as link:
            head = f"{source}:DATA:ARB {name},#{len(size)}{size}"
            link.write(head.encode("ascii") + data + b"\n")
            self.tell(f"{source}:FUNC:ARB {name}")
        found, expected = parse_int(self.ask(f"{source}:DATA:ATTR:POIN? {name}")), len(data) // 4
        if found != expected:
            what = "a waveform did not arrive as it was sent"
            raise InstrumentError(what, device=self.name, command=head, found=f"{found}", expected=f"{expected} points")
