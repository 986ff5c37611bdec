"""Sifting and test of E91: which pairs make key, which a CHSH test.

    reference                                       corrector
    SettingOffer: times and settings           ->
                                               <-   SettingAnswer: which it saw too, and its settings then
    ...
    TestBits                                   ->
                                               <-   ChshCounts: how many outcomes were equal, by pair of settings

Alice measures in A0, A1 or A2, Bob in B1 or B2 (A. Acin et al., Phys. Rev. Lett. 98, 230501 (2007)): A0 and B1 make key,
A1 and A2 with either of Bob's S = E(A1,B1) + E(A1,B2) + E(A2,B1) - E(A2,B2).  Pairs in A0 and B2 are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qlab.errors import PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.messages import Blob, Indices, Message, Times, register
from qlab.qkd.sifting import Match, Sifted
from qlab.tags.one_to_one import one_to_one_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.qkd.sifting import Detections

__all__ = [
    "SIGNS",
    "ChshCounts",
    "SettingAnswer",
    "SettingOffer",
    "match_settings",
    "offer_settings",
    "rounds_of",
    "take_settings",
]

SIGNS = (1, 1, 1, -1)
"""Of E in S, by cell: (A1, B1), (A1, B2), (A2, B1), (A2, B2)."""


@register
@dataclass(frozen=True, slots=True, eq=False)
class SettingOffer(Message):
    """Times of detections in ps on the common clock, rising, and their settings, a byte each: 0 to 2."""

    kind: ClassVar[int] = 40
    times: Times
    settings: Blob


@register
@dataclass(frozen=True, slots=True, eq=False)
class SettingAnswer(Message):
    """Which of the offered detections are kept, rising, and the corrector's settings, a byte each: 0 or 1."""

    kind: ClassVar[int] = 41
    kept: Indices
    settings: Blob


@register
@dataclass(frozen=True, slots=True, eq=False)
class ChshCounts(Message):
    """How many outcomes of the test were equal, by cell; shape (4,)."""

    kind: ClassVar[int] = 42
    equal: Times


def offer_settings(mine: Detections) -> SettingOffer:
    """Return the reference's message."""
    return SettingOffer(mine.t_ps, mine.settings.tobytes())


def match_settings(mine: Detections, theirs: SettingOffer, window_ps: int) -> Match[SettingAnswer]:
    """Find out which detections both saw in settings of use.

    Raises
    ------
    PeerError
        Times do not rise, or there is not one setting of three for each.
    """
    settings = np.frombuffer(theirs.settings, dtype=np.uint8)
    if theirs.times.size != settings.size or (np.diff(theirs.times) <= 0).any() or (settings > 2).any():
        sizes = f"{theirs.times.size} times, {settings.size} settings"
        msg = f"sifting: {sizes}: expected a setting of 0 to 2 a time, times rising"
        raise PeerError(msg)
    i, j = one_to_one_pairs(theirs.times, mine.t_ps, window_ps // 2)
    a, b = settings[i], mine.settings[j]
    useful = (a > 0) | (b == 0)
    kept = _split(mine.bits.reveal()[j[useful]], a[useful], b[useful])
    return Match(SettingAnswer(i[useful], b[useful].tobytes()), kept, j[useful], mine.t_ps[j] - theirs.times[i])


def take_settings(mine: Detections, theirs: SettingAnswer) -> Sifted:
    """Return what the reference keeps.

    Raises
    ------
    PeerError
        The answer names detections that were not offered, one of them twice, or settings that make neither key nor test.
    """
    kept, b = theirs.kept, np.frombuffer(theirs.settings, dtype=np.uint8)
    rising = not kept.size or (int(kept[-1]) < mine.t_ps.size and not (np.diff(kept) <= 0).any())
    a = mine.settings[kept] if rising else mine.settings[:0]
    if not rising or b.size != kept.size or (b > 1).any() or ((a == 0) & (b == 1)).any():
        msg = f"sifting: the answer keeps {kept.size} of {mine.t_ps.size} detections with {b.size} settings, not all of use"
        raise PeerError(msg)
    return _split(mine.bits.reveal()[kept], a, b)


def rounds_of(sifted: Sifted) -> NDArray[np.int64]:
    """Return the number of rounds of each cell, shape (4,)."""
    return np.bincount(sifted.cells, minlength=4).astype(np.int64)


def _split(bits: NDArray[np.uint8], a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Sifted:
    test = a > 0
    cells = (2 * (a[test] - 1) + b[test]).astype(np.uint8)
    return Sifted(SecretBits(bits[~test]), SecretBits(bits[test]), cells=cells)
