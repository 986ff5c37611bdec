"""N-fold coincidences: three-folds, four-folds, and any other sets of channels at once."""

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

__all__ = ["FoldCounter", "FoldResult"]

_MOST_CHANNELS = 62


@dataclass(frozen=True, slots=True)
class FoldResult:
    """Events of each pattern; results of independent runs add up.

    Attributes
    ----------
    patterns:
        The sets of channels.
    window_ps:
        Full width: the tags of an event span at most ``window_ps // 2``.
    counts:
        Events, int64, shape (patterns,).
    exposure:
        Live time, gaps and singles.
    """

    patterns: tuple[tuple[int, ...], ...]
    window_ps: int
    counts: NDArray[np.int64]
    exposure: Exposure

    def __add__(self, other: FoldResult) -> FoldResult:
        if self.patterns != other.patterns or self.window_ps != other.window_ps:
            msg = f"folds of {self.patterns} and {other.patterns} do not add up: expected the same patterns and window"
            raise BadRequestError(msg)
        return FoldResult(self.patterns, self.window_ps, self.counts + other.counts, self.exposure + other.exposure)

    @property
    def rates_hz(self) -> NDArray[np.float64]:
        """Events per live second."""
        return self.exposure.rate_hz(self.counts)

    @property
    def rate_errors_hz(self) -> NDArray[np.float64]:
        """Poisson standard errors of `rates_hz`."""
        return self.exposure.rate_error_hz(self.counts)

    @property
    def accidentals(self) -> NDArray[np.float64]:
        """Events that independent channels give: ``N s^(N-1)`` times the rates' product and live time, s the longest span.

        N Poisson tags span at most s when the N - 1 others follow the earliest, any of N, within s.
        """
        live, span = self.exposure.live_ps, self.window_ps // 2 + 0.5  # half a tick: both edges count
        if not live:
            return np.zeros(len(self.patterns))
        singles = [np.array([self.exposure.single(c) for c in p], dtype=float) for p in self.patterns]
        return np.array([s.size * (s / live).prod() * span ** (s.size - 1) * live for s in singles])


class FoldCounter(LocalAccumulator[FoldResult]):
    """Count N-fold events: choices of one tag from each channel of a pattern, whatever else clicked.

    Parameters
    ----------
    patterns:
        Sets of two or more channels.
    window_ps:
        Full width: the latest tag of an event follows its earliest by ``window_ps // 2`` at most, so that a two-fold is a
        coincidence.
    delays_ps:
        Delay of each channel, subtracted.
    engine:
        ``auto``, ``numpy`` or ``numba``: the same integers.

    Notes
    -----
    A tag may be part of several events, as in coincidences of all pairs: with two tags on one channel near one on each of the
    others there are two events.
    """

    def __init__(
        self,
        patterns: Sequence[Sequence[int]],
        window_ps: int,
        delays_ps: Mapping[int, int] | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        self._patterns = tuple(tuple(int(c) for c in pattern) for pattern in patterns)
        channels = tuple(dict.fromkeys(c for pattern in self._patterns for c in pattern))
        good = all(len(p) > 1 and len(set(p)) == len(p) for p in self._patterns)
        if not self._patterns or not good or len(channels) > _MOST_CHANNELS or window_ps < 0:
            msg = (
                f"folds of {self._patterns} in {window_ps} ps: expected patterns of two or more different channels, at most "
                f"{_MOST_CHANNELS} channels in all, and a window of 0 ps or more"
            )
            raise BadRequestError(msg)
        self._window_ps = int(window_ps)
        super().__init__(channels, delays_ps, self._window_ps // 2, (len(self._patterns),), engine)
        masks = [sum(1 << channels.index(c) for c in pattern) for pattern in self._patterns]
        self._masks = np.array(masks, dtype=np.int64)

    def settings(self) -> dict[str, object]:
        """Return what the constructor was given."""
        patterns = [list(pattern) for pattern in self._patterns]
        return {"patterns": patterns, "window_ps": self._window_ps, "delays_ps": self._delays()}

    def result(self) -> FoldResult:
        """Return the events so far."""
        self._settle()
        return FoldResult(self._patterns, self._window_ps, self._counts.copy(), self._exposure)

    def _count(self, kernels: Kernels, t: Ints, ch: Channels, lanes: Lanes, reach_ps: int) -> Ints:
        return kernels.fold_counts(t, ch, lanes, self._masks, self._reach_ps, reach_ps)
