"""What clicks about each tag of one channel: heralded and gated counts, and the four numbers of a heralded g2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.accumulators.local import LocalAccumulator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from qlab.tags.accumulators.exposure import Exposure
    from qlab.tags.kernels.protocol import Channels, Ints, Kernels, Lanes

__all__ = ["HeraldedCounter", "HeraldedResult"]

_MOST_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class HeraldedResult:
    """Heralds by what clicked about them; results of independent runs add up.

    Attributes
    ----------
    herald, channels:
        The heralding channel and the others.
    counts:
        Heralds by the set of channels that clicked, int64, shape (2 ** len(channels),): bit k stands for ``channels[k]``.
        Each herald is in exactly one cell.
    exposure:
        Live time, gaps and singles.
    """

    herald: int
    channels: tuple[int, ...]
    counts: NDArray[np.int64]
    exposure: Exposure

    def __add__(self, other: HeraldedResult) -> HeraldedResult:
        if (self.herald, self.channels) != (other.herald, other.channels):
            msg = f"heralded by {self.herald} and by {other.herald} do not add up: expected the same channels"
            raise BadRequestError(msg)
        return HeraldedResult(self.herald, self.channels, self.counts + other.counts, self.exposure + other.exposure)

    def with_all(self, *channels: int) -> int:
        """Return the heralds with a click on each of these channels, whatever else clicked; with none given, all heralds.

        For a heralded g2 of channels 1 and 2: N_h = with_all(), N_h1 = with_all(1), N_h12 = with_all(1, 2).
        """
        need = sum(1 << self.channels.index(c) for c in channels)
        cells = np.arange(self.counts.size)
        return int(self.counts[(cells & need) == need].sum())


class HeraldedCounter(LocalAccumulator[HeraldedResult]):
    """Count the heralds by which channels have a click at ``lo_ps <= dt <= hi_ps``, dt = click less herald, delays taken off.

    Parameters
    ----------
    herald:
        The heralding channel.
    channels:
        The others.
    lo_ps, hi_ps:
        The window, both edges included.  A window of full width W as elsewhere is -(W // 2), W // 2.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.

    Notes
    -----
    Counts gated by an electrical gate are the same the other way round: with the signal's channel as `herald`, the gate's in
    `channels`, and a gate that opens o ps after its tag for w ps, the window is -(o + w) + 1 to -o.
    """

    def __init__(
        self,
        herald: int,
        channels: Sequence[int],
        lo_ps: int,
        hi_ps: int,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        self._herald, self._channels = int(herald), tuple(int(c) for c in channels)
        everyone = (*self._channels, self._herald)
        if len(set(everyone)) < len(everyone) or len(everyone) > _MOST_CHANNELS or hi_ps < lo_ps:
            msg = (
                f"heralded by {herald}, channels {self._channels}, {lo_ps} to {hi_ps} ps: expected different channels, at "
                f"most {_MOST_CHANNELS} in all, and a window that does not end before it begins"
            )
            raise BadRequestError(msg)
        self._lo_ps, self._hi_ps = int(lo_ps), int(hi_ps)
        reach_ps = max(-self._lo_ps, self._hi_ps, 0)
        # the herald is the last lane, so that the cells of the others come first
        super().__init__(everyone, delays_ps, reach_ps, (1 << len(everyone),), engine, memory_reaches=2)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        return {
            "herald": self._herald,
            "channels": list(self._channels),
            "lo_ps": self._lo_ps,
            "hi_ps": self._hi_ps,
            "delays_ps": self._delays(),
        }

    def result(self) -> HeraldedResult:
        """Return the heralds so far."""
        self._settle()
        counts = self._counts[: 1 << len(self._channels)].copy()
        return HeraldedResult(self._herald, self._channels, counts, self._exposure)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        return kernels.companions(t, ch, lanes, len(self._channels), self._lo_ps, self._hi_ps, reach_ps)
