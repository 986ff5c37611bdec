"""Coincidences between channels at fixed delays."""

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

__all__ = ["CoincidenceCounter", "CoincidenceResult"]


@dataclass(frozen=True, slots=True)
class CoincidenceResult:
    """Coincidences of every two channels; results of independent runs add up.

    Attributes
    ----------
    window_ps:
        Full width: ``|dt| <= window_ps // 2`` counts.
    counts:
        By channel and channel in the order of `exposure.channels`; symmetric, a pair counts once; shape (channels, channels).
    exposure:
        Live time, gaps and singles.
    """

    window_ps: int
    counts: NDArray[np.int64]
    exposure: Exposure

    def __add__(self, other: CoincidenceResult) -> CoincidenceResult:
        if self.window_ps != other.window_ps:
            msg = f"coincidences in {self.window_ps} ps and in {other.window_ps} ps do not add up: expected one window"
            raise BadRequestError(msg)
        return CoincidenceResult(self.window_ps, self.counts + other.counts, self.exposure + other.exposure)

    def between(self, channels_a: Sequence[int], channels_b: Sequence[int]) -> NDArray[np.int64]:
        """Return the coincidences of one party's channels (rows) with the other's (columns)."""
        where = self.exposure.channels.index
        return self.counts[np.ix_([where(c) for c in channels_a], [where(c) for c in channels_b])]

    @property
    def rates_hz(self) -> NDArray[np.float64]:
        """Coincidences per live second."""
        return self.exposure.rate_hz(self.counts)

    @property
    def rate_errors_hz(self) -> NDArray[np.float64]:
        """Poisson standard errors of `rates_hz`."""
        return self.exposure.rate_error_hz(self.counts)

    @property
    def accidentals(self) -> NDArray[np.float64]:
        """Coincidences that chance gives at these rates (times of 1 ps resolution), shape (channels, channels)."""
        channels, half_ps = self.exposure.channels, self.window_ps // 2
        # Of a channel with itself lags are positive: half the window, and half a tick at zero.
        return np.array(
            [
                [self.exposure.accidentals(a, b, 2 * half_ps + 1) * (0.5 if a == b else 1.0) for b in channels]
                for a in channels
            ]
        )


class CoincidenceCounter(LocalAccumulator[CoincidenceResult]):
    """Count the coincidences of every two of some channels, all pairs of tags.

    Parameters
    ----------
    channels:
        The channels.
    window_ps:
        Full width of the window; ``|dt| <= window_ps // 2`` counts.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.
    """

    def __init__(
        self,
        channels: Sequence[int],
        window_ps: int,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        if window_ps < 0:
            msg = f"coincidence window of {window_ps} ps: expected a full width of 0 ps or more"
            raise BadRequestError(msg)
        self._window_ps = int(window_ps)
        n = len(dict.fromkeys(channels))
        super().__init__(channels, delays_ps, self._window_ps // 2, (n, n), engine)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        return {"channels": list(self._lanes.channels), "window_ps": self._window_ps, "delays_ps": self._delays()}

    def result(self) -> CoincidenceResult:
        """Return the coincidences so far."""
        self._settle()
        both = self._counts + self._counts.T
        np.fill_diagonal(both, self._counts.diagonal())
        return CoincidenceResult(self._window_ps, both, self._exposure)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        return kernels.pair_counts(t, ch, lanes, self._window_ps // 2, reach_ps)
