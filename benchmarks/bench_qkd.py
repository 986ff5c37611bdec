"""How fast keys are distilled, and what reconciliation leaks.

    python benchmarks/bench_qkd.py [blocks]
    python benchmarks/bench_qkd.py ldpc [blocks]
    python benchmarks/bench_qkd.py amplify

Cascade: blocks of 2^17 bits, both parties one after the other in this process, every message through its bytes; f is the
parities sent over n h(q) with the errors that were really there; frames that end unequal are counted, with their exact 95 %
interval.  LDPC: the same for its one message a block, with second tries counted; 2 blocks only without numba.  Privacy
amplification: Toeplitz, to half of the key, 1e8 bits to 0.3 of it with the most memory that was used, rows checked.  Medians
and quartiles of Mbit of input a second of CPU time: all of it runs in one thread, so that this is the speed of a core that is
not shared; in brackets, by the clock.
"""

from __future__ import annotations

import resource
import sys
from importlib.util import find_spec
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.intervals import fraction_interval
from qlab.analysis.qber import binary_entropy
from qlab.errors import KeyRefusedError
from qlab.qkd.bits import SecretBits
from qlab.qkd.cascade import CascadeCorrector, CascadeReference
from qlab.qkd.cascade_engine import EngineName, cascade_engine
from qlab.qkd.cascade_schedule import Variant, schedule_for
from qlab.qkd.ldpc import LdpcCorrector, LdpcReference
from qlab.qkd.ldpc_codes import frame_for
from qlab.qkd.ldpc_engine import ldpc_engine
from qlab.qkd.messages import decode, encode
from qlab.qkd.toeplitz import toeplitz_product

if TYPE_CHECKING:
    from qlab.qkd.bits import Bits
    from qlab.qkd.messages import Message

BLOCK = 1 << 17
QBERS = (0.01, 0.015, 0.02, 0.03, 0.05, 0.08)


def reconcile(a: Bits, b: Bits, qber: float, variant: Variant, engine: EngineName) -> CascadeCorrector:
    schedule = schedule_for(a.size, qber, variant)
    alice = CascadeReference(SecretBits(a), schedule, 1, engine=cascade_engine(engine))
    bob = CascadeCorrector(SecretBits(b), schedule, 1, engine=cascade_engine(engine))
    question = encode(bob.start(), 0)
    while (reply := alice.receive(decode(question)[0])) is not None:
        following = bob.receive(decode(encode(reply, 0))[0])
        if following is None:
            break
        question = encode(following, 0)
    return bob


def cascade(blocks: int, qber: float, variant: Variant, engine: EngineName) -> None:
    rng = np.random.default_rng(round(qber * 1e4))
    speeds, wall, leak, need, unequal, rounds = [], [], 0, 0.0, 0, 0
    for n in range(blocks + 1):
        a = rng.integers(0, 2, BLOCK, dtype=np.uint8)
        errors = (rng.random(BLOCK) < qber).astype(np.uint8)
        begin, began = process_time(), perf_counter()
        bob = reconcile(a, a ^ errors, qber, variant, engine)
        seconds, on_wall = process_time() - begin, perf_counter() - began
        if n == 0:
            continue  # permutations, compilation
        speeds.append(BLOCK / seconds / 1e6)
        wall.append(BLOCK / on_wall / 1e6)
        leak += bob.disclosed_bits
        need += BLOCK * binary_entropy(float(errors.mean()))
        rounds += bob.rounds
        unequal += not np.array_equal(bob.key.reveal(), a)
    low, mid, high = quantiles(speeds, n=4)
    rate = fraction_interval(unequal, blocks, 0.95)
    print(
        f"cascade {variant:5s} {engine:5s} q {qber:4.0%}  f {leak / need:.4f}  {mid:6.2f} Mbit/s ({low:.2f} to {high:.2f}) "
        f"[{median(wall):.2f}]  messages {2 * rounds / blocks:5.0f}  unequal {unequal}/{blocks} "
        f"(95 %: {rate.low:.1e} to {rate.high:.1e})"
    )


def ldpc(blocks: int, qber: float, engine: EngineName) -> None:
    rng = np.random.default_rng(round(qber * 1e4))
    frame, loops = frame_for(BLOCK, qber), ldpc_engine(engine)
    speeds, wall, leak, need, rejected, unequal, again = [], [], 0, 0.0, 0, 0, 0
    for n in range(blocks + 1):
        a = rng.integers(0, 2, BLOCK, dtype=np.uint8)
        b = a ^ (rng.random(BLOCK) < qber).astype(np.uint8)
        begin, began = process_time(), perf_counter()
        alice = LdpcReference(SecretBits(a), frame, rng.bytes, loops)
        bob = LdpcCorrector(SecretBits(b), frame, qber, loops)
        said: Message | None = alice.start()
        tries = 0
        try:
            while said is not None:
                tries += 1
                question = bob.receive(decode(encode(said, 0))[0])
                said = alice.receive(decode(encode(question, 0))[0]) if question is not None else None
        except KeyRefusedError:
            rejected += n > 0
        seconds, on_wall = process_time() - begin, perf_counter() - began
        if n == 0:
            continue  # compilation
        speeds.append(BLOCK / seconds / 1e6)
        wall.append(BLOCK / on_wall / 1e6)
        leak += bob.disclosed_bits
        need += BLOCK * binary_entropy(float((a != b).mean()))
        again += tries > 1
        unequal += bob.done and not np.array_equal(bob.key.reveal(), a)
    low, mid, high = quantiles(speeds, n=4)
    rate = fraction_interval(rejected + unequal, blocks, 0.95)
    print(
        f"ldpc          {engine:5s} q {qber:4.1%}  f {leak / need:.4f}  {mid:6.2f} Mbit/s ({low:.2f} to {high:.2f}) "
        f"[{median(wall):.2f}]  again {again}, rejected {rejected}, unequal {unequal} of {blocks} "
        f"(95 %: {rate.low:.1e} to {rate.high:.1e})",
        flush=True,
    )


def amplification(n: int, share: float, runs: int) -> None:
    rng = np.random.default_rng(n)
    m = round(share * n)
    x, seed = rng.integers(0, 2, n, dtype=np.uint8), rng.integers(0, 2, n + m - 1, dtype=np.uint8)
    speeds, wall = [], []
    for _ in range(runs):
        begin, began = process_time(), perf_counter()
        toeplitz_product(seed, x, m)
        speeds.append(n / (process_time() - begin) / 1e6)
        wall.append(n / (perf_counter() - began) / 1e6)
    low, mid, high = quantiles(speeds, n=4) if runs > 1 else (speeds[0],) * 3
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"privacy amplification {n:.0e} to {m:.1e}  {mid:6.2f} Mbit/s ({low:.2f} to {high:.2f}) [{median(wall):.2f}]  "
        f"{memory:.2f} GB",
        flush=True,
    )


def main() -> None:
    """Print a line for each case."""
    given = [argument for argument in sys.argv[1:] if argument.isdigit()]
    blocks = int(given[0]) if given else 20
    engines: list[EngineName] = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
    wanted = {"ldpc", "cascade", "amplify"} & set(sys.argv[1:]) or {"ldpc", "cascade", "amplify"}
    # First what is small: the most memory that was used is that of the largest case so far.
    if "amplify" in wanted:
        for n, share, runs in ((10**5, 0.5, 9), (10**6, 0.5, 9), (10**7, 0.5, 5), (10**8, 0.3, 1)):
            amplification(n, share, runs)
    for engine in engines:
        for qber in QBERS if "ldpc" in wanted else ():
            ldpc(blocks if engine == "numba" else 2, qber, engine)
    for engine in engines:
        for variant in ("fast", "tight"):
            for qber in QBERS if "cascade" in wanted else ():
                cascade(blocks, qber, variant, engine)


if __name__ == "__main__":
    main()
