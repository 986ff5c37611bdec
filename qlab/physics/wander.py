"""Power-law noise of a clock's phase, looked up at any time.

An oscillator's noise is made of Gaussian Markov processes: white frequency noise is a random walk of the phase, random-walk
frequency noise an integrated random walk, and flicker noise (1/f, of phase or frequency) the sum of Ornstein-Uhlenbeck
processes of one variance with time constants a factor `RATIO` apart (M. S. Keshner, Proc. IEEE 70, 212 (1982)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qlab.physics.keys import hash_key, mix
from qlab.physics.markov import GRID_BITS, GRID_PS, LEVELS, NORMAL, MarkovFamily, MarkovProcess

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NoiseLevels", "Wander"]

RATIO = 4.0
"""Between the time constants of flicker noise: the sum departs from 1/f by 0.3 %, 2 / cosh(pi^2 / ln RATIO)."""
BLOCK_BITS = 8
"""Grid points are kept in blocks of 2^8, 1.1 s."""
_BLOCKS = 64
_PROCESS, _WHITE = 1, 2


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """How noisy an oscillator is.

    Parameters
    ----------
    white_pm_ps:
        Standard deviation of white phase noise in ps, in the bandwidth of the grid, 116 Hz.
    flicker_pm_ps:
        Standard deviation in ps that each factor e of Fourier frequency adds to the phase: S_x(f) = b^2 / f.
    white_fm, flicker_fm, random_walk_fm:
        Allan deviation at 1 s of each noise of the frequency.
    loop_s:
        Time constant of a loop that holds the phase; infinite for a clock that runs free.
    """

    white_pm_ps: float = 0.0
    flicker_pm_ps: float = 0.0
    white_fm: float = 0.0
    flicker_fm: float = 0.0
    random_walk_fm: float = 0.0
    loop_s: float = math.inf

    @property
    def silent(self) -> bool:
        """Whether there is no noise at all."""
        return not any((self.white_pm_ps, self.flicker_pm_ps, self.white_fm, self.flicker_fm, self.random_walk_fm))


class Wander:
    """The time error of one oscillator by its noise.

    Parameters
    ----------
    levels:
        How noisy it is.
    seed, key:
        What makes the path this one.
    """

    def __init__(self, levels: NoiseLevels, seed: int, key: int) -> None:
        self.levels = levels
        processes = _processes(levels)
        keys = np.array([hash_key(seed, key, _PROCESS, i) for i in range(len(processes))], np.uint64)
        self._family = MarkovFamily(processes, keys) if processes else None
        self._white_key = hash_key(seed, key, _WHITE)
        self._blocks: dict[int, NDArray[np.float64]] = {}

    def phase_ps(self, t_ps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the time error in ps at lab times, shape (N,); before lab time 0 it stands still."""
        t = np.maximum(t_ps, 0)
        index, rest = t >> GRID_BITS, (t & (GRID_PS - 1)) / GRID_PS
        if self._family is None:
            return self._white_ps(index, rest)
        first, last = (int(index.min()), int(index.max())) if index.size else (0, 0)
        if (last >> BLOCK_BITS) - (first >> BLOCK_BITS) < _BLOCKS // 2:
            begin = first >> BLOCK_BITS
            blocks = [self._block(block) for block in range(begin, (last + 1 >> BLOCK_BITS) + 1)]
            points, place = np.concatenate(blocks), index - (begin << BLOCK_BITS)
        else:
            grid = np.unique(np.concatenate([index, index + 1]))
            points, place = self._family.phases(grid), np.searchsorted(grid, index)
        straight: NDArray[np.float64] = points[place] + (points[place + 1] - points[place]) * rest
        return straight + self._white_ps(index, rest)

    def _block(self, block: int) -> NDArray[np.float64]:
        if block not in self._blocks:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            grid = np.arange(block << BLOCK_BITS, (block + 1) << BLOCK_BITS, dtype=np.int64)
            assert self._family is not None  # noqa: S101 - for the type checker
            self._blocks[block] = self._family.phases(grid)
        return self._blocks[block]

    def _white_ps(self, index: NDArray[np.int64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return white phase noise: independent at grid points, between them mixed so that its variance stays."""
        if not self.levels.white_pm_ps:
            return np.zeros(index.size)
        a, b = (NORMAL[(mix(i, self._white_key) >> np.uint64(48)).astype(np.intp)] for i in (index, index + 1))
        near = 1.0 - rest
        mixed: NDArray[np.float64] = (near * a + rest * b) / np.sqrt(near * near + rest * rest)
        return self.levels.white_pm_ps * mixed


def _processes(levels: NoiseLevels) -> list[MarkovProcess]:
    """Return the Markov processes of these levels.

    With the Allan deviation s at 1 s (W. J. Riley, NIST SP 1065 (2008), section 6.1): white FM gives the phase the variance
    s^2 t; flicker FM has S_y = h/f, s^2 = 2 ln 2 h, and processes of variance v with time constants RATIO apart add up to
    h = v / ln RATIO; random-walk FM gives the frequency the variance D t, s^2 = D/3 at 1 s.
    """
    second = 1e12
    loop = levels.loop_s * second
    found = []
    if levels.white_fm:
        found.append(MarkovProcess(math.inf, loop, 0.0, levels.white_fm**2 * second))
    if levels.random_walk_fm:
        found.append(MarkovProcess(math.inf, loop, 3.0 * levels.random_walk_fm**2 / second, 0.0))
    taus = [GRID_PS * RATIO**k for k in range(int(LEVELS * math.log(2.0) / math.log(RATIO)) + 1)]
    if levels.flicker_fm:
        v = math.log(RATIO) * levels.flicker_fm**2 / (2.0 * math.log(2.0))
        found += [MarkovProcess(tau, loop, 2.0 * v / tau, 0.0) for tau in taus]
    if levels.flicker_pm_ps:
        v = math.log(RATIO) * levels.flicker_pm_ps**2
        found += [MarkovProcess(math.inf, tau, 0.0, 2.0 * v / tau) for tau in taus if tau <= loop]
    return found
