"""The messages of a block that belong to no single stage: opening, settling, terms of the key, giving up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qlab.qkd.messages import U8, U32, U64, BitString, Blob, Message, Times, register

__all__ = [
    "BlockOpen",
    "ErrorCount",
    "GiveUp",
    "KeyConfirm",
    "KeyMatch",
    "KeyTerms",
    "LevelErrors",
    "Piece",
    "PieceReady",
    "SentLevels",
    "Settlement",
    "TestBits",
]


@register
@dataclass(frozen=True, slots=True, eq=False)
class BlockOpen(Message):
    """Begin a block, or agree to it: the lowest free number in one's ledger, the rules' digest, keys that are pending."""

    kind: ClassVar[int] = 1
    next_block: U64
    policy: Blob
    pending: Times


@register
@dataclass(frozen=True, slots=True, eq=False)
class Settlement(Message):
    """For each key that is pending at the peer: whether one has it (1) or not."""

    kind: ClassVar[int] = 2
    blocks: Times
    present: BitString


@register
@dataclass(frozen=True, slots=True, eq=False)
class Piece(Message):
    """Detect photons now; 0: there is no further piece, take what there is."""

    kind: ClassVar[int] = 3
    more: U8


@register
@dataclass(frozen=True, slots=True, eq=False)
class PieceReady(Message):
    """The peer detects photons as well."""

    kind: ClassVar[int] = 4


@register
@dataclass(frozen=True, slots=True, eq=False)
class TestBits(Message):
    """The reference's bits of the test basis; none of them is in the key."""

    kind: ClassVar[int] = 10
    __test__: ClassVar[bool] = False
    bits: BitString


@register
@dataclass(frozen=True, slots=True, eq=False)
class ErrorCount(Message):
    """How many of the test bits differ."""

    kind: ClassVar[int] = 11
    errors: U32


@register
@dataclass(frozen=True, slots=True, eq=False)
class SentLevels(Message):
    """The intensity of each pulse that was kept, by its number, a byte a pulse: of the key basis, and of the test basis."""

    kind: ClassVar[int] = 13
    key: Blob
    test: Blob


@register
@dataclass(frozen=True, slots=True, eq=False)
class LevelErrors(Message):
    """How many of the test bits differ, by intensity."""

    kind: ClassVar[int] = 14
    errors: Times


@register
@dataclass(frozen=True, slots=True, eq=False)
class KeyMatch(Message):
    """Whether the corrected key has the tag (1) or not."""

    kind: ClassVar[int] = 33
    equal: U8


@register
@dataclass(frozen=True, slots=True, eq=False)
class KeyTerms(Message):
    """The length of the key, how many slots of authentication key it refills, and the seed of privacy amplification."""

    kind: ClassVar[int] = 34
    bits: U32
    refill_slots: U32
    seed: BitString


@register
@dataclass(frozen=True, slots=True, eq=False)
class KeyConfirm(Message):
    """The reference's key is usable."""

    kind: ClassVar[int] = 35


@register
@dataclass(frozen=True, slots=True, eq=False)
class GiveUp(Message):
    """The block is given up; `reason` is text for people, without anything secret."""

    kind: ClassVar[int] = 63
    reason: Blob
