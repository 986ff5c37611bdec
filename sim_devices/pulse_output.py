"""One output of a pulse generator, as the world sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from qlab.twin.bench import Bench

__all__ = ["PulseOutput"]


class PulseOutput:
    """The knobs of an output (`qlab.twin.bench`); they are set only where something has changed.

    Parameters
    ----------
    bench, name, output:
        The bench, the instrument's name, and how the lab file calls the output.
    """

    def __init__(self, bench: Bench, name: str, output: str) -> None:
        quantities = ("rate_hz", "divide", "delay_ps", "width_ps", "high_v")
        self._knobs = [bench.knob(name, f"{quantity}.{output}") for quantity in quantities]

    def set(self, rate_hz: float, divide: int, delay_s: float, width_s: float, high_v: float, now_ps: int) -> None:
        """Set what the output does from now on."""
        values = (rate_hz, float(divide), float(round(delay_s * PS_PER_S)), float(round(width_s * PS_PER_S)), high_v)
        for knob, value in zip(self._knobs, values, strict=True):
            if knob.value(now_ps) != value:
                knob.set(value, now_ps)
