"""How long the whole chain takes: from detections of two parties to a key in both ledgers, every message through its bytes.

    python benchmarks/bench_qkd_chain.py [sifted bits] [error rate] [rate of sifted bits in Hz]

Both parties take turns in this process; detections are drawn beforehand, in pieces.  The photons of so many sifted bits would
have taken longer or not, at the given rate.  Also printed: the most memory that was used.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from qlab.qkd.accounting import BlockStatement
from qlab.qkd.assumptions import DeviceFacts
from qlab.qkd.bits import SecretBits
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.ledger import KeyLedger
from qlab.qkd.party import Party
from qlab.qkd.policy import QkdPolicy
from qlab.qkd.reference_party import reference_block
from qlab.qkd.rehearsal import converse
from qlab.qkd.sifting import Detections

PIECE = 1_000_000
TEST_SHARE = 0.1


class Drawn:
    """A receiver whose detections are drawn piece by piece: pairs of both parties, in bases that agree."""

    def __init__(self, pieces: int, error_rate: float, *, bob: bool) -> None:
        self._pieces, self._error_rate, self._bob, self._at = pieces, error_rate, bob, 0
        self.seconds = 0.0

    def prepare(self) -> None:
        """Nothing to set."""

    def start(self) -> None:
        """Begin."""

    def finish(self) -> Detections | None:
        """Return the next piece; the time that drawing takes is not the chain's."""
        if self._at == self._pieces:
            return None
        begin = perf_counter()
        rng = np.random.Generator(np.random.PCG64(self._at))
        t = np.cumsum(rng.integers(20_000, 100_000, PIECE))
        basis = (rng.random(PIECE) < TEST_SHARE).astype(np.uint8)
        bits = rng.integers(0, 2, PIECE, dtype=np.uint8)
        if self._bob:
            t = t + 100
            bits = bits ^ (rng.random(PIECE) < self._error_rate).astype(np.uint8)
        self._at += 1
        found = Detections(t, basis, SecretBits(bits), 0, 0)
        self.seconds += perf_counter() - begin
        return found

    def locate(self, found: Detections, theirs_ps: object) -> Detections:
        """Both have one clock."""
        del theirs_ps
        return found

    def follow(self, lag_ps: float) -> None:
        """Take note of no drift."""


def main() -> None:
    """Make one block and print what it took."""
    arguments = [float(text) for text in sys.argv[1:]]
    bits, error_rate, rate_hz = (*arguments, *(1e7, 0.02, 1e5)[len(arguments) :])
    pieces = round(bits / PIECE)
    policy = QkdPolicy(
        key_bits=round(bits),
        tolerance=error_rate + 0.005,
        expected_error_rate=error_rate,
        accepted=frozenset({"basis-choice", "counted-leakage", "variable-length"}),
    )
    facts = DeviceFacts(0.0, (1,), simultaneous_dead_time=True, blinding_watched=True)
    secret = os.urandom(16 * 41 + 32)
    with tempfile.TemporaryDirectory() as folder:
        ledgers = [KeyLedger(Path(folder) / side, secret) for side in ("alice", "bob")]
        alice = Party("reference", policy, ledgers[0], os.urandom, facts)
        bob = Party("corrector", policy, ledgers[1], os.urandom, facts)
        receivers = Drawn(pieces, error_rate, bob=False), Drawn(pieces, error_rate, bob=True)
        begin, used = perf_counter(), process_time()
        made, _ = converse(reference_block(alice, receivers[0]), corrector_block(bob, receivers[1]))
        seconds = perf_counter() - begin - receivers[0].seconds - receivers[1].seconds
        used = process_time() - used - receivers[0].seconds - receivers[1].seconds
        if not isinstance(made, BlockStatement) or made.estimated is None or not made.key_bits:
            print(made)
            return
        same = (ledgers[0].deliver(0).reveal() == ledgers[1].deliver(0).reveal()).all()
    sifted = made.estimated.n_key + made.estimated.n_test
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{sifted} sifted bits, {made.key_bits} secret, f {made.efficiency:.3f}, {sum(made.messages.values())} messages: "
        f"{seconds:.1f} s, {used:.1f} s of them computed ({sifted / seconds / 1e6:.2f} Mbit/s); at {rate_hz:.0f} Hz the "
        f"photons took {sifted / rate_hz:.0f} s; {memory:.2f} GB; keys equal: {same}"
    )


if __name__ == "__main__":
    main()
