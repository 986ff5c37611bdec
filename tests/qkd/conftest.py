"""Two parties with simulated detections, for tests of whole blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qlab.qkd.assumptions import DeviceFacts
from qlab.qkd.bits import SecretBits
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.finite_key import SecurityTarget
from qlab.qkd.ledger import KeyLedger
from qlab.qkd.party import Party
from qlab.qkd.policy import QkdPolicy
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sifting import Detections

if TYPE_CHECKING:
    from pathlib import Path

FACTS = DeviceFacts(0.0, (1000,), simultaneous_dead_time=True, blinding_watched=True)
ACCEPTED = frozenset({"basis-choice", "counted-leakage", "variable-length"})
# Loose epsilons make a key out of few bits, so that hundreds of blocks are quick; nothing else depends on them.
QUICK = QkdPolicy(
    key_bits=3600,
    test_bits=300,
    tolerance=0.04,
    expected_error_rate=0.02,
    accepted=ACCEPTED,
    target=SecurityTarget(1e-2, 1e-6),
)


class Pieces:
    """A receiver that has its detections already."""

    def __init__(self, pieces: list[Detections]) -> None:
        self._pieces = iter(pieces)

    def prepare(self) -> None:
        """Nothing to set."""

    def start(self) -> None:
        """Begin."""

    def finish(self) -> Detections | None:
        """Return the next piece."""
        return next(self._pieces, None)

    def locate(self, found: Detections, theirs_ps: Any) -> Detections:
        """Both have one clock."""
        return found

    def follow(self, lag_ps: float) -> None:
        """These clocks do not drift."""


def detect(seed: int, error_rate: float, pieces: int = 4, n: int = 2200) -> tuple[Pieces, Pieces]:
    """Return both parties' receivers: the same times up to 100 ps, bases of their own, bits that differ now and then."""
    rng = np.random.Generator(np.random.PCG64(seed))
    sides: tuple[list[Detections], list[Detections]] = ([], [])
    for _ in range(pieces):
        t = np.cumsum(rng.integers(3000, 50_000, n)).astype(np.int64)
        bits = rng.integers(0, 2, n, dtype=np.uint8)
        for side, (seen, shift) in zip(sides, ((bits, 0), (bits ^ (rng.random(n) < error_rate), 100)), strict=True):
            basis = (rng.random(n) < 0.3).astype(np.uint8)
            side.append(Detections(t + shift, basis, SecretBits(seen.astype(np.uint8)), 0, 0))
    return Pieces(sides[0]), Pieces(sides[1])


class Two:
    """Both parties, and what a test looks at afterwards."""

    def __init__(self, folder: Path, policy: QkdPolicy = QUICK, slots: int = 100, facts: DeviceFacts = FACTS) -> None:
        self.folder, self.policy, self.facts = folder, policy, facts
        psk = np.random.Generator(np.random.PCG64(99)).bytes(16 * (slots + 1) + 32)
        self.alice = self.party("reference", psk)
        self.bob = self.party("corrector", psk)

    def party(self, role: Any, psk: bytes | None = None) -> Party:
        seed = 1 if role == "reference" else 2
        entropy = np.random.Generator(np.random.PCG64(seed)).bytes
        return Party(role, self.policy, KeyLedger(self.folder / role, psk), entropy, self.facts)

    def restart(self, role: str) -> None:
        """Begin anew with what is on disk."""
        if role == "reference":
            self.alice = self.party("reference")
        else:
            self.bob = self.party("corrector")

    def block(self, seed: int = 0, error_rate: float = 0.02, wire: Any = lambda _, data: (data,)) -> tuple[Any, Any]:
        ours, theirs = detect(seed, error_rate)
        return converse(reference_block(self.alice, ours), corrector_block(self.bob, theirs), wire)

    def key_bytes(self, role: str, block: int) -> bytes | None:
        path = self.folder / role / "keys" / f"{block}.key"
        return path.read_bytes() if path.exists() else None

    def assert_no_one_sided_key(self) -> None:
        """A key that either may use is at the other as well, the same, and can become usable there."""
        ledgers = {"reference": self.alice.ledger, "corrector": self.bob.ledger}
        for here, there in (("reference", "corrector"), ("corrector", "reference")):
            for block in ledgers[here].blocks("usable"):
                assert ledgers[there].state(block) in ("pending", "usable", "delivered")
                assert self.key_bytes(here, block) == self.key_bytes(there, block)

    def assert_settled(self) -> None:
        """Nothing is pending, and both have the same keys."""
        a, b = self.alice.ledger, self.bob.ledger
        assert a.blocks("pending") == b.blocks("pending") == []
        assert a.blocks("usable") == b.blocks("usable")
        self.assert_no_one_sided_key()


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what survives a power failure is not what these tests look at
    return Two(tmp_path)
