"""Blocks of two parties: keys that are equal or none, whatever happens to messages, processes and ledgers."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qlab.errors import LedgerError, PeerError, QlabError
from qlab.qkd.accounting import BlockStatement
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.messages import decode
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from tests.qkd.conftest import detect

if TYPE_CHECKING:
    from pathlib import Path


class KilledError(QlabError):
    """The process of this party ended here."""


def test_blocks_give_the_same_key_to_both_and_leakage_is_what_crossed_the_wire(two: Any) -> None:
    told = Counter()

    def wire(_: str, data: bytes) -> tuple[bytes]:
        message, _ = decode(data)
        told[type(message).__name__] += message.secret_bits
        return (data,)

    for seed in range(2):
        told.clear()
        of_alice, of_bob = two.block(seed, wire=wire)
        assert of_alice.key_bits == of_bob.key_bits > 0
        assert of_alice.net_bits == of_alice.key_bits - of_alice.refill_bits > 0
        assert dict(of_alice.disclosed) == dict(of_bob.disclosed) == {k: n for k, n in told.items() if n}
        assert of_alice.corrected_bits == of_bob.corrected_bits > 0
        assert of_alice.estimated == of_bob.estimated
        assert "secret bits" in str(of_alice)
        assert "questions of Cascade" in " ".join(str(of_alice).split())
    two.assert_settled()
    a, b = two.alice.ledger, two.bob.ledger
    assert a.spent_bits == b.spent_bits <= a.refilled_bits == b.refilled_bits
    for block in a.blocks("usable"):
        key = a.deliver(block)
        assert (key.reveal() == b.deliver(block).reveal()).all()
        assert abs(key.reveal().mean() - 0.5) < 5 * 0.5 / len(key) ** 0.5


def with_ldpc(two: Any, folder: Path) -> Any:
    """Return parties who reconcile with LDPC, and expect fewer errors than there are: the first block needs a second try."""
    pytest.importorskip("numba")
    return type(two)(folder, dataclasses.replace(two.policy, variant="ldpc", expected_error_rate=0.014))


@pytest.mark.parametrize("expected", [0.014, 0.025])
def test_one_message_reconciles_and_counts_as_what_crossed_the_wire(expected: float, tmp_path: Path, two: Any) -> None:
    ldpc = with_ldpc(two, tmp_path / "ldpc")
    ldpc.alice.error_rate = expected
    said = Counter()

    def wire(_: str, data: bytes) -> tuple[bytes]:
        message, _ = decode(data)
        said[type(message).__name__] += message.secret_bits
        return (data,)

    of_alice, of_bob = ldpc.block(1, wire=wire)
    assert of_alice.key_bits == of_bob.key_bits > 0, of_alice.reason
    assert dict(of_alice.disclosed) == dict(of_bob.disclosed) == {k: n for k, n in said.items() if n}
    assert of_alice.disclosed["LdpcSyndrome"] > 0
    assert (of_alice.disclosed.get("FrameParities", 0) > 0) == (expected == 0.014)
    assert of_alice.corrected_bits == of_bob.corrected_bits > 0
    assert not any(kind.startswith("Cascade") for kind in said)
    assert of_alice.messages["FrameDone"] == 1
    assert "syndromes" in str(of_alice)  # the assumption names what was done
    assert "Cascade" not in str(of_alice)
    for block in ldpc.alice.ledger.blocks("usable"):
        assert (ldpc.alice.ledger.deliver(block).reveal() == ldpc.bob.ledger.deliver(block).reveal()).all()


def test_frames_of_one_block_are_tried_again_each_for_itself(tmp_path: Path, two: Any) -> None:
    ldpc = with_ldpc(two, tmp_path / "ldpc")
    ldpc.alice.policy = ldpc.bob.policy = dataclasses.replace(ldpc.policy, key_bits=25_000, frame_bits=13_000)
    ours, theirs = detect(1, 0.02, pieces=30)
    made, _ = converse(reference_block(ldpc.alice, ours), corrector_block(ldpc.bob, theirs))
    assert isinstance(made, BlockStatement)
    assert made.key_bits > 0
    assert made.messages["LdpcSyndrome"] == made.messages["FrameDone"] == 2
    assert made.messages["LdpcMore"] == made.messages["FrameParities"] > 1
    ldpc.assert_settled()


def test_a_second_try_does_not_tell_more_than_a_key_can_pay_for(tmp_path: Path, two: Any) -> None:
    ldpc = with_ldpc(two, tmp_path / "ldpc")
    told = []

    def wire(_: str, data: bytes) -> tuple[bytes]:
        told.append(decode(data)[0].secret_bits)
        return (data,)

    # As many test bits differ as may, and more key bits than that: an honest pair, with a bad key basis.
    ldpc.policy = ldpc.alice.policy = ldpc.bob.policy = dataclasses.replace(ldpc.policy, tolerance=0.08)
    for answer in ldpc.block(6, error_rate=0.07, wire=wire):
        assert answer.key_bits == 0
        assert "would disclose more than" in answer.reason
    known = ldpc.block(7, error_rate=0.005)[0].estimated
    assert sum(told) <= known.budget_bits
    ldpc.assert_settled()


def test_too_many_errors_give_no_key_and_the_next_block_works(two: Any) -> None:
    for answer in two.block(3, error_rate=0.25):
        assert answer.key_bits == 0
        assert "look for an eavesdropper" in answer.reason
    assert two.block(4)[0].key_bits > 0
    two.assert_settled()


def test_assumptions_that_do_not_hold_refuse_the_key(tmp_path: Path, two: Any) -> None:
    strict = type(two)(tmp_path / "strict", dataclasses.replace(two.policy, accepted=frozenset()))
    for answer in strict.block(1):
        assert answer.key_bits == 0
        assert "counted-leakage" in answer.reason
    assert not strict.alice.ledger.blocks("usable")


def test_other_rules_are_refused(two: Any) -> None:
    two.bob.policy = dataclasses.replace(two.policy, window_ps=7)
    of_alice, of_bob = two.block(1)
    assert isinstance(of_alice, PeerError)
    assert "other rules" in str(of_alice)
    assert isinstance(of_bob, QlabError)


def test_photons_that_end_give_a_short_block_or_none(two: Any) -> None:
    two.alice.policy = two.bob.policy = dataclasses.replace(two.policy, key_bits=10**6)
    assert two.block(1)[0].key_bits > 0  # four pieces, then the recording ends


def test_without_authentication_key_no_block_begins(tmp_path: Path, two: Any) -> None:
    poor = type(two)(tmp_path / "poor", slots=10)
    with pytest.raises(LedgerError, match="preshared"):
        raise poor.block(1)[0]


def _kinds(two: Any) -> list[tuple[str, str]]:
    """Return who says which kinds of messages in a block, in the order of the first one of each."""
    seen: dict[tuple[str, str], None] = {}

    def wire(role: str, data: bytes) -> tuple[bytes]:
        seen.setdefault((role, type(decode(data)[0]).__name__), None)
        return (data,)

    assert two.block(0, wire=wire)[0].key_bits > 0
    return list(seen)


STAGES = (
    ("reference", "BlockOpen"),
    ("corrector", "BlockOpen"),
    ("reference", "Piece"),
    ("corrector", "PieceReady"),
    ("reference", "SiftOffer"),
    ("corrector", "SiftAnswer"),
    ("reference", "TestBits"),
    ("corrector", "ErrorCount"),
    ("reference", "ReconcileOpen"),
    ("reference", "FrameParities"),
    ("corrector", "FrameDone"),
    ("reference", "KeyTag"),
    ("corrector", "KeyMatch"),
    ("reference", "KeyTerms"),
    ("reference", "AuthenticationTag"),
    ("corrector", "AuthenticationTag"),
    ("reference", "KeyConfirm"),
)


OF_CASCADE = tuple(("corrector", kind) for kind in ("CascadeOpen", "CascadeSearch", "CascadeTurn"))
OF_LDPC = ("reference", "LdpcSyndrome"), ("corrector", "LdpcMore")
RECONCILERS = pytest.mark.parametrize("reconciler", ["fast", "ldpc"])


@pytest.fixture
def pair(request: pytest.FixtureRequest, two: Any, tmp_path: Path) -> Any:
    """Parties with the reconciler of a test's parameter of that name."""
    return with_ldpc(two, tmp_path / "ldpc") if request.getfixturevalue("reconciler") == "ldpc" else two


@RECONCILERS
def test_the_stages_of_the_next_tests_are_all_there_are(reconciler: str, pair: Any) -> None:
    assert set(_kinds(pair)) == {*STAGES, *(OF_LDPC if reconciler == "ldpc" else OF_CASCADE)}


class Meddler:
    """Does something to the first message of a kind, or to the last one."""

    def __init__(self, role: str, kind: str, deed: str, *, last: bool = False, killed: str = "") -> None:
        self._of, self._deed, self._killed = (role, kind), deed, killed
        self._at = 2 if last else 1
        self._seen, self._kept = 0, b""
        self.done = False

    def __call__(self, role: str, data: bytes) -> tuple[bytes, ...]:
        if self._kept and role == self._of[0]:
            kept, self._kept = self._kept, b""
            return data, kept
        if (role, type(decode(data)[0]).__name__) != self._of:
            return (data,)
        self._seen += 1
        if self._seen != self._at or self.done:
            return (data,)
        self.done = True
        if self._deed == "kill":
            raise KilledError(role)
        if self._deed == "drop":
            return ()
        if self._deed == "repeat":
            return data, data
        if self._deed == "swap":
            self._kept = data
            return ()
        # What an attacker would change: some bit of what is said.
        damaged = bytearray(data)
        damaged[-1] ^= 1 << 7 if len(data) > 11 else 1
        return (bytes(damaged),)


@RECONCILERS
@pytest.mark.parametrize("deed", ["drop", "corrupt", "repeat", "swap", "kill"])
def test_whatever_happens_to_a_message_there_is_no_key_on_one_side_and_the_next_block_works(
    deed: str, reconciler: str, pair: Any
) -> None:
    two, usable = pair, 0
    # What both reconcilers share is tried with Cascade; each has its own messages, and the keys that come behind them.
    stages = (*OF_LDPC, *STAGES[9:]) if reconciler == "ldpc" else (*OF_CASCADE, *STAGES)
    for seed, (role, kind) in enumerate(stages):
        for last in (False, True) if kind == "AuthenticationTag" and role == "reference" else (False,):
            meddler = Meddler(role, kind, deed, last=last)
            two.alice.error_rate = two.policy.expected_error_rate
            results = two.block(seed, wire=meddler)
            assert meddler.done, (role, kind)
            two.assert_no_one_sided_key()
            for result in results:
                assert isinstance(result, BlockStatement | QlabError)
            if deed == "kill":
                two.restart(role)
                two.assert_no_one_sided_key()
            after = two.block(seed + 100)
            assert after[0].key_bits == after[1].key_bits > 0, (role, kind, deed, after)
            two.assert_settled()
            usable += 1
    assert len(two.alice.ledger.blocks("usable")) >= usable
    assert two.alice.ledger.spent_bits <= two.alice.ledger.refilled_bits


@RECONCILERS
@pytest.mark.parametrize("role", ["reference", "corrector"])
def test_a_party_killed_at_any_write_of_its_ledger_goes_on(
    role: str, reconciler: str, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, party = pair, "alice" if role == "reference" else "bob"
    for write in range(1, 12):
        ledger = getattr(two, party).ledger
        append, so_far = ledger._append, []

        def dying(record: Any, append: Any = append, so_far: list[Any] = so_far, write: int = write) -> None:
            so_far.append(record)
            if len(so_far) == write:
                raise KilledError(role)
            append(record)

        monkeypatch.setattr(ledger, "_append", dying)
        result = two.block(write)[0 if party == "alice" else 1]
        two.restart(role)
        if not isinstance(result, KilledError):
            assert write > 4  # so many records has a block
            break
        two.assert_no_one_sided_key()
        after = two.block(write + 100)
        assert after[0].key_bits == after[1].key_bits > 0
        two.assert_settled()
    else:
        pytest.fail("the block has more records than were tried")


def test_secrets_are_not_in_what_the_parties_say_or_show(two: Any) -> None:
    shown = []

    def wire(_: str, data: bytes) -> tuple[bytes]:
        shown.append(data)
        return (data,)

    results = two.block(5, wire=wire)
    texts = [*shown, *(str(r).encode() + repr(r).encode() for r in results), repr((two.alice, two.bob)).encode()]
    texts += [(two.folder / role / "ledger.log").read_bytes() for role in ("reference", "corrector")]
    (block,) = two.alice.ledger.blocks("usable")
    key = two.key_bytes("reference", block)
    assert key is not None
    pool = (two.folder / "reference" / "pool.bin").read_bytes()
    for secret in (key, pool):
        for at in range(0, len(secret) - 8, 8):
            piece = secret[at : at + 8]
            for form in (piece, piece.hex().encode(), str(np.frombuffer(piece, np.uint8).tolist()).encode()):
                assert not any(form in text for text in texts)
    assert os.stat(two.folder / "reference" / "pool.bin").st_mode & 0o077 == 0  # noqa: PTH116 - mode only
