"""The two loops that decide how fast the world is, as NumPy does them; `qlab.physics.engine_numba` does the same bits faster.

All of their arithmetic is on integers and tables, so that no compiler and no instruction set can change a picosecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError
from qlab.physics.settle import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.settle import Candidates

__all__ = ["Engine", "NumpyEngine", "OutcomeTable", "PortTable", "engine_of"]

Times = NDArray[np.int64]
Masks: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint32]"
MOST_PORTS = 31


@dataclass(frozen=True, slots=True)
class OutcomeTable:
    """Which ports click in a joint outcome, by a 32-bit word: exact to 1 in 4 * 10^9.

    Attributes
    ----------
    masks:
        By the word's upper half: a bit for each port; or the highest bit, where the lower half decides.  Shape (65536,),
        uint8 for up to 7 ports, uint32 for more.
    bounds, of_outcome:
        Upper bounds of the outcomes' words (uint64), and their ports; shape (n,).
    """

    masks: Masks
    bounds: NDArray[np.uint64]
    of_outcome: Masks

    @property
    def undecided(self) -> int:
        """The highest bit of a mask."""
        return 1 << (8 * self.masks.dtype.itemsize - 1)

    @classmethod
    def build(cls, weights: Sequence[float], ports: Sequence[int]) -> OutcomeTable:
        """Build from the outcomes' weights and masks."""
        total, so_far, bounds = sum(weights), 0.0, []
        for weight in weights:
            so_far += weight
            bounds.append(min(round(so_far / total * 2.0**32), 2**32))
        bounds[-1] = 2**32
        upper = np.array(bounds, dtype=np.uint64)
        few = max(ports) < 1 << 7
        of_outcome: Masks = np.array(ports, dtype=np.uint8) if few else np.array(ports, dtype=np.uint32)
        slots = -(-np.array([0, *bounds]) // 65536)  # the first slot that begins at or after each bound
        masks: Masks = of_outcome.repeat(slots[1:] - slots[:-1])
        inner = upper[:-1]
        table = cls(masks, upper, of_outcome)
        masks[(inner[(inner & np.uint64(0xFFFF)) != 0] >> np.uint64(16)).astype(np.intp)] = table.undecided
        return table


@dataclass(frozen=True, slots=True)
class PortTable:
    """When the photon that ends at a port arrives.

    Attributes
    ----------
    side:
        0 for the signal's side, 1 for the idler's.
    delay_ps:
        From source to detector.
    jitter_ps:
        By 16 bits, int32, shape (65536,).
    shift_ps:
        Dispersion by 16 bits of detuning that both photons of a pair share, or None.
    own_ps:
        What dispersion adds by 16 bits of detuning that the partner knows nothing of, or None.
    """

    side: int
    delay_ps: int
    jitter_ps: NDArray[np.int32]
    shift_ps: NDArray[np.int64] | None
    own_ps: NDArray[np.int64] | None = None


class Engine(Protocol):
    """What an engine can do."""

    def accumulate(self, gaps: NDArray[np.float64]) -> None:
        """Replace numbers by their sums from the first on, added one after the other."""
        ...

    def scatter(
        self,
        t: Times,
        bits: NDArray[np.uint64],
        detuning: NDArray[np.uint64] | None,
        table: OutcomeTable,
        ports: Sequence[PortTable],
    ) -> list[Times]:
        """Return each port's arrivals, not sorted, for events at `t` with 64 random bits each.

        The upper 32 bits choose the outcome, the lowest 16 are the signal's jitter, the next 16 the idler's.  Of the detuning
        the lowest 16 are what the pair shares, the next 16 what is the idler's own.
        """
        ...

    def clicks(self, detectors: Sequence[Candidates]) -> list[Times]:
        """Return the clicks of each detector, afterpulses of every order included."""
        ...


class NumpyEngine:
    """The engine that is always there."""

    def accumulate(self, gaps: NDArray[np.float64]) -> None:
        """Replace numbers by their sums."""
        np.cumsum(gaps, out=gaps)

    def scatter(
        self,
        t: Times,
        bits: NDArray[np.uint64],
        detuning: NDArray[np.uint64] | None,
        table: OutcomeTable,
        ports: Sequence[PortTable],
    ) -> list[Times]:
        """Return each port's arrivals."""
        masks = table.masks.take((bits >> np.uint64(48)).view(np.int64))
        undecided = (masks >= table.undecided).nonzero()[0]
        if undecided.size:
            word = bits[undecided] >> np.uint64(32)
            masks[undecided] = table.of_outcome[np.searchsorted(table.bounds, word, side="right")]
        result = []
        for n, port in enumerate(ports):
            chosen = ((masks & masks.dtype.type(1 << n)) != 0).nonzero()[0]  # quicker on truth values than on numbers
            arrived = t.take(chosen)
            word = bits.take(chosen)
            if port.side:
                word >>= np.uint64(16)
            word &= np.uint64(0xFFFF)
            arrived += port.jitter_ps.take(word.view(np.int64))
            if port.delay_ps:
                arrived += port.delay_ps
            if port.shift_ps is not None and detuning is not None:
                colour = detuning.take(chosen)
                arrived += port.shift_ps.take((colour & np.uint64(0xFFFF)).view(np.int64))
                if port.own_ps is not None:
                    colour >>= np.uint64(16)
                    arrived += port.own_ps.take((colour & np.uint64(0xFFFF)).view(np.int64))
            result.append(arrived)
        return result

    def clicks(self, detectors: Sequence[Candidates]) -> list[Times]:
        """Return the clicks of each detector."""
        return settle(detectors)


def engine_of(name: str) -> Engine:
    """Return an engine by name; raises `BadRequestError` where numba is asked for and not installed."""
    if name == "numpy":
        return NumpyEngine()
    if name == "numba":
        try:
            from qlab.physics.engine_numba import NumbaEngine
        except ImportError as error:
            msg = "the engine 'numba' needs numba: pip install 'qlab[fast]'"
            raise BadRequestError(msg) from error
        return NumbaEngine()
    msg = f"there is no engine {name!r}; expected numpy or numba"
    raise BadRequestError(msg)
