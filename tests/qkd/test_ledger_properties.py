"""Whatever is lost, refused or interrupted: no slot is used twice, and keys pay for all tags or are not made."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qlab.errors import KeyRefusedError, LedgerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.ledger import KeyLedger
from qlab.qkd.party import LEAST_SLOTS, Party
from qlab.qkd.policy import QkdPolicy

SLOTS = 24
PSK = np.random.default_rng(8).bytes(16 * (SLOTS + 1) + 32)


class Both:
    """Two ledgers, and every slot that was ever handed out to make a tag."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledgers = {side: KeyLedger(folder / side, PSK) for side in ("reference", "corrector")}
        self.made: set[bytes] = set()

    @property
    def ended(self) -> bool:
        """Whether either has too little authentication key for another block."""
        return any(
            one.free_slots(role) < LEAST_SLOTS for one in self.ledgers.values() for role in ("reference", "corrector")
        )

    def require_end(self) -> None:
        """Nothing but a lack of authentication key may end blocks."""
        assert self.ended

    def reopen(self, side: str) -> None:
        self.ledgers[side] = KeyLedger(self.folder / side)

    def tag(self, role: str, *, arrives: bool) -> None:
        """Let a role make a tag; its peer spends the same slot if it hears it."""
        slot, secret = self.ledgers[role].spend(role)  # type: ignore[arg-type]
        assert secret not in self.made  # a slot that signs twice gives the hash away
        self.made.add(secret)
        if arrives:
            peer = "corrector" if role == "reference" else "reference"
            assert self.ledgers[peer].spend_slot(role, slot) == secret  # type: ignore[arg-type]

    def party(self, side: str) -> Party:
        return Party(side, QkdPolicy(), self.ledgers[side], os.urandom)  # type: ignore[arg-type]

    def block(self, bits: int, lost_at: int) -> bool:
        """Do with the ledgers what a block of `bits` does, until a message is lost; return whether both have a key."""
        a, b = self.ledgers["reference"], self.ledgers["corrector"]
        for side in self.ledgers:
            self.party(side).require_slots()
        self.settle()
        number = max(a.next_block, b.next_block)
        refill = a.refill_slots()
        for side in self.ledgers:
            self.party(side).require_net(bits, refill)
        key = SecretBits(np.random.default_rng(number).integers(0, 2, bits, dtype=np.uint8))
        self.tag("reference", arrives=lost_at != 0)
        if lost_at == 0:
            return False
        b.store_pending(number, key, refill)
        self.tag("corrector", arrives=lost_at != 1)
        if lost_at == 1:
            return False
        a.store_pending(number, key, refill)
        a.make_usable(number)
        assert a.spent_bits <= a.refilled_bits
        self.tag("reference", arrives=lost_at != 2)
        if lost_at != 2:
            b.make_usable(number)
        return True

    def settle(self) -> None:
        a, b = self.ledgers["reference"], self.ledgers["corrector"]
        assert not a.blocks("pending")  # its keys are usable at once
        pending = b.blocks("pending")
        if pending:
            self.tag("reference", arrives=True)
        for block in pending:
            if a.state(block) == "usable":
                b.make_usable(block)
            else:
                b.discard(block)


STEPS = st.one_of(
    st.tuples(st.just("block"), st.integers(100, 4000), st.integers(0, 3)),
    st.tuples(st.just("reopen"), st.sampled_from(["reference", "corrector"]), st.just(0)),
    st.tuples(st.just("lost tag"), st.sampled_from(["reference", "corrector"]), st.booleans()),
)


@given(st.lists(STEPS, min_size=1, max_size=25))
def test_keys_pay_for_every_tag_or_there_are_none(steps: list[tuple[str, int | str, int]]) -> None:
    folder = Path(tempfile.mkdtemp())
    with patch.object(os, "fsync", lambda _: None):
        try:
            both = Both(folder)
            a, b = both.ledgers["reference"], both.ledgers["corrector"]
            for do, what, more in steps:
                try:
                    if do == "block" and isinstance(what, int):
                        if both.block(what, more):
                            a, b = both.ledgers["reference"], both.ledgers["corrector"]
                            assert a.spent_bits <= a.refilled_bits
                    elif do == "reopen":
                        before = both.ledgers[str(what)]
                        known = before.spent_bits, before.refilled_bits, before.free_slots("reference")
                        both.reopen(str(what))
                        after = both.ledgers[str(what)]
                        assert known == (after.spent_bits, after.refilled_bits, after.free_slots("reference"))
                    else:
                        both.tag(str(what), arrives=bool(more))
                except KeyRefusedError:
                    pass  # a key that does not pay for its authentication
                except LedgerError:
                    both.require_end()
                    return
            if both.ended:
                return
            both.settle()
            a, b = both.ledgers["reference"], both.ledgers["corrector"]
            assert a.blocks("usable") == b.blocks("usable")
            assert a.refilled_bits == b.refilled_bits
            for block in a.blocks("usable"):
                assert (a.deliver(block).reveal() == b.deliver(block).reveal()).all()
        finally:
            shutil.rmtree(folder)
