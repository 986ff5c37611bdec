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
        quantities = ("rate_hz", "divide", "delay_ps", "width_ps", "high_v", "burst_period_ps")
        self._knobs = [bench.knob(name, f"{quantity}.{output}") for quantity in quantities]
        self._knobs.append(bench.knob(name, f"burst_count.{output}", 1.0))

    def set(
        self,
        now_ps: int,
        rate_hz: float = 0.0,
        divide: int = 0,
        delay_s: float = 0.0,
        width_s: float = 0.0,
        high_v: float = 0.0,
        burst: tuple[int, float] = (1, 0.0),
    ) -> None:
        """Set what the output does from now on; a `burst` is a number of pulses and the seconds between them."""
        count, period_s = burst
        delay_ps, width_ps, period_ps = (float(round(s * PS_PER_S)) for s in (delay_s, width_s, period_s))
        values = (rate_hz, float(divide), delay_ps, width_ps, high_v, period_ps, float(count))
        for knob, value in zip(self._knobs, values, strict=True):
            if knob.value(now_ps) != value:
                knob.set(value, now_ps)
