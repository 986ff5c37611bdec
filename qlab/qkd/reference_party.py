"""Alice's side of a block: her key counts, she opens the block, discloses parities and sets the terms.

    reference                                       corrector
    BlockOpen                                  ->
                                               <-   BlockOpen
    Settlement, tag (if keys are pending there) ->
                                               <-   Settlement, tag (if keys are pending here)
    Piece                                      ->   }
                                               <-   PieceReady             }  until there are enough
    (both detect)  SiftOffer                   ->                          }
                                               <-   SiftAnswer             }   (with decoy states the other way,
                                                                                with E91 SettingOffer and SettingAnswer)
    Piece(0), TestBits                         ->
                                               <-   ErrorCount
    ReconcileOpen                              ->
    ... Cascade, or LdpcSyndrome -> and <- FrameDone ...
    KeyTag                                     ->
                                               <-   KeyMatch
    KeyTerms, tag                              ->   its key is pending
    its key is usable                          <-   tag
    KeyConfirm, tag                            ->   its key is usable

The tags sign all that was said in the block before them, in either direction by who said it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import KeyRefusedError, LedgerError, PeerError
from qlab.qkd.accounting import BlockStatement
from qlab.qkd.bits import unpack
from qlab.qkd.block_messages import (
    BlockOpen,
    GiveUp,
    KeyConfirm,
    KeyMatch,
    KeyTerms,
    Piece,
    PieceReady,
)
from qlab.qkd.chsh_sifting import SettingAnswer, offer_settings, take_settings
from qlab.qkd.conversation import PeerGaveUpError, Talk, long_work
from qlab.qkd.estimating import complete_reference, estimate_reference
from qlab.qkd.party import SiftTally, settle, take_settlement
from qlab.qkd.reconcile_messages import ReconcileOpen
from qlab.qkd.reconciling import answer_frames
from qlab.qkd.sifting import SiftAnswer, SiftOffer, match, offer, take
from qlab.qkd.toeplitz import amplify
from qlab.qkd.verification import make_tag

if TYPE_CHECKING:
    from qlab.qkd.conversation import Conversation
    from qlab.qkd.party import Party, Receiver

__all__ = ["reference_block"]


def reference_block(party: Party, receiver: Receiver) -> Conversation[BlockStatement]:
    """Make one block; returns what may be said of it.  A refused key is a statement too, with the reason.

    Raises
    ------
    PeerError
        The peer broke the protocol; the block is given up.
    LedgerError
        The ledger does not allow it.
    """
    party.require_slots()
    party.known = party.stated = None
    party.exchange += 1
    talk = Talk(party.exchange, party.authenticator)
    block = -1
    try:
        block = yield from _open(party, talk)
        return (yield from _make_key(party, talk, receiver, block))
    except PeerGaveUpError as error:
        return BlockStatement.refused(block, error, talk, party.known, party.stated)
    except KeyRefusedError as error:
        yield from talk.say(GiveUp(str(error).encode()))
        return BlockStatement.refused(block, error, talk, party.known, party.stated)
    except (PeerError, LedgerError) as error:
        yield from talk.say(GiveUp(str(error).encode()))
        raise


def _open(party: Party, talk: Talk) -> Conversation[int]:
    ledger = party.ledger
    mine = ledger.blocks("pending")
    yield from talk.say(BlockOpen(ledger.next_block, party.policy.digest(), np.array(mine, dtype=np.int64)))
    reply = yield from talk.hear(BlockOpen)
    party.require_policy(reply.policy)
    yield from settle(party, talk, reply.pending.tolist())
    yield from take_settlement(party, talk, mine)
    return max(ledger.next_block, reply.next_block)


def _collect(party: Party, talk: Talk, receiver: Receiver) -> Conversation[SiftTally]:
    tally, policy, pieces = SiftTally.empty(), party.policy, 0
    while not tally.enough(policy):
        if pieces == policy.most_pieces:
            sizes = len(tally.sifted.key), len(tally.sifted.test)
            msg = (
                f"no key: {sizes[0]} bits of the key and {sizes[1]} of the test after {pieces} pieces, {policy.key_bits} and "
                f"{policy.test_bits} are wanted: is there light, are clocks and delays right?"
            )
            raise KeyRefusedError(msg)
        pieces += 1
        yield from long_work(receiver.prepare)
        yield from talk.say(Piece(1))
        yield from talk.hear(PieceReady)
        receiver.start()
        found = yield from long_work(receiver.finish)
        # Few of the pulses that were sent are detected: the corrector says which.
        seen = (yield from talk.hear(SiftOffer)) if policy.intensities is not None else None
        if found is None:
            break
        if seen is not None:
            matched = match(found, seen, policy.window_ps, tell_times=True)
            yield from talk.say(matched.reply)
            tally.add(found, matched.kept, matched.which)
        elif policy.chsh:
            yield from talk.say(offer_settings(found))
            told = yield from talk.hear(SettingAnswer)
            tally.add(found, take_settings(found, told), told.kept)
        else:
            yield from talk.say(offer(found))
            heard = yield from talk.hear(SiftAnswer)
            tally.add(found, take(found, heard), heard.kept)
    yield from talk.say(Piece(0))
    return tally


def _make_key(party: Party, talk: Talk, receiver: Receiver, block: int) -> Conversation[BlockStatement]:
    policy, ledger = party.policy, party.ledger
    tally = yield from _collect(party, talk, receiver)
    raw = tally.sifted.key
    known = yield from estimate_reference(talk, policy, tally.sifted, party.error_rate)
    assumptions = party.assumptions(tally, known)
    party.known, party.stated = known, assumptions
    assumptions.require()

    terms = ReconcileOpen(party.error_rate, int.from_bytes(party.entropy(7), "big"))
    yield from talk.say(terms)
    refill = ledger.refill_slots()
    corrected = yield from answer_frames(talk, raw, policy, terms, known.budget_bits - 128 * refill, party.entropy)
    tag = yield from long_work(lambda: make_tag(raw, known.tag_bits, party.entropy))
    yield from talk.say(tag)
    match = yield from talk.hear(KeyMatch)
    if not match.equal:
        msg = "verification: the keys differ after reconciliation"
        raise KeyRefusedError(msg)
    known = yield from complete_reference(talk, policy, known)

    bits = known.length(policy, talk.disclosed_bits)
    party.require_net(bits, refill)
    n_seed = len(raw) + bits - 1
    seed = unpack(_even(party.entropy(-(-n_seed // 8)), n_seed), n_seed)
    yield from talk.say(KeyTerms(bits, refill, seed))
    yield from talk.sign()
    key = yield from long_work(lambda: amplify(raw, seed, bits))
    yield from talk.verify()
    ledger.store_pending(block, key, refill)
    ledger.make_usable(block)
    yield from talk.say(KeyConfirm())
    yield from talk.sign()
    party.plan_next(corrected, known.n_key)
    return BlockStatement.of_key(block, (bits, refill), known, corrected, talk, assumptions, policy.target)


def _even(data: bytes, n_bits: int) -> bytes:
    """Return random bytes with the bits behind the first `n_bits` cleared."""
    rest = -n_bits % 8
    return data[:-1] + bytes([data[-1] >> rest << rest]) if rest else data
