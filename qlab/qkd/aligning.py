"""Delays and clocks, found together from photons that are given away: they are spent, and none of them is ever in a key.

    reference                                       corrector
    AlignOpen                                  ->
                                               <-   AlignReady
    (both detect)  AlignOffer: times, detectors ->
                                               <-   AlignAnswer: delays of the reference's detectors, error rates

The corrector puts its clock on the reference's, finds the delays of all eight detectors and counts errors.  If somebody
forged these messages no pairs would be found, or fewer: they are not signed, as nothing secret rests on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.block_messages import GiveUp
from qlab.qkd.conversation import HEAR, PARTS_LOG2, Talk, long_work
from qlab.qkd.messages import F64, U32, Blob, Message, Times, decode, register
from qlab.qkd.sifting import detections
from qlab.tags.delays import find_delays
from qlab.tags.one_to_one import one_to_one_matrix
from qlab.tags.stream import TagBlock, merge
from qlab.timing.acquire import ClockLock, Search, acquire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from qlab.qkd.conversation import Conversation
    from qlab.qkd.party import Party
    from qlab.qkd.policy import QkdPolicy
    from qlab.qkd.sifting import Detections, Outcome

__all__ = ["AlignReport", "AlignedReceiver", "Tags", "align_corrector", "align_reference"]

_DETECTORS = 4
"""A detector is told by its basis and bit: 0 and 1 in the key basis, 2 and 3 in the test basis; the corrector's follow."""
_NAMES = ("key 0", "key 1", "test 0", "test 1")


@dataclass(frozen=True, slots=True)
class AlignReport:
    """What an alignment found: coincidences in the same basis, and the share of wrong ones in each basis."""

    pairs: int
    key_error_rate: float
    test_error_rate: float


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
    """What to subtract from the times of each of the reference's four detectors in ps; pairs and error rates."""

    kind: ClassVar[int] = 12
    delays: Times
    pairs: U32
    key_error_rate: F64
    test_error_rate: F64


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
    blind_ps:
        Clicks within this time behind any other are dropped: no detector can click then while another one is blind.
    clock_offset_ps:
        Not 0: each piece begins, on either side, within this time; times count from there, and each piece is found anew.
    """

    tags: Tags
    outcomes: Mapping[int, Outcome]
    merge_ps: int
    entropy: Callable[[int], bytes]
    delays_ps: dict[int, int] = field(default_factory=dict)
    lock: ClockLock | None = None
    blind_ps: int = 0
    clock_offset_ps: int = 0
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
        common = on_clock_of(self.lock, self.begun(block)).shifted(self.delays_ps)
        moved = common.moved(-round(self.lag_ps))
        return detections(moved, self.outcomes, self.merge_ps, self.entropy, self.blind_ps)

    def begun(self, block: TagBlock) -> TagBlock:
        """Return a piece whose times count from its beginning, where only these can be compared."""
        return block.moved(-block.start_ps) if self.clock_offset_ps else block

    def locate(self, found: Detections, theirs_ps: NDArray[np.int64]) -> Detections:
        """Return a piece on the peer's clock: where both began it at unknown times, its pairs are searched.

        A piece without pairs is returned as it is; nothing of it will coincide.
        """
        if not self.clock_offset_ps or found.t_ps.size < 2:
            return found
        span_s = float(found.t_ps[-1] - found.t_ps[0]) * 1e-12
        lock = acquire(theirs_ps, found.t_ps, Search(self.clock_offset_ps, 1e-12, span_s=span_s))
        if not isinstance(lock, ClockLock):
            return found
        return replace(found, t_ps=found.t_ps - round(lock.offset_at(lock.reference_ps)))

    def detectors(self) -> dict[int, int]:
        """Return channels by number of the detector."""
        return {_DETECTORS // 2 * (one.basis == "test") + one.bit: channel for channel, one in self.outcomes.items()}

    def follow(self, lags_ps: NDArray[np.int64]) -> None:
        """Take how much later than the peer's this party's detections of the last piece came, pair by pair."""
        if lags_ps.size >= 50:  # fewer tell less than they move
            self.lag_ps += float(np.median(lags_ps))


def on_clock_of(lock: ClockLock | None, block: TagBlock) -> TagBlock:
    """Return tags of the second clock with the times that the first one would have given them."""
    return block if lock is None else lock.block_to_first(block)


def align_reference(party: Party, receiver: AlignedReceiver) -> Conversation[AlignReport]:
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
    mine = _by_detector(receiver, receiver.begun(block))
    yield from talk.say(AlignOffer(mine.t, mine.ch.tobytes()))
    answer = yield from talk.hear(AlignAnswer)
    if answer.delays.size != _DETECTORS:
        msg = f"alignment: the peer tells {answer.delays.size} delays: expected {_DETECTORS}"
        raise PeerError(msg)
    channels = receiver.detectors()
    receiver.delays_ps = {channels[k]: delay for k, delay in enumerate(answer.delays.tolist())}
    return _noted(party, AlignReport(answer.pairs, answer.key_error_rate, answer.test_error_rate))


def align_corrector(party: Party, receiver: AlignedReceiver) -> Conversation[AlignReport]:
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
    detectors = np.frombuffer(offer.detectors, np.uint8)
    if (detectors >= _DETECTORS).any():
        msg = f"alignment: the peer has a detector {int(detectors.max())}: expected 0 to {_DETECTORS - 1}"
        raise PeerError(msg)
    theirs = TagBlock.from_unsorted(offer.times, detectors, block.start_ps, block.stop_ps)
    try:
        delays, report = yield from long_work(lambda: _solve(party.policy, receiver, theirs, block))
    except KeyRefusedError as error:
        yield from talk.say(GiveUp(str(error).encode()))
        raise
    of_theirs = np.array([delays[k] for k in range(_DETECTORS)], dtype=np.int64)
    yield from talk.say(AlignAnswer(of_theirs, report.pairs, report.key_error_rate, report.test_error_rate))
    return _noted(party, report)


def _noted(party: Party, report: AlignReport) -> AlignReport:
    """Plan reconciliation with the error rate that was seen."""
    if report.pairs and 0.0 < report.key_error_rate < 0.25:
        party.error_rate = report.key_error_rate
    return report


def _by_detector(receiver: AlignedReceiver, block: TagBlock) -> TagBlock:
    """Return the tags that mean something, by number of the detector."""
    number = np.zeros(256, dtype=np.uint8)
    for detector, channel in receiver.detectors().items():
        number[channel] = detector
    chosen = block.select(receiver.outcomes)
    return TagBlock.from_unsorted(chosen.t, number[chosen.ch], chosen.start_ps, chosen.stop_ps, chosen.gaps)


def _solve(
    policy: QkdPolicy, receiver: AlignedReceiver, theirs: TagBlock, block: TagBlock
) -> tuple[dict[int, int], AlignReport]:
    """Set the receiver's clock and delays; returns the delays of all detectors and what was seen with them."""
    mine = _by_detector(receiver, receiver.begun(block))
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
    a, b = range(_DETECTORS), range(_DETECTORS, 2 * _DETECTORS)
    found = find_delays(both, a, b, search_ps=policy.delay_search_ps, width_ps=policy.peak_width_ps)
    if len(found.groups) != 1 or found.unresolved:
        names = ", ".join(f"{'Bob' if c >= _DETECTORS else 'Alice'} {_NAMES[c % _DETECTORS]}" for c in found.unresolved)
        msg = f"alignment: coincidences do not tie all detectors together (alone: {names or 'groups'}); more light, or longer"
        raise KeyRefusedError(msg)
    channels = receiver.detectors()
    receiver.delays_ps = {channels[c - _DETECTORS]: d for c, d in found.delays_ps.items() if c >= _DETECTORS}
    receiver.lag_ps = 0.0
    counts = one_to_one_matrix(both, a, b, policy.window_ps, found.delays_ps)
    rates = []
    for k in (0, 2):
        same = counts[k : k + 2, k : k + 2]
        rates.append(float(same[0, 1] + same[1, 0]) / max(int(same.sum()), 1))
    return found.delays_ps, AlignReport(int(counts[:2, :2].sum() + counts[2:, 2:].sum()), *rates)
