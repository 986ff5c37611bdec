"""Delays and clocks, found together from photons that are given away: they are spent, and none of them is ever in a key.

    reference                                       corrector
    AlignOpen                                  ->
                                               <-   AlignReady
    (both detect)  AlignOffer: times, detectors ->
                                               <-   AlignAnswer: delays of the reference's detectors

The corrector puts its clock on the reference's and finds the delays of all eight detectors.  If somebody forged these
messages no pairs would be found, or fewer: they are not signed, as nothing secret rests on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.block_messages import GiveUp
from qlab.qkd.conversation import HEAR, PARTS_LOG2, Talk, long_work
from qlab.qkd.messages import Blob, Message, Times, decode, register
from qlab.qkd.sifting import detections
from qlab.tags.delays import find_delays
from qlab.tags.stream import TagBlock, merge
from qlab.timing.acquire import ClockLock, Search, acquire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from qlab.qkd.conversation import Conversation
    from qlab.qkd.party import Party
    from qlab.qkd.policy import QkdPolicy
    from qlab.qkd.sifting import Detections, Outcome

__all__ = ["AlignedReceiver", "Tags", "align_corrector", "align_reference"]

_DETECTORS = 64
"""Channels of the corrector are counted from here when both are looked at together."""


class Tags(Protocol):
    """Where a party's tags come from, piece by piece."""

    def start(self) -> None:
        """Begin to record a piece; returns at once."""
        ...

    def finish(self) -> TagBlock | None:
        """Return the piece when it is complete; None: there is no more."""
        ...


@register
@dataclass(frozen=True, slots=True, eq=False)
class AlignOpen(Message):
    """Detect photons to align with."""

    kind: ClassVar[int] = 5


@register
@dataclass(frozen=True, slots=True, eq=False)
class AlignReady(Message):
    """The peer detects photons as well."""

    kind: ClassVar[int] = 6


@register
@dataclass(frozen=True, slots=True, eq=False)
class AlignOffer(Message):
    """All tags of the reference: times in ps, and which detector each was, a byte a tag."""

    kind: ClassVar[int] = 7
    times: Times
    detectors: Blob


@register
@dataclass(frozen=True, slots=True, eq=False)
class AlignAnswer(Message):
    """The reference's detectors, and what to subtract from the times of each in ps."""

    kind: ClassVar[int] = 12
    detectors: Blob
    delays: Times


@dataclass(slots=True)
class AlignedReceiver:
    """A party's tags as detections on the common clock.

    Attributes
    ----------
    tags:
        Where they come from.
    outcomes:
        What each channel means.
    merge_ps, entropy:
        As for `qlab.qkd.sifting.detections`.
    delays_ps:
        What to subtract from each channel's times.
    lock:
        How this party's clock stands against the reference's; None: it is the same.
    """

    tags: Tags
    outcomes: Mapping[int, Outcome]
    merge_ps: int
    entropy: Callable[[int], bytes]
    delays_ps: dict[int, int] = field(default_factory=dict)
    lock: ClockLock | None = None
    lag_ps: float = 0.0
    """Mean time by which this party's detections came later than predicted, as followed since the alignment."""

    def start(self) -> None:
        """Begin to detect."""
        self.tags.start()

    def finish(self) -> Detections | None:
        """Return the detections of the piece."""
        block = self.tags.finish()
        if block is None:
            return None
        common = on_clock_of(self.lock, block).shifted(self.delays_ps)
        return detections(common.moved(-round(self.lag_ps)), self.outcomes, self.merge_ps, self.entropy)

    def follow(self, lags_ps: NDArray[np.int64]) -> None:
        """Take how much later than the peer's this party's detections of the last piece came, pair by pair."""
        if lags_ps.size >= 50:  # fewer tell less than they move
            self.lag_ps += float(np.median(lags_ps))


def on_clock_of(lock: ClockLock | None, block: TagBlock) -> TagBlock:
    """Return tags of the second clock with the times that the first one would have given them."""
    if lock is None:
        return block

    def first(t_ps: int) -> int:
        return t_ps - round(lock.offset_at(t_ps))

    # Differences are small against times, so that float64 holds them to a fraction of a ps.
    s = (block.t - lock.reference_ps) / 1e12
    offset = lock.offset_ps + (lock.frequency * s + lock.drift_per_s * s * s / 2.0) * 1e12
    t = block.t - np.round(offset).astype(np.int64)
    return TagBlock(t, block.ch, first(block.start_ps), first(block.stop_ps), block.gaps)


def align_reference(party: Party, receiver: AlignedReceiver) -> Conversation[None]:
    """Give photons away until the corrector has the delays.

    Raises
    ------
    PeerError
        The peer broke the protocol, or found no pairs.
    KeyRefusedError
        There are no photons.
    """
    party.exchange += 1
    talk = Talk(party.exchange, party.authenticator)
    yield from talk.say(AlignOpen())
    yield from talk.hear(AlignReady)
    receiver.start()
    block = yield from long_work(receiver.tags.finish)
    if block is None:
        msg = "alignment: there are no photons to align with"
        yield from talk.say(GiveUp(msg.encode()))
        raise KeyRefusedError(msg)
    mine = block.select(receiver.outcomes)
    yield from talk.say(AlignOffer(mine.t, mine.ch.tobytes()))
    answer = yield from talk.hear(AlignAnswer)
    receiver.delays_ps = dict(zip(answer.detectors, answer.delays.tolist(), strict=False))
    if set(receiver.delays_ps) != set(receiver.outcomes):
        msg = f"alignment: the peer tells delays of detectors {list(answer.detectors)}, here are {list(receiver.outcomes)}"
        raise PeerError(msg)


def align_corrector(party: Party, receiver: AlignedReceiver) -> Conversation[None]:
    """Find the clock and all delays; as `align_reference`.

    Raises
    ------
    KeyRefusedError
        No pairs are found.
    """
    while True:
        data = yield HEAR
        message, number = decode(data)
        if isinstance(message, AlignOpen):
            break
    party.exchange = number >> PARTS_LOG2
    talk = Talk(party.exchange, party.authenticator)
    receiver.start()
    yield from talk.say(AlignReady())
    block = yield from long_work(receiver.tags.finish)
    offer = yield from talk.hear(AlignOffer)
    if block is None or offer.times.size != len(offer.detectors):
        msg = "alignment: there are no photons here, or the peer tells not one detector a time"
        raise PeerError(msg)
    theirs = TagBlock.from_unsorted(
        offer.times, np.frombuffer(offer.detectors, np.uint8), block.start_ps, block.stop_ps
    )
    try:
        delays = yield from long_work(lambda: _solve(party.policy, receiver, theirs, block))
    except KeyRefusedError as error:
        yield from talk.say(GiveUp(str(error).encode()))
        raise
    of_theirs = {channel: delay for channel, delay in delays.items() if channel < _DETECTORS}
    yield from talk.say(AlignAnswer(bytes(of_theirs), np.array(list(of_theirs.values()), dtype=np.int64)))


def _solve(policy: QkdPolicy, receiver: AlignedReceiver, theirs: TagBlock, block: TagBlock) -> dict[int, int]:
    """Set the receiver's clock and delays, and return those of all detectors."""
    mine = block.select(receiver.outcomes)
    if policy.clock_offset_ps:
        search = Search(policy.clock_offset_ps, policy.clock_frequency or 1e-12, span_s=mine.live_s)
        lock = acquire(theirs.t, mine.t, search)
        if not isinstance(lock, ClockLock):
            msg = f"alignment: no photon pairs found between the clocks: {lock.reason}; is the source on?"
            raise KeyRefusedError(msg)
        receiver.lock = lock
        mine = on_clock_of(lock, mine)
    shifted = TagBlock(mine.t, mine.ch + np.uint8(_DETECTORS), mine.start_ps, mine.stop_ps, mine.gaps)
    both = merge(theirs, shifted)
    a, b = sorted({int(c) for c in np.unique(theirs.ch)}), [c + _DETECTORS for c in sorted(receiver.outcomes)]
    if not a:
        msg = "alignment: the peer detected nothing"
        raise KeyRefusedError(msg)
    found = find_delays(both, a, b, search_ps=policy.delay_search_ps, width_ps=policy.peak_width_ps)
    if len(found.groups) != 1 or found.unresolved:
        names = ", ".join(f"{'bob' if c >= _DETECTORS else 'alice'} {c % _DETECTORS + 1}" for c in found.unresolved)
        msg = (
            f"alignment: no coincidences tie all detectors together (alone: {names or 'groups'}); more light, or longer"
        )
        raise KeyRefusedError(msg)
    receiver.delays_ps = {c - _DETECTORS: d for c, d in found.delays_ps.items() if c >= _DETECTORS}
    return found.delays_ps
