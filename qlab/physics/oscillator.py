"""A node's clock: where its ticks stand against the world's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Oscillator"]


@dataclass(frozen=True, slots=True)
class Oscillator:
    """An oscillator with a constant offset and a constant fractional frequency error.

    Integer arithmetic in parts per 10^15, so that local time is exact and strictly monotone.

    Parameters
    ----------
    offset_ps:
        Local minus world time at world time 0.
    drift:
        Fractional frequency error, for example 1e-9.
    """

    offset_ps: int = 0
    drift: float = 0.0

    @overload
    def local(self, t: int) -> int: ...
    @overload
    def local(self, t: NDArray[np.int64]) -> NDArray[np.int64]: ...
    def local(self, t: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
        """Return local times of world times."""
        per_1e15 = round(self.drift * 1e15)
        if per_1e15 == 0:
            return t + self.offset_ps
        # t * 1e-15 overflows int64 in one product beyond 2.5 hours at 1 ppm: split at 10^9.
        high, low = t // 10**9, t % 10**9
        return t + self.offset_ps + high * per_1e15 // 10**6 + low * per_1e15 // 10**15
