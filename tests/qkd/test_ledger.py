"""Authentication and the ledger: nothing is spent twice, nothing is used before both have it, whatever a crash leaves."""

import shutil

import numpy as np
import pytest

from qlab.errors import LedgerError, PeerError
from qlab.qkd.authentication import Authenticator, forgery_probability
from qlab.qkd.bits import SecretBits
from qlab.qkd.field import PRIME, element, polynomial_hash
from qlab.qkd.ledger import KeyLedger
from qlab.qkd.messages import Message, decode, encode

PSK = np.random.default_rng(9).bytes(16 * 21 + 32)


def key(seed, n=1000):
    return SecretBits(np.random.default_rng(seed).integers(0, 2, n, dtype=np.uint8))


@pytest.fixture
def both(tmp_path):
    return KeyLedger(tmp_path / "a", PSK), KeyLedger(tmp_path / "b", PSK)


def test_a_tag_is_the_hash_plus_the_one_time_key(both):
    tag = Authenticator(both[0], "reference").make(b"hello")
    expected = (polynomial_hash(b"Rhello", 48, element(PSK[:16])) + element(PSK[16:32])) % PRIME
    assert tag.slot == 0
    assert int.from_bytes(tag.tag, "big") == expected
    assert forgery_probability(1 << 20) < 2.0**-110


def test_both_sides_understand_each_other_and_nobody_else(both):
    alice, bob = Authenticator(both[0], "reference"), Authenticator(both[1], "corrector")
    for n in range(3):
        bob.check(b"data", decode(encode(alice.make(b"data"), n))[0])
        alice.check(b"reply", bob.make(b"reply"))
    with pytest.raises(PeerError, match="tag with slot 6"):
        bob.check(b"other", alice.make(b"data"))
    tag = bob.make(b"data")
    with pytest.raises(LedgerError, match="spent or does not exist"):
        bob.check(b"data", tag)  # its own tag sent back
    alice.check(b"data", tag)
    with pytest.raises(LedgerError, match="slot 7"):
        alice.check(b"data", tag)  # sent twice
    with pytest.raises(PeerError, match="tag was expected"):
        alice.check(b"data", Message())


def test_slots_run_out_and_blocks_pay_for_new_ones(both):
    ledger = both[0]
    assert ledger.free_slots("reference") == ledger.free_slots("corrector") == 10
    seen = {ledger.spend("reference") for _ in range(10)}
    assert len(seen) == 10
    with pytest.raises(LedgerError, match="0 are left"):
        ledger.spend("reference")
    ledger.store_pending(0, key(1), refill_slots=2)
    ledger.make_usable(0)
    assert ledger.free_slots("reference") == 1
    assert (ledger.spent_bits, ledger.refilled_bits) == (1280, 256)
    assert (ledger.deliver(0).reveal() == key(1).reveal()[256:]).all()
    with pytest.raises(LedgerError, match="do not pay"):
        ledger.store_pending(1, key(1, 200), refill_slots=2)


def test_keys_go_their_way_once(both):
    ledger = both[0]
    ledger.store_pending(3, key(1))
    assert (ledger.state(3), ledger.next_block) == ("pending", 4)
    with pytest.raises(LedgerError, match="it is pending"):
        ledger.deliver(3)
    ledger.make_usable(3)
    with pytest.raises(LedgerError, match="cannot become discarded"):
        ledger.discard(3)
    ledger.deliver(3)
    for again in (lambda: ledger.deliver(3), lambda: ledger.deliver(9), lambda: ledger.store_pending(3, key(2))):
        with pytest.raises(LedgerError, match="cannot become"):
            again()


def test_a_ledger_cut_anywhere_opens_again_and_spends_nothing_twice(tmp_path):
    whole = KeyLedger(tmp_path / "whole", PSK)
    used = {}
    for block in range(3):
        slot, secret = whole.spend("reference")
        used[slot] = secret
        whole.store_pending(block, key(block), refill_slots=2)
        if block < 2:
            whole.make_usable(block)
    log = (tmp_path / "whole" / "ledger.log").read_bytes()
    first = log.index(b"\n") + 1
    for cut in range(first, len(log) + 1, 7):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "whole", copy)
        (copy / "ledger.log").write_bytes(log[:cut])
        ledger = KeyLedger(copy)
        recorded = log[:cut].count(b'"spend"') - (log[:cut].rfind(b'"spend"') > log[:cut].rfind(b"\n"))
        slot, _ = ledger.spend("reference")
        assert slot == 2 * recorded
        for block in ledger.blocks("pending"):
            ledger.make_usable(block)  # the pool is cut back to what the log knows
        for block in ledger.blocks("usable"):
            assert (ledger.deliver(block).reveal() == key(block).reveal()[256:]).all()
        shutil.rmtree(copy)


def test_a_damaged_ledger_is_not_used(tmp_path):
    ledger = KeyLedger(tmp_path / "x", PSK)
    ledger.spend("reference")
    ledger.spend("reference")
    log = tmp_path / "x" / "ledger.log"
    data = bytearray(log.read_bytes())
    data[data.index(b"spend")] ^= 1
    log.write_bytes(data)
    with pytest.raises(LedgerError, match="line 2: damaged"):
        KeyLedger(tmp_path / "x")
    with pytest.raises(LedgerError, match="no key ledger"):
        KeyLedger(tmp_path / "y")
    with pytest.raises(LedgerError, match="already"):
        KeyLedger(tmp_path / "x", PSK)
    with pytest.raises(LedgerError, match="multiple of 16"):
        KeyLedger(tmp_path / "z", b"short")


def test_secrets_are_for_the_owner_only_and_not_in_the_log(both, tmp_path):
    both[0].store_pending(0, key(1))
    both[0].spend("reference")
    for path in (tmp_path / "a" / "pool.bin", tmp_path / "a" / "keys" / "0.key", tmp_path / "a" / "ledger.log"):
        assert path.stat().st_mode & 0o077 == 0
    log = (tmp_path / "a" / "ledger.log").read_bytes()
    assert PSK[:8].hex().encode() not in log
    assert "1000" not in repr(both[0])
