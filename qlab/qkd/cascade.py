"""Cascade between two parties: the one who answers with parities, and the one who corrects.

    corrector                                   reference
    CascadeOpen(pass)          ->
                               <-               FrameParities: blocks of the pass
    CascadeSearch(pass, nodes) ->                                                    }
                               <-               FrameParities: left half of each   }  while any block
    CascadeTurn(right or left) ->                                                    }  of any pass is odd
                               <-               FrameParities: left half of each   }
    FrameDone

Known nodes of a pass split the key into *minimal nodes*: those whose halves are not known yet.  `odd` are the minimal nodes
in which the keys differ in an odd number of bits; each holds an error that no other one of the pass holds, so all may be
searched together, one message a level.  A corrected bit turns the minimal nodes around it in all other passes.

Leakage is the number of parities sent; a parity that follows from others (the right half, the last block of a later pass)
is never asked for, and the reference refuses to be asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.bits import Bits, SecretBits
from qlab.qkd.cascade_engine import CascadeEngine, Nodes, cascade_engine
from qlab.qkd.cascade_schedule import permutation
from qlab.qkd.messages import U8, BitString, Indices, Message, register
from qlab.qkd.reconcile_messages import FrameDone, FrameParities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.qkd.cascade_schedule import CascadeSchedule

__all__ = [
    "CascadeCorrector",
    "CascadeOpen",
    "CascadeReference",
    "CascadeSearch",
    "CascadeTurn",
]


@register
@dataclass(frozen=True, slots=True, eq=False)
class CascadeOpen(Message):
    """Ask for the parities of all blocks of a pass."""

    kind: ClassVar[int] = 16
    index: U8


@register
@dataclass(frozen=True, slots=True, eq=False)
class CascadeSearch(Message):
    """Begin to search in these nodes of a pass; ask for the parities of their left halves."""

    kind: ClassVar[int] = 17
    index: U8
    nodes: Indices


@register
@dataclass(frozen=True, slots=True, eq=False)
class CascadeTurn(Message):
    """Go on in the right (1) or left (0) half of each node under search that is not a leaf yet."""

    kind: ClassVar[int] = 18
    right: BitString


@dataclass(slots=True)
class _OpenPass:
    """One pass that has begun."""

    order: NDArray[np.int32]
    place: NDArray[np.int32]
    top: int
    tree: Bits
    split: NDArray[np.bool_]
    odd: Nodes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class _Party:
    """What both sides have: the key filled up with zeros, and the passes that have begun."""

    def __init__(self, key: SecretBits, schedule: CascadeSchedule, seed: int, engine: CascadeEngine | None) -> None:
        if len(key) != schedule.n_bits:
            msg = f"Cascade on a key of {len(key)} bits: the schedule is for {schedule.n_bits}"
            raise BadRequestError(msg)
        self._schedule = schedule
        self._seed = seed
        self._engine = engine or cascade_engine()
        self._bits = np.zeros(1 << schedule.depth, dtype=np.uint8)
        self._bits[: len(key)] = key.reveal()
        self._passes: list[_OpenPass] = []
        self.disclosed_bits = 0
        """Parities of the reference's key that were sent so far."""

    def __repr__(self) -> str:
        done = f"pass {len(self._passes)}, disclosed {self.disclosed_bits}"
        return f"{type(self).__name__}(<{self._schedule.n_bits} bits>, {done})"

    def _begin(self) -> _OpenPass:
        schedule, index = self._schedule, len(self._passes)
        order, place = permutation(schedule.depth, self._seed, index)
        top = 1 << (schedule.depth - schedule.passes[index].block_log2)
        tree = self._engine.tree(self._bits, order, top)
        begun = _OpenPass(order, place, top, tree, np.zeros(self._bits.size, dtype=np.bool_))
        self._passes.append(begun)
        return begun


class CascadeReference(_Party):
    """The party whose key counts: it answers, and never learns the other key.

    Parameters
    ----------
    key, schedule, seed:
        Its key; passes and permutations, the same on both sides.
    limit_bits:
        It gives the block up rather than disclose more than this.
    engine:
        The best one that is installed by default.
    """

    def __init__(
        self,
        key: SecretBits,
        schedule: CascadeSchedule,
        seed: int,
        *,
        limit_bits: int | None = None,
        engine: CascadeEngine | None = None,
    ) -> None:
        super().__init__(key, schedule, seed, engine)
        self._limit = len(key) if limit_bits is None else limit_bits
        self._search: _OpenPass | None = None
        self._active: Nodes = np.zeros(0, dtype=np.int64)
        self.done = False

    def start(self) -> None:
        """Say nothing: the corrector begins."""

    def receive(self, message: Message) -> Message | None:
        """Answer one message of the corrector.

        Raises
        ------
        PeerError
            It asks for what it knows, or for nodes that do not exist.
        KeyRefusedError
            The answer would disclose more than `limit_bits`.
        """
        match message:
            case CascadeOpen(index) if index == len(self._passes) < len(self._schedule.passes):
                begun = self._begin()
                # From the second pass on the last block follows from the parity of the whole key.
                return self._disclose(begun.tree[begun.top : 2 * begun.top - (index > 0)])
            case CascadeSearch(index, nodes) if index < len(self._passes):
                self._search, self._active = self._passes[index], nodes
                self._check(self._search, nodes)
                return self._disclose_left()
            case CascadeTurn(right) if self._search and right.size == self._active.size:
                self._active = 2 * self._active + right
                self._active = self._active[self._active < self._bits.size]
                return self._disclose_left()
            case FrameDone():
                self.done = True
                return None
        msg = f"Cascade: {type(message).__name__} makes no sense in pass {len(self._passes)} of {len(self._schedule.passes)}"
        raise PeerError(msg)

    def _check(self, one: _OpenPass, nodes: Nodes) -> None:
        fine = nodes.size > 0 and int(nodes.min()) >= one.top and int(nodes.max()) < self._bits.size
        if fine:
            known = (nodes < 2 * one.top) | one.split[nodes >> 1]
            fine = bool(known.all()) and not one.split[nodes].any() and bool((nodes[1:] > nodes[:-1]).all())
        if not fine:
            msg = "Cascade: asked to search nodes that are not known, were searched before, or are out of order"
            raise PeerError(msg)

    def _disclose_left(self) -> FrameParities:
        if self._search is None or not self._active.size:
            msg = "Cascade: asked to go on with a search that has ended"
            raise PeerError(msg)
        self._search.split[self._active] = True
        return self._disclose(self._search.tree[2 * self._active])

    def _disclose(self, parities: Bits) -> FrameParities:
        self.disclosed_bits += parities.size
        if self.disclosed_bits > self._limit:
            msg = (
                f"Cascade would disclose more than {self._limit} of {self._schedule.n_bits} bits: too many errors here"
            )
            raise KeyRefusedError(msg)
        return FrameParities(parities)


class CascadeCorrector(_Party):
    """The party that asks and corrects its own key.

    Parameters
    ----------
    key, schedule, seed, engine:
        As for `CascadeReference`.
    most_rounds:
        It gives the block up rather than ask more often.
    """

    def __init__(
        self,
        key: SecretBits,
        schedule: CascadeSchedule,
        seed: int,
        *,
        most_rounds: int = 10_000,
        engine: CascadeEngine | None = None,
    ) -> None:
        super().__init__(key, schedule, seed, engine)
        self._most_rounds = most_rounds
        self._total = 0  # parity of the reference's whole key
        self._searched = 0
        self._active: Nodes = np.zeros(0, dtype=np.int64)
        self._leaves: list[Nodes] = []
        self.corrected_bits = 0
        self.rounds = 0
        self.done = False

    @property
    def key(self) -> SecretBits:
        """The key as corrected so far."""
        return SecretBits(self._bits[: self._schedule.n_bits])

    def start(self) -> Message:
        """Return the first message."""
        return self._ask(CascadeOpen(0))

    def receive(self, message: Message) -> Message | None:
        """Take parities, and return the next question; after `FrameDone` there is none.

        Raises
        ------
        PeerError
            Something else was sent, or too many or too few parities.
        KeyRefusedError
            There were `most_rounds` questions.
        """
        if not isinstance(message, FrameParities) or self.done:
            msg = f"Cascade: {type(message).__name__} came where parities were expected"
            raise PeerError(msg)
        self.disclosed_bits += message.bits.size
        if self._active.size:
            return self._descend(message.bits)
        self._compare(message.bits)
        return self._next()

    def _ask(self, message: Message) -> Message:
        self.rounds += 1
        if self.rounds > self._most_rounds:
            msg = f"Cascade did not end after {self._most_rounds} rounds: too many errors in this block"
            raise KeyRefusedError(msg)
        return message

    def _compare(self, parities: Bits) -> None:
        """Find the odd blocks of a pass that begins."""
        index = len(self._passes)
        one = self._begin()
        self._expect(parities, one.top - (index > 0))
        if index == 0:
            self._total = int(np.bitwise_xor.reduce(parities))
        else:
            parities = np.append(parities, np.uint8(self._total ^ int(np.bitwise_xor.reduce(parities))))
        one.odd = np.flatnonzero(parities ^ one.tree[one.top : 2 * one.top]) + one.top

    def _next(self) -> Message:
        """Search the pass with the smallest blocks that has odd ones; else begin the next pass."""
        for index, one in enumerate(self._passes):
            if one.odd.size:
                self._searched, self._active = index, one.odd
                one.odd = one.odd[:0]
                return self._ask(CascadeSearch(index, self._active))
        if len(self._passes) < len(self._schedule.passes):
            return self._ask(CascadeOpen(len(self._passes)))
        self.done = True
        return FrameDone(self.corrected_bits)

    def _descend(self, parities: Bits) -> Message:
        """Go on in the half that holds the error; of leaves, correct."""
        self._expect(parities, self._active.size)
        one = self._passes[self._searched]
        one.split[self._active] = True
        left = 2 * self._active
        right = np.uint8(1) ^ one.tree[left] ^ parities
        below = left + right
        at_leaf = below >= self._bits.size
        if at_leaf.any():
            self._leaves.append(below[at_leaf])
            below = below[~at_leaf]
        self._active = below
        if below.size:
            return self._ask(CascadeTurn(right))
        self._correct(one.order[np.concatenate(self._leaves) - self._bits.size])
        self._leaves = []
        return self._next()

    def _correct(self, wrong: NDArray[np.int32]) -> None:
        self._bits[wrong] ^= 1
        self.corrected_bits += wrong.size
        for index, one in enumerate(self._passes):
            leaves = one.place[wrong].astype(np.int64) + self._bits.size
            turned = self._engine.flip(one.tree, one.split, leaves, one.top)
            if index != self._searched:  # there each error was the odd one of its own, smallest node
                one.odd = _odd_ones(np.concatenate([one.odd, turned]))

    @staticmethod
    def _expect(parities: Bits, n: int) -> None:
        if parities.size != n:
            msg = f"Cascade: {parities.size} parities came, {n} were asked for"
            raise PeerError(msg)


def _odd_ones(nodes: Nodes) -> Nodes:
    """Return, sorted, what occurs an odd number of times."""
    nodes = np.sort(nodes)
    ends = np.flatnonzero(np.append(nodes[1:] != nodes[:-1], True))
    odd: Nodes = nodes[ends[np.diff(ends, prepend=-1) % 2 == 1]]
    return odd
