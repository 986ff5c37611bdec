"""What both parties of a session have in common: their ledger, their rules, their receiver, and how a block begins."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qlab.errors import KeyRefusedError, LedgerError, PeerError
from qlab.qkd.assumptions import DeviceFacts, bbm92_assumptions, decoy_assumptions
from qlab.qkd.authentication import Authenticator
from qlab.qkd.balance import Balance
from qlab.qkd.bits import SecretBits
from qlab.qkd.block_messages import Settlement
from qlab.qkd.chsh_assumptions import e91_assumptions
from qlab.qkd.chsh_sifting import rounds_of
from qlab.qkd.sifting import Sifted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qlab.qkd.accounting import EstimatedBlock
    from qlab.qkd.assumptions import Assumptions
    from qlab.qkd.authentication import Role
    from qlab.qkd.conversation import Conversation, Talk
    from qlab.qkd.ledger import KeyLedger
    from qlab.qkd.policy import QkdPolicy
    from qlab.qkd.sifting import Detections

__all__ = ["LEAST_SLOTS", "Party", "Receiver", "SiftTally", "settle", "take_settlement"]

LEAST_SLOTS = 6
"""A block begins only with so many slots of each role in the pool: for its own tags, and for those of crashes."""


class Receiver(Protocol):
    """Where a party's detections come from: a tagger, or a recording."""

    def prepare(self) -> None:
        """Get ready for a piece: an analyser is set as this party's random bits say; takes a while."""
        ...

    def start(self) -> None:
        """Begin to detect; returns at once."""
        ...

    def finish(self) -> Detections | None:
        """Wait for the end of the piece, and return what was detected; None: there is nothing more to come."""
        ...

    def locate(self, found: Detections, theirs_ps: NDArray[np.int64]) -> Detections:
        """Return a piece on the peer's clock, now that the times of its detections are known."""
        ...

    def follow(self, lag_ps: float) -> None:
        """Take how much later than expected this party's detections of the last piece came, in the median."""
        ...


@dataclass(slots=True)
class SiftTally:
    """What a party has kept of a block so far, and what it dropped."""

    sifted: Sifted
    detections: int = 0
    cross_clicks: int = 0
    paired: int = 0
    """Detections that coincide with one of the peer's in settings of use."""
    balance: Balance = field(default_factory=Balance)

    @classmethod
    def empty(cls) -> SiftTally:
        """Return one of nothing."""
        nothing = SecretBits(np.zeros(0, dtype=np.uint8))
        return cls(Sifted(nothing, nothing))

    def add(
        self, found: Detections, kept: Sifted, which: NDArray[np.int64], third: NDArray[np.uint8] | None = None
    ) -> None:
        """Take a piece, and which of its detections are kept; `third` says where in the window they are, if that is known."""
        self.sifted = self.sifted + kept
        self.detections += found.t_ps.size
        self.cross_clicks += found.cross_clicks
        self.paired += which.size
        self.balance.add(found, which, third)

    def enough(self, policy: QkdPolicy) -> bool:
        """Return whether the block is complete; a CHSH test wants an eighth of its rounds in each pair of settings."""
        if len(self.sifted.key) < policy.key_bits or len(self.sifted.test) < policy.test_bits:
            return False
        return not policy.chsh or bool(8 * rounds_of(self.sifted).min() >= policy.test_bits)


class Party:
    """One of the two.

    Parameters
    ----------
    role:
        `reference` (Alice) or `corrector` (Bob).
    policy:
        The rules.
    ledger:
        Its own.
    entropy:
        Returns so many random bytes; `os.urandom` outside of tests.
    facts:
        What is known of its receiver; cross clicks are counted.
    """

    def __init__(
        self,
        role: Role,
        policy: QkdPolicy,
        ledger: KeyLedger,
        entropy: Callable[[int], bytes],
        facts: DeviceFacts | None = None,
    ) -> None:
        self.role: Role = role
        self.policy = policy
        self.ledger = ledger
        self.entropy = entropy
        self.facts = facts or DeviceFacts()
        self.authenticator = Authenticator(ledger, role)
        self.exchange = 0
        self.error_rate = policy.expected_error_rate
        self.known: EstimatedBlock | None = None
        self.stated: Assumptions | None = None
        """What is known of the block under way, and on what its key would rest."""
        self.heard_early: bytes | None = None
        """The first message of the next block, where it came before this one was given up."""

    def __repr__(self) -> str:
        return f"Party({self.role}, {self.ledger!r})"

    def require_slots(self) -> None:
        """Refuse to begin a block that could not be authenticated.

        Raises
        ------
        LedgerError
            Too little authentication key is left.
        """
        left = min(self.ledger.free_slots("reference"), self.ledger.free_slots("corrector"))
        if left < LEAST_SLOTS:
            msg = (
                f"{left} slots of authentication key are left, a block needs {LEAST_SLOTS} of each party: begin new ledgers "
                "with a new preshared key"
            )
            raise LedgerError(msg)

    def require_policy(self, digest: bytes) -> None:
        """Refuse a peer that has other rules.

        Raises
        ------
        PeerError
            The digests differ.
        """
        if digest != self.policy.digest():
            msg = (
                "the peer has other rules (window, block length, error rates, epsilons): use one lab file on both sides"
            )
            raise PeerError(msg)

    def assumptions(self, tally: SiftTally, block: EstimatedBlock) -> Assumptions:
        """Return what the proof takes for granted, with the cross clicks of this block."""
        facts = replace(
            self.facts,
            cross_clicks=tally.cross_clicks / max(tally.detections + tally.cross_clicks, 1),
            imbalance=tally.balance.worst(),
            window_ps=self.policy.window_ps,
        )
        sizes, accepted, variant = (block.n_key, block.n_test), self.policy.accepted, self.policy.variant
        if self.policy.chsh:
            paired = tally.paired / max(tally.detections, 1)
            return e91_assumptions(facts, *sizes, self.policy.target.eps_sec, paired, accepted, variant=variant)
        if self.policy.intensities is None:
            return bbm92_assumptions(facts, *sizes, accepted, variant=variant)
        return decoy_assumptions(facts, *sizes, accepted, variant=variant, sender=self.role == "reference")

    def plan_next(self, corrected: int, n_key: int) -> None:
        """Plan the next reconciliation with what this one found."""
        self.error_rate = min(max(corrected, 1) / n_key, 0.25)

    def require_net(self, bits: int, refill_slots: int) -> None:
        """Refuse a key that does not pay for its own authentication.

        Raises
        ------
        KeyRefusedError
            It would have to pay more than it has.
        """
        if bits <= 128 * refill_slots:
            msg = f"no key: {max(bits, 0)} bits do not pay for {refill_slots} slots of authentication key of 128 bits"
            raise KeyRefusedError(msg)


def settle(party: Party, talk: Talk, theirs: list[int]) -> Conversation[None]:
    """Tell the peer which of its pending keys are here, signed."""
    if theirs:
        present = [party.ledger.state(block) not in (None, "discarded") for block in theirs]
        yield from talk.say(Settlement(np.array(theirs, dtype=np.int64), np.array(present, dtype=np.uint8)))
        yield from talk.sign()


def take_settlement(party: Party, talk: Talk, mine: list[int]) -> Conversation[None]:
    """Hear which of this side's pending keys the peer has: these become usable, the others are discarded."""
    if not mine:
        return
    told = yield from talk.hear(Settlement)
    yield from talk.verify()
    if told.blocks.tolist() != mine or told.present.size != len(mine):
        msg = f"settlement of keys {told.blocks.tolist()}: expected {mine}"
        raise PeerError(msg)
    for block, present in zip(mine, told.present.tolist(), strict=True):
        if present:
            party.ledger.make_usable(block)
        else:
            party.ledger.discard(block)
