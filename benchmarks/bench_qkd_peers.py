"""What other programs on the package index do of the same stages, beside ours, in one run.

    make bench-qkd                                   # puts the peers into a folder of their own
    python benchmarks/bench_qkd_peers.py [error rate]

Peers are only called, never copied, each where it is installed: `ldpc` 2.4 (belief propagation, product-sum, on the parity
matrix of our own frame, without second tries), `qkdpy` 0.8 (its Cascade, which returns no leakage, and its Toeplitz hash, in
lists).  Lengths are what each does in some seconds; CPU time of one process; residual errors are counted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from qlab.analysis.qber import binary_entropy
from qlab.qkd.bits import SecretBits
from qlab.qkd.cascade import CascadeCorrector, CascadeReference
from qlab.qkd.cascade_schedule import schedule_for
from qlab.qkd.ldpc import LdpcCorrector, LdpcReference
from qlab.qkd.ldpc_codes import frame_for
from qlab.qkd.ldpc_engine import ldpc_engine
from qlab.qkd.toeplitz import toeplitz_product

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.bits import Bits
    from qlab.qkd.ldpc_codes import QuasiCyclicCode

FRAME, SHORT, HASH = 1 << 15, 10_000, 3000


def keys(n: int, qber: float) -> tuple[Bits, Bits]:
    rng = np.random.default_rng(round(1e4 * qber) + n)
    a = rng.integers(0, 2, n, dtype=np.uint8)
    return a, a ^ (rng.random(n) < qber).astype(np.uint8)


def show(name: str, n: int, work: Callable[[], str]) -> None:
    """Print how fast a piece of work was, after one run that is not counted (compilation)."""
    work()
    begin = process_time()
    said = work()
    print(f"  {name:24s} {n:8d} bits  {n / (process_time() - begin) / 1e6:9.4f} Mbit/s  {said}", flush=True)


def peer(name: str) -> Any | None:
    try:
        return import_module(name)
    except ImportError as error:
        print(f"  {name}: not here ({error})")
        return None


def parity_matrix(code: QuasiCyclicCode) -> csr_matrix:
    row_of = np.repeat(np.arange(code.rows), np.diff(code.first))
    at = np.arange(code.z)
    rows = (row_of[:, np.newaxis] * code.z + at).reshape(-1)
    columns = (code.column[:, np.newaxis] * code.z + (at + code.shift[:, np.newaxis]) % code.z).reshape(-1)
    return csr_matrix((np.ones(rows.size, dtype=np.uint8), (rows, columns)), shape=(code.n_checks, code.n_bits))


def one_message(qber: float) -> None:
    print(f"LDPC, one message, {qber:.1%}")
    a, b = keys(FRAME, qber)
    frame, entropy = frame_for(FRAME, qber), np.random.default_rng(1).bytes
    f = frame.leaked_bits / (FRAME * binary_entropy(qber))

    def ours() -> str:
        alice, bob = LdpcReference(SecretBits(a), frame, entropy), LdpcCorrector(SecretBits(b), frame, qber)
        bob.receive(alice.start())
        return f"f {f:.3f}, {np.count_nonzero(bob.key.reveal() != a)} bits wrong"

    show("qlab", FRAME, ours)
    package = peer("ldpc")
    if package is None:
        return
    prior = np.full(frame.code.n_bits, 0.5)
    prior[frame.key], prior[frame.shortened] = qber, 1e-9
    decoder = package.BpDecoder(
        parity_matrix(frame.code), error_channel=prior, max_iter=60, bp_method="product_sum", schedule="parallel"
    )

    def theirs() -> str:
        word = np.zeros(frame.code.n_bits, dtype=np.uint8)
        word[frame.key] = a ^ b
        word[frame.punctured] = np.random.default_rng(2).integers(0, 2, frame.punctured.size)
        found = decoder.decode(ldpc_engine().syndrome(frame.code, word))
        return f"f {f:.3f}, {np.count_nonzero(found[frame.key] != (a ^ b))} bits wrong"

    show("ldpc, product-sum", FRAME, theirs)


def cascade(qber: float) -> None:
    print(f"Cascade, {qber:.1%}")
    a, b = keys(SHORT, qber)

    def ours() -> str:
        schedule = schedule_for(SHORT, qber, "fast")
        alice, bob = CascadeReference(SecretBits(a), schedule, 1), CascadeCorrector(SecretBits(b), schedule, 1)
        said = alice.receive(bob.start())
        while said is not None:
            question = bob.receive(said)
            said = alice.receive(question) if question is not None else None
        f = bob.disclosed_bits / (SHORT * binary_entropy(float((a != b).mean())))
        return f"f {f:.3f}, {np.count_nonzero(bob.key.reveal() != a)} bits wrong"

    show("qlab", SHORT, ours)
    package = peer("qkdpy")
    if package is None:
        return

    def theirs() -> str:
        one, other = package.ErrorCorrection.cascade(a.tolist(), b.tolist())
        return f"leak not told, {np.count_nonzero(np.array(one) != np.array(other))} bits wrong"

    show("qkdpy", SHORT, theirs)


def amplification() -> None:
    print("Toeplitz hash to half")
    x = keys(HASH, 0.0)[0]
    seed = keys(HASH + HASH // 2 - 1, 0.0)[0]
    show("qlab", HASH, lambda: f"{toeplitz_product(seed, x, HASH // 2).size} bits")
    package = peer("qkdpy")
    if package is not None:
        hashed = package.PrivacyAmplification.toeplitz_hashing
        show("qkdpy", HASH, lambda: f"{len(hashed(x.tolist(), HASH // 2))} bits")


def main() -> None:
    """Print a line for each program and stage."""
    qber = float(sys.argv[1]) if len(sys.argv) > 1 else 0.03
    one_message(qber)
    cascade(qber)
    amplification()


if __name__ == "__main__":
    main()
