"""Pendulum CNT-91: frequency and interval counter; watches clocks and trigger rates.

SCPI over TCP or USBTMC.  A measurement lasts for its gate; an input without a signal gives NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, SoftSignal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devices.worker import WorkerStatus

__all__ = ["CNT91"]

NOT_A_NUMBER = 9.9e37
MARGIN_S = 5.0


class CNT91(ScpiInstrument):
    """The counter; role `qlab.roles.Counter`, which counts input A ("1")."""

    rates_hz: Mapping[str, float] = {}

    identity = r"^(PENDULUM, ?CNT-9\d|TEKTRONIX,FCA3\d00)"
    twin = "sim_devices.counters.pendulum_cnt91.CNT91Twin"
    wire = "tcp"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        gate_s: float | None = None
        function: Literal["frequency", "interval"] = "frequency"
        """The frequency of input A, or the time from an event on A to the next on B."""

    gate_s = Cpt(
        ScpiSignal,
        query="ACQ:APER?",
        command="ACQ:APER {:g}",
        units="s",
        limits=(2e-8, 1000.0),
        initial=0.01,
        verify=1e-9,
        kind="config",
    )
    frequency_hz = Cpt(SoftSignal, units="Hz", precision=6, kind="hinted")
    interval_s = Cpt(SoftSignal, units="s", precision=12, kind="normal")

    def prepare(self) -> None:
        """Measure when asked, and forget errors from before our time."""
        super().prepare()
        self.link.tell("INIT:CONT 0")

    def measure(self) -> None:
        """Measure once."""
        if self.settings.function == "frequency":
            self.frequency_hz.remember(float(self._read("MEAS:FREQ? (@1)", 1)[0]))
        else:
            self.interval_s.remember(float(self._read("MEAS:TINT? (@1),(@2)", 1)[0]))

    def count(self, gate_s: float) -> WorkerStatus:
        """Measure the frequency of input A over a gate; an input without events counts 0."""
        self.gate_s.check_value(gate_s)

        def work() -> None:
            self.gate_s.store(gate_s)
            self.rates_hz = {"1": float(np.nan_to_num(self._read("MEAS:FREQ? (@1)", 1)[0]))}

        return self.in_thread("count", work)

    def take_series(self, samples: int, input_number: int = 1) -> WorkerStatus:
        """Measure a frequency `samples` times, gate after gate without dead time; `series_hz` then has them."""
        return self.in_thread("series", lambda: self._take(samples, input_number))

    series_hz = Cpt(SoftSignal, initial=np.empty(0), units="Hz", kind="omitted")

    def _take(self, samples: int, input_number: int) -> None:
        self.tell(f"CONF:ARR:FREQ:BTB {samples},(@{input_number})")
        self.tell("INIT")
        self.wait_s(samples * self.gate_s.get())
        self.series_hz.remember(self._read(f"FETC:ARR? {samples}", 0))

    def _read(self, query: str, gates: int) -> np.ndarray:
        gate_s = gates * self.gate_s.get()

        def parse(text: str) -> np.ndarray:
            values = np.array([float(value) for value in text.split(",")])
            return np.where(np.abs(values) >= NOT_A_NUMBER, np.nan, values)

        return self.link.ask_value(query, parse, delay_s=gate_s, timeout_s=gate_s + MARGIN_S)
