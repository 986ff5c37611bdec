"""A node's clock: where its ticks stand against the world's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np

from qlab.physics.ambient import DAY_PS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qlab.physics.knob import Knob
    from qlab.physics.steering import Steering
    from qlab.physics.wander import Wander

__all__ = ["Oscillator", "TimeError"]

_ROUNDS = 12
"""Of the inversion; each leaves the frequency error's share of what was left, 1e-3 at most."""
_BESIDE = 4


class TimeError(Protocol):
    """Something that adds to a clock's time error."""

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What it depends on."""
        ...

    def still(self, last_ps: int, *, settle: bool = True) -> bool:
        """Return whether it adds nothing up to a time; with `settle`, nobody may change that afterwards."""
        ...

    def error_ps(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape of `t`; with `settle`, nobody may change it afterwards."""
        ...


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
    further:
        What else adds to its error: temperature, faults, hold-over.
    master:
        The clock that all of the above is relative to; None for the world's time.
    """

    offset_ps: int = 0
    drift: float = 0.0
    ageing_per_day: float = 0.0
    wander: Wander | None = None
    steering: Steering | None = None
    further: tuple[TimeError, ...] = ()
    master: Oscillator | None = None

    @overload
    def local(self, t: int, *, settle: bool = True) -> int: ...
    @overload
    def local(self, t: NDArray[np.int64], *, settle: bool = True) -> NDArray[np.int64]: ...
    def local(self, t: int | NDArray[np.int64], *, settle: bool = True) -> int | NDArray[np.int64]:
        """Return local times of world times in ps.

        With `settle`, the clock's past can no longer be changed: somebody has noted its time.
        """
        base = t if self.master is None else self.master.local(t, settle=settle)
        per_1e15 = round(self.drift * 1e15)
        if per_1e15:
            # t * 1e-15 overflows int64 in one product beyond 2.5 hours at 1 ppm: split at 10^9.
            high, low = t // 10**9, t % 10**9
            base = base + high * per_1e15 // 10**6 + low * per_1e15 // 10**15
        at = np.atleast_1d(np.asarray(t, np.int64))
        moved = self._moved_ps(at, settle=settle) if at.size else None
        if moved is None:
            return base + self.offset_ps
        return base + self.offset_ps + (moved if isinstance(t, np.ndarray) else int(moved[0]))

    def world(self, local: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the clock shows, or has just passed, local times; for a clock that goes forward, as far as is known.

        It is the first picosecond of the world at which it does, so that `local(t) >= x` says the same as `t >= world(x)`.
        """
        t = local
        for _ in range(_ROUNDS):
            before, t = t, local - (self.local(t, settle=False) - t)
            if not t.size or int(np.abs(t - before).max()) <= 1:
                break
        # Whole picoseconds may leave it one or two beside.
        for _ in range(_BESIDE):
            early = self.local(t, settle=False) < local
            if not early.any():
                break
            t = t + early
        for _ in range(_BESIDE):
            late = self.local(t - 1, settle=False) >= local
            if not late.any():
                break
            t = t - late
        return t

    def shows_world(self, t_ps: int) -> bool:
        """Return whether it has shown the world's time up to a time, and will if nobody turns a knob."""
        if self.offset_ps or self.drift or self.ageing_per_day or self.wander is not None:
            return False
        still = all(part.still(t_ps, settle=False) for part in self._parts)
        return still and (self.master is None or self.master.shows_world(t_ps))

    @property
    def _parts(self) -> tuple[TimeError, ...]:
        return self.further if self.steering is None else (self.steering, *self.further)

    def knobs(self) -> Iterator[Knob]:
        """Yield what its time depends on."""
        for part in self._parts:
            yield from part.knobs
        if self.master is not None:
            yield from self.master.knobs()

    def _moved_ps(self, t: NDArray[np.int64], *, settle: bool) -> NDArray[np.int64] | None:
        """Return the time error beyond offset and constant frequency error, None where there is none."""
        parts = self._parts
        if parts:
            last = int(t.max())
            parts = tuple(part for part in parts if not part.still(last, settle=settle))
        if not (parts or self.ageing_per_day or self.wander is not None):
            return None
        x = self.ageing_per_day * (t / DAY_PS) * t / 2.0
        if self.wander is not None:
            x += self.wander.phase_ps(t)
        for part in parts:
            x += part.error_ps(t, settle=settle)
        return np.rint(x).astype(np.int64)
