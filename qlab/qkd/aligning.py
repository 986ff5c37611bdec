"""Delays and clocks, found together from photons that are given away: they are spent, and none of them is ever in a key.

    reference                                       corrector
    AlignOpen                                  ->
                                               <-   AlignReady
    (both detect)  AlignOffer: times, detectors ->
                                               <-   AlignAnswer: delays of the reference's detectors, error rates

The corrector puts its clock on the reference's, finds the delays of all detectors and counts errors.  Parties that choose
their settings piece by piece do that several times, at settings that are agreed (`steps_of`); in the first piece every
detector of one meets every detector of the other.  If somebody forged these messages no pairs would be found, or fewer: they
are not signed, as nothing secret rests on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.block_messages import GiveUp
from qlab.qkd.choosing import ChosenTags
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

__all__ = ["AlignReport", "AlignedReceiver", "Tags", "align_corrector", "align_reference", "steps_of"]

_DETECTORS = 6
"""A detector is told by its setting and bit: 0 and 1 in the key basis, 2 and 3 in the test basis; the corrector's follow."""
_NAMES = ("key 0", "key 1", "test 0", "test 1", "third 0", "third 1")


@dataclass(frozen=True, slots=True)
class AlignReport:
    """What an alignment found: coincidences in the same basis, and the share of wrong ones in each basis."""

    pairs: int
    key_error_rate: float
    test_error_rate: float


@dataclass(slots=True)
class _Found:
    """What the corrector knows so far: delays of all detectors, and coincidences of each of both, shape (6, 6)."""

    delays_ps: dict[int, int] = field(default_factory=dict)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((_DETECTORS, _DETECTORS), dtype=np.int64))

    def report(self, *, chsh: bool) -> AlignReport:
        """Return pairs and error rates."""
        key, test = self.counts[:2, :2], self.counts[2:4, 2:4]
        if not chsh:
            return AlignReport(int(key.sum() + test.sum()), _wrong(key), _wrong(test))
        # A1 with B1 and with B2: E = V / sqrt 2, of which the error rate (1 - V) / 2 follows.
        test = self.counts[2:4, :2] + self.counts[2:4, 2:4]
        rate = (1.0 - math.sqrt(2.0) * (1.0 - 2.0 * _wrong(test))) / 2.0
        return AlignReport(int(key.sum() + test.sum()), _wrong(key), max(rate, 0.0))


def _wrong(counts: NDArray[np.int64]) -> float:
    return float(counts[0, 1] + counts[1, 0]) / max(int(counts.sum()), 1)


def steps_of(policy: QkdPolicy) -> tuple[tuple[int, int], ...]:
    """Return the settings of the reference and of the corrector in each piece; one that has a beam splitter takes all."""
    if policy.chsh:
        return ((1, 0), (0, 0))
    return ((0, 1), (0, 0), (1, 1)) if any(policy.chosen) else ((0, 0),)


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
    """What to subtract from the times of each of the reference's six possible detectors in ps; pairs and error rates."""

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
    coarse_ps: int = 0
    """By about how much this party's detections come later, as far as that is known before the alignment."""
    lag_ps: float = 0.0
    """Mean time by which this party's detections came later than predicted, as followed since the alignment."""

    def prepare(self, setting: int | None = None) -> None:
        """Set the analyser, if there is one to be set: as asked, or else as random bits say."""
        if isinstance(self.tags, ChosenTags):
            self.tags.prepare(setting)

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
        return {2 * one.setting + one.bit: channel for channel, one in self.outcomes.items()}

    def seen(self, setting: int) -> list[int]:
        """Return the numbers of the detectors that see something in a piece of an alignment."""
        return sorted(self.detectors()) if not isinstance(self.tags, ChosenTags) else [2 * setting, 2 * setting + 1]

    def follow(self, lag_ps: float) -> None:
        """Take how much later than expected this party's detections of the last piece came, in the median."""
        self.lag_ps += lag_ps


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
    for setting, _ in steps_of(party.policy):
        yield from long_work(partial(receiver.prepare, setting))
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
    receiver.delays_ps = {channel: int(answer.delays[number]) for number, channel in channels.items()}
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
    found, report = _Found(), AlignReport(0, 0.0, 0.0)
    for step, settings in enumerate(steps_of(party.policy)):
        if step:
            yield from talk.hear(AlignOpen)
        yield from long_work(partial(receiver.prepare, settings[1]))
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
            yield from long_work(partial(_solve, party.policy, receiver, theirs, block, settings, found))
        except KeyRefusedError as error:
            yield from talk.say(GiveUp(str(error).encode()))
            raise
        report = found.report(chsh=party.policy.chsh)
        of_theirs = np.array([found.delays_ps.get(k, 0) for k in range(_DETECTORS)], dtype=np.int64)
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
    policy: QkdPolicy,
    receiver: AlignedReceiver,
    theirs: TagBlock,
    block: TagBlock,
    settings: tuple[int, int],
    found: _Found,
) -> None:
    """Set the receiver's clock and, with the first piece, its delays; adds what was seen."""
    mine = _by_detector(receiver, receiver.begun(block)).moved(-receiver.coarse_ps)
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
    if not found.delays_ps:
        found.delays_ps = _delays(policy, receiver, both, settings)
        channels = receiver.detectors()
        receiver.delays_ps = {
            channel: found.delays_ps[_DETECTORS + n] + receiver.coarse_ps for n, channel in channels.items()
        }
        receiver.lag_ps = 0.0
    a, b = range(_DETECTORS), range(_DETECTORS, 2 * _DETECTORS)
    found.counts += one_to_one_matrix(both, a, b, policy.window_ps, found.delays_ps)


def _delays(policy: QkdPolicy, receiver: AlignedReceiver, both: TagBlock, settings: tuple[int, int]) -> dict[int, int]:
    """Return the delays of all detectors; one that serves several settings has the same in all."""
    of_theirs = [2 * settings[0], 2 * settings[0] + 1] if policy.chosen[0] else list(range(4))
    of_mine = [_DETECTORS + number for number in receiver.seen(settings[1])]
    solution = find_delays(both, of_theirs, of_mine, search_ps=policy.delay_search_ps, width_ps=policy.peak_width_ps)
    if len(solution.groups) != 1 or solution.unresolved:
        names = ", ".join(
            f"{'Bob' if c >= _DETECTORS else 'Alice'} {_NAMES[c % _DETECTORS]}" for c in solution.unresolved
        )
        msg = f"alignment: coincidences do not tie all detectors together (alone: {names or 'groups'}); more light, or longer"
        raise KeyRefusedError(msg)
    delays = dict(solution.delays_ps)
    for chosen, setting, first in ((policy.chosen[0], settings[0], 0), (policy.chosen[1], settings[1], _DETECTORS)):
        if chosen:
            ports = delays[first + 2 * setting], delays[first + 2 * setting + 1]
            delays |= {first + number: ports[number % 2] for number in range(_DETECTORS)}
    return delays
