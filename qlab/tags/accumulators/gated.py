"""Counts inside gates that a channel opens, and how long the gates were open."""

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

__all__ = ["GatedCounter", "GatedResult"]


@dataclass(frozen=True, slots=True)
class GatedResult:
    """Tags inside gates; results of independent runs add up.

    Attributes
    ----------
    gate, channels:
        The channel that opens the gates, and those that are counted.
    counts:
        Tags of each channel inside a gate, int64, shape (channels,); each once, however many gates it lies in.
    open_ps:
        Time in which a gate was open, where gates overlap once.
    exposure:
        Live time, gaps, and singles inside gates and outside.
    """

    gate: int
    channels: tuple[int, ...]
    counts: NDArray[np.int64]
    open_ps: int
    exposure: Exposure

    def __add__(self, other: GatedResult) -> GatedResult:
        if (self.gate, self.channels) != (other.gate, other.channels):
            msg = f"counts gated by {self.gate} and by {other.gate} do not add up: expected the same channels"
            raise BadRequestError(msg)
        counts, open_ps = self.counts + other.counts, self.open_ps + other.open_ps
        return GatedResult(self.gate, self.channels, counts, open_ps, self.exposure + other.exposure)

    @property
    def gates(self) -> int:
        """How often the gate was opened."""
        return self.exposure.single(self.gate)

    @property
    def duty(self) -> float:
        """Part of the live time in which a gate was open; nan where nothing was live."""
        return self.open_ps / self.exposure.live_ps if self.exposure.live_ps else float("nan")

    @property
    def rates_hz(self) -> NDArray[np.float64]:
        """Tags per open second, shape (channels,); nan where no gate was open."""
        return self.counts / (self.open_ps * 1e-12) if self.open_ps else np.full(len(self.channels), np.nan)

    @property
    def rate_errors_hz(self) -> NDArray[np.float64]:
        """Poisson standard errors of `rates_hz`."""
        return np.sqrt(self.counts) / (self.open_ps * 1e-12) if self.open_ps else np.full(len(self.channels), np.nan)


class GatedCounter(LocalAccumulator[GatedResult]):
    """Count the tags of channels while a gate is open: from `open_ps` behind a tag of the gate's channel for `width_ps`.

    Parameters
    ----------
    gate:
        The channel that opens the gate.
    channels:
        The channels that are counted.
    open_ps, width_ps:
        A tag at dt behind the gate's tag counts if ``open_ps <= dt < open_ps + width_ps``; open_ps may be negative.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.

    Notes
    -----
    A gate that is open where the recording begins or ends counts with its whole width.
    """

    def __init__(
        self,
        gate: int,
        channels: Sequence[int],
        open_ps: int,
        width_ps: int,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        self._gate, self._channels = int(gate), tuple(int(c) for c in channels)
        everyone = (self._gate, *self._channels)
        if not self._channels or len(set(everyone)) < len(everyone) or width_ps < 1:
            msg = (
                f"gated by {gate}, channels {self._channels}, open for {width_ps} ps: expected at least one other channel, "
                "none twice, and a gate of 1 ps or more"
            )
            raise BadRequestError(msg)
        self._open_ps, self._width_ps = int(open_ps), int(width_ps)
        reach_ps = max(self._open_ps + self._width_ps - 1, -self._open_ps, self._width_ps)
        super().__init__(everyone, delays_ps, reach_ps, (len(everyone),), engine, memory_reaches=2)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        return {
            "gate": self._gate,
            "channels": list(self._channels),
            "open_ps": self._open_ps,
            "width_ps": self._width_ps,
            "delays_ps": self._delays(),
        }

    def result(self) -> GatedResult:
        """Return the counts so far."""
        self._settle()
        return GatedResult(self._gate, self._channels, self._counts[1:].copy(), int(self._counts[0]), self._exposure)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        counts = np.zeros(len(lanes.channels), dtype=np.int64)
        gates = t[ch == self._gate]
        if not gates.size:
            return counts
        # Of one that is opened again while it is open the time up to then.
        counts[0] = np.minimum(np.diff(gates), self._width_ps).sum() + self._width_ps
        for lane, channel in enumerate(self._channels, start=1):
            few = lanes.only(self._gate, channel)
            mine = (ch == self._gate) | (ch == channel)
            last_ps = -self._open_ps
            seen = kernels.companions(t[mine], ch[mine], few, 1, last_ps - self._width_ps + 1, last_ps, reach_ps)
            counts[lane] = seen[1]
        return counts
