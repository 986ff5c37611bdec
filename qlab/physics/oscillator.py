"""A node's clock: where its ticks stand against the world's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.physics.steering import Steering
    from qlab.physics.wander import Wander

__all__ = ["Oscillator"]

DAY_PS = 86_400 * 10**12


@dataclass(frozen=True, slots=True)
class Oscillator:
    """An oscillator: a constant offset, a constant and an ageing frequency error, noise, and an instrument that steers it.

    Offset and constant frequency error are in integers (parts per 10^15), so that without the rest local time is exact and
    strictly monotone; the rest is rounded to whole picoseconds.

    Parameters
    ----------
    offset_ps:
        Local minus world time at world time 0.
    drift:
        Fractional frequency error, for example 1e-9.
    ageing_per_day:
        Change of the fractional frequency per day.
    wander:
        Its noise.
    steering:
        What an instrument adds.
    master:
        The clock that all of the above is relative to; None for the world's time.
    """

    offset_ps: int = 0
    drift: float = 0.0
    ageing_per_day: float = 0.0
    wander: Wander | None = None
    steering: Steering | None = None
    master: Oscillator | None = None

    @overload
    def local(self, t: int) -> int: ...
    @overload
    def local(self, t: NDArray[np.int64]) -> NDArray[np.int64]: ...
    def local(self, t: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
        """Return local times of world times in ps."""
        base = t if self.master is None else self.master.local(t)
        per_1e15 = round(self.drift * 1e15)
        if per_1e15:
            # t * 1e-15 overflows int64 in one product beyond 2.5 hours at 1 ppm: split at 10^9.
            high, low = t // 10**9, t % 10**9
            base = base + high * per_1e15 // 10**6 + low * per_1e15 // 10**15
        if self.ageing_per_day or self.wander is not None or self.steering is not None:
            moved = self._moved_ps(np.atleast_1d(np.asarray(t, np.int64)))
            return base + self.offset_ps + (moved if isinstance(t, np.ndarray) else int(moved[0]))
        return base + self.offset_ps

    def _moved_ps(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the time error beyond offset and constant frequency error."""
        x = self.ageing_per_day * (t / DAY_PS) * t / 2.0
        if self.wander is not None:
            x += self.wander.phase_ps(t)
        if self.steering is not None:
            x += self.steering.error_ps(t)
        return np.rint(x).astype(np.int64)
