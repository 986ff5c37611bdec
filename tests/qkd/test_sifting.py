"""Sifting of two parties, and the assumptions that refuse a key."""

import numpy as np
import pytest

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.assumptions import DeviceFacts, bbm92_assumptions
from qlab.qkd.messages import decode, encode
from qlab.qkd.sifting import Outcome, SiftAnswer, SiftOffer, answer, detections, offer, take
from qlab.tags.stream import TagBlock

OUTCOMES = {0: Outcome("key", 0), 1: Outcome("key", 1), 2: Outcome("test", 0), 3: Outcome("test", 1)}


def entropy(seed):
    return np.random.Generator(np.random.PCG64(seed)).bytes


def clicks(t, ch):
    return TagBlock.from_unsorted(np.array(t, dtype=np.int64), np.array(ch, dtype=np.uint8), 0, 1 << 50)


def test_clicks_become_detections():
    block = clicks([100, 5000, 5010, 9000, 9020, 20_000, 30_000], [1, 0, 1, 0, 2, 3, 7])
    found = detections(block, OUTCOMES, 50, entropy(1))
    assert found.t_ps.tolist() == [100, 5000, 20_000]  # 9000 clicked in both bases, channel 7 means nothing
    assert found.settings.tolist() == [0, 0, 1]
    assert (found.double_clicks, found.cross_clicks) == (1, 1)
    assert found.bits.reveal()[[0, 2]].tolist() == [1, 1]


def test_double_clicks_get_even_random_bits():
    t = np.arange(4000) * 1000
    block = clicks(np.concatenate([t, t + 3]), [0] * 4000 + [1] * 4000)
    found = detections(block, OUTCOMES, 10, entropy(2))
    assert found.double_clicks == 4000
    assert abs(found.bits.reveal().mean() - 0.5) < 5 * 0.5 / 4000**0.5


def test_both_keep_the_same_pairs_of_the_same_basis():
    rng = np.random.default_rng(3)
    n = 20_000
    t = np.cumsum(rng.integers(2000, 200_000, n))
    bits, bases = rng.integers(0, 2, n), rng.integers(0, 2, (2, n))
    seen = rng.random((2, n)) < 0.6
    sides = []
    for k in range(2):
        channel = (2 * bases[k] + bits)[seen[k]]
        jitter = rng.integers(-100, 101, n)[seen[k]]
        sides.append(detections(clicks(t[seen[k]] + jitter, channel), OUTCOMES, 500, entropy(k)))
    alice, bob = sides
    message, _ = decode(encode(offer(alice), 1))
    reply, of_bob = answer(bob, message, 500)
    of_alice = take(alice, decode(encode(reply, 1))[0])
    both = seen.all(axis=0) & (bases[0] == bases[1])
    assert len(of_alice.key) == len(of_bob.key) == np.count_nonzero(both & (bases[0] == 0))
    assert (of_alice.key.reveal() == of_bob.key.reveal()).all()
    assert (of_alice.test.reveal() == bits[both & (bases[0] == 1)]).all()
    assert len((of_alice + of_alice).key) == 2 * len(of_alice.key)


def test_nothing_detected_gives_nothing():
    none = detections(clicks([], []), OUTCOMES, 10, entropy(1))
    reply, kept = answer(none, offer(none), 100)
    assert reply.kept.size == len(kept.key) == len(take(none, reply).test) == 0


def test_nonsense_of_the_peer_is_refused():
    mine = detections(clicks([100, 5000], [0, 2]), OUTCOMES, 10, entropy(1))
    two = np.array([7, 3], dtype=np.int64)
    with pytest.raises(PeerError, match="rising"):
        answer(mine, SiftOffer(two, np.zeros(2, np.uint8)), 100)
    for kept in ([5], [1, 0], [0, 0]):
        with pytest.raises(PeerError, match="keeps"):
            take(mine, SiftAnswer(np.array(kept, dtype=np.int64)))
    with pytest.raises(BadRequestError, match="at least 0"):
        detections(clicks([1], [0]), OUTCOMES, -1, entropy(1))


GOOD = DeviceFacts(0.0, (20_000,) * 4, True, 0.0, True)
ARGUMENTS = frozenset({"basis-choice", "counted-leakage", "variable-length"})


def test_a_key_is_refused_where_an_assumption_does_not_hold():
    bbm92_assumptions(GOOD, 10**6, 10**5, ARGUMENTS).require()
    with pytest.raises(KeyRefusedError, match="counted-leakage"):
        bbm92_assumptions(GOOD, 10**6, 10**5).require()
    with pytest.raises(KeyRefusedError, match=r"equal-efficiencies \(mismatch 3.00%\)"):
        bbm92_assumptions(DeviceFacts(0.03, None, True, 0.0, True), 10**6, 10**5, ARGUMENTS).require()
    with pytest.raises(KeyRefusedError, match="no-blinding"):
        bbm92_assumptions(DeviceFacts(), 10**6, 10**5, ARGUMENTS).require()


def test_what_was_accepted_is_stated():
    text = str(bbm92_assumptions(DeviceFacts(0.03), 10, 10, ARGUMENTS | {"equal-efficiencies"}))
    assert "NOT MET, accepted      equal-efficiencies" in text
    assert "not checked            no-blinding" in text
    with pytest.raises(BadRequestError, match="no such"):
        bbm92_assumptions(GOOD, 10, 10, frozenset({"luck"}))
