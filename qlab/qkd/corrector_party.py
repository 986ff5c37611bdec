"""Bob's side of a block: he answers the opening, asks for parities and corrects his key; see `qlab.qkd.reference_party`."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import KeyRefusedError, LedgerError, PeerError
from qlab.qkd.accounting import BlockStatement
from qlab.qkd.block_messages import (
    BlockOpen,
    GiveUp,
    KeyConfirm,
    KeyMatch,
    KeyTerms,
    Piece,
    PieceReady,
)
from qlab.qkd.chsh_sifting import SettingOffer, match_settings
from qlab.qkd.conversation import HEAR, PARTS_LOG2, PeerGaveUpError, PeerWentOnError, Talk, long_work
from qlab.qkd.estimating import complete_corrector, estimate_corrector
from qlab.qkd.messages import decode
from qlab.qkd.party import SiftTally, settle, take_settlement
from qlab.qkd.reconcile_messages import ReconcileOpen
from qlab.qkd.reconciling import correct_frames
from qlab.qkd.sifting import ENOUGH_TO_FOLLOW, SiftAnswer, SiftOffer, match, offer, take
from qlab.qkd.toeplitz import amplify
from qlab.qkd.verification import KeyTag, matches_tag

if TYPE_CHECKING:
    from qlab.qkd.chsh_sifting import SettingAnswer
    from qlab.qkd.conversation import Conversation
    from qlab.qkd.party import Party, Receiver
    from qlab.qkd.sifting import Match

__all__ = ["corrector_block"]

_DARK = "no key: there are no more photons to detect here"


def corrector_block(party: Party, receiver: Receiver) -> Conversation[BlockStatement]:
    """Make one block; as `qlab.qkd.reference_party.reference_block`.

    Raises
    ------
    PeerError, LedgerError
        As there.
    """
    party.require_slots()
    party.known = party.stated = None
    talk = yield from _await_opening(party)
    block = -1
    try:
        block = yield from _open(party, talk)
        return (yield from _make_key(party, talk, receiver, block))
    except PeerGaveUpError as error:
        return BlockStatement.refused(block, error, talk, party.known, party.stated)
    except PeerWentOnError as error:
        party.heard_early = error.data
        return BlockStatement.refused(block, error, talk, party.known, party.stated)
    except KeyRefusedError as error:
        yield from talk.say(GiveUp(str(error).encode()))
        return BlockStatement.refused(block, error, talk, party.known, party.stated)
    except (PeerError, LedgerError) as error:
        yield from talk.say(GiveUp(str(error).encode()))
        raise


def _await_opening(party: Party) -> Conversation[Talk]:
    """Pass over what is left of other blocks, until the reference opens one."""
    while True:
        data, party.heard_early = party.heard_early, None
        if data is None:
            data = yield HEAR
        message, number = decode(data)
        if isinstance(message, BlockOpen):
            party.exchange = number >> PARTS_LOG2
            return Talk(party.exchange, party.authenticator, data)


def _open(party: Party, talk: Talk) -> Conversation[int]:
    ledger = party.ledger
    mine = ledger.blocks("pending")
    opening = yield from talk.hear(BlockOpen)
    next_block = ledger.next_block
    yield from talk.say(BlockOpen(next_block, party.policy.digest(), np.array(mine, dtype=np.int64)))
    party.require_policy(opening.policy)
    yield from take_settlement(party, talk, mine)
    yield from settle(party, talk, opening.pending.tolist())
    return max(next_block, opening.next_block)


def _collect(party: Party, talk: Talk, receiver: Receiver) -> Conversation[SiftTally]:
    tally = SiftTally.empty()
    while (yield from talk.hear(Piece)).more:
        yield from long_work(receiver.prepare)
        receiver.start()
        yield from talk.say(PieceReady())
        found = yield from long_work(receiver.finish)
        if party.policy.intensities is not None:
            if found is None:
                raise KeyRefusedError(_DARK)
            yield from talk.say(offer(found))
        theirs = yield from talk.hear_any()
        if isinstance(theirs[0], Piece) and not theirs[0].more:
            break  # the reference has no further piece
        if found is None:
            raise KeyRefusedError(_DARK)
        if party.policy.intensities is not None and isinstance(theirs[0], SiftAnswer):
            told = theirs[0]
            if math.isfinite(told.lag_ps):
                receiver.follow(told.lag_ps)
            tally.add(found, take(found, told), told.kept, np.frombuffer(told.thirds, dtype=np.uint8))
            continue
        wanted = SettingOffer if party.policy.chsh else SiftOffer
        if not isinstance(theirs[0], wanted):
            msg = f"{type(theirs[0]).__name__} came where an offer of detections was expected; the block is given up"
            raise PeerError(msg)
        offered = theirs[0]
        found = yield from long_work(partial(receiver.locate, found, offered.times))
        window_ps = party.policy.window_ps
        matched: Match[SettingAnswer] | Match[SiftAnswer] = (
            match_settings(found, offered, window_ps)
            if isinstance(offered, SettingOffer)
            else match(found, offered, window_ps)
        )
        if matched.lags_ps.size >= ENOUGH_TO_FOLLOW:
            receiver.follow(float(np.median(matched.lags_ps)))
        yield from talk.say(matched.reply)
        tally.add(found, matched.kept, matched.which)
    return tally


def _make_key(party: Party, talk: Talk, receiver: Receiver, block: int) -> Conversation[BlockStatement]:
    policy, ledger = party.policy, party.ledger
    tally = yield from _collect(party, talk, receiver)
    raw = tally.sifted.key
    known, levels = yield from estimate_corrector(talk, policy, tally.sifted, policy.expected_error_rate)
    assumptions = party.assumptions(tally, known)
    party.known, party.stated = known, assumptions
    assumptions.require()

    terms = yield from talk.hear(ReconcileOpen)
    if not 0.0 < terms.error_rate < 0.5:
        msg = f"the peer wants to reconcile for an error rate of {terms.error_rate:g}: expected between 0 and 0.5"
        raise PeerError(msg)
    corrected, flipped = yield from correct_frames(talk, raw, policy, terms)
    tag = yield from talk.hear(KeyTag)
    equal = matches_tag(corrected, tag, known.tag_bits)
    yield from talk.say(KeyMatch(equal))
    if not equal:
        msg = "verification: the keys differ after reconciliation"
        raise KeyRefusedError(msg)
    wrong = (corrected.reveal() ^ raw.reveal()).astype(np.bool_)
    known = yield from complete_corrector(talk, policy, known, levels[wrong] if levels.size else levels)

    asked = yield from talk.hear(KeyTerms)
    yield from talk.verify()
    bits = known.length(policy, talk.disclosed_bits)
    if asked.bits != bits or asked.seed.size != len(raw) + bits - 1:
        msg = f"the peer wants a key of {asked.bits} bits, here it has {bits}; the block is given up"
        raise PeerError(msg)
    party.require_net(bits, asked.refill_slots)
    key = yield from long_work(lambda: amplify(corrected, asked.seed, bits))
    ledger.store_pending(block, key, asked.refill_slots)
    yield from talk.sign()
    yield from talk.hear(KeyConfirm)
    yield from talk.verify()
    ledger.make_usable(block)
    party.plan_next(flipped, known.n_key)
    return BlockStatement.of_key(block, (bits, asked.refill_slots), known, flipped, talk, assumptions, policy.target)
