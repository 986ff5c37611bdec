"""LDPC in one message: the key is equal or rejected, the leakage is what was sent, both engines find the same bits."""

import numpy as np
import pytest

from qlab.analysis.intervals import fraction_interval
from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.ldpc import LdpcCorrector, LdpcMore, LdpcReference, LdpcSyndrome
from qlab.qkd.ldpc_codes import COLUMNS, ROWS, frame_for, make_code
from qlab.qkd.ldpc_engine import SCALE, _box, ldpc_engine
from qlab.qkd.ldpc_splitting import most_rows, split_rows
from qlab.qkd.messages import decode, encode
from qlab.qkd.reconcile_messages import FrameDone, FrameParities
from qlab.qkd.verification import make_tag, matches_tag, tag_bits_for

N = 1 << 14


def keys(n, qber, seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    a = rng.integers(0, 2, n, dtype=np.uint8)
    return a, a ^ (rng.random(n) < qber).astype(np.uint8), rng.bytes


def parity_matrix(code):
    """Return the dense matrix from the definition of a circulant, as a check of the engines' indexing."""
    h = np.zeros((code.n_checks, code.n_bits), dtype=np.uint8)
    for row in range(code.rows):
        for entry in range(code.first[row], code.first[row + 1]):
            for i in range(code.z):
                j = code.column[entry] * code.z + (i + code.shift[entry]) % code.z
                h[row * code.z + i, j] ^= 1
    return h


def test_syndromes_are_those_of_the_dense_matrix_whose_punctured_columns_are_independent():
    frame = frame_for(8000, 0.03)
    h = parity_matrix(frame.code)
    word = keys(frame.code.n_bits, 0.5, 1)[0]
    assert np.array_equal(ldpc_engine("numpy").syndrome(frame.code, word), h @ word % 2)  # sums wrap at 256
    # No check meets two punctured places, and each place has checks: their columns have full rank.
    punctured = h[:, frame.punctured]
    assert frame.punctured.size > 0
    assert punctured.sum(axis=1).max() == 1
    assert (punctured.sum(axis=0) == 2).all()


@pytest.mark.parametrize("rows", ROWS)
def test_no_two_columns_of_any_code_meet_twice(rows):  # that would be a cycle of length 4
    code = make_code(rows, 128)
    seen = set()
    where = [np.flatnonzero(code.column == column) for column in range(COLUMNS)]
    row_of = np.repeat(np.arange(rows), np.diff(code.first))
    for entries in where:
        steps = {
            (row_of[i], row_of[j], (code.shift[j] - code.shift[i]) % code.z) for i in entries for j in entries if i < j
        }
        assert not steps & seen
        seen |= steps


def test_the_combination_of_two_messages_is_that_of_probabilities():
    ratios = np.arange(-160, 161, dtype=np.int16)
    a, b = (m.reshape(-1) for m in np.meshgrid(ratios, ratios))
    exact = 2 * np.arctanh(np.tanh(a / (2 * SCALE)) * np.tanh(b / (2 * SCALE))) * SCALE
    assert np.abs(_box(a, b) - exact).max() < 1.4  # sixteenths: rounding, and c(x)


@pytest.mark.parametrize("qber", [0.02, 0.08])
def test_both_engines_find_the_same_bits(qber):
    pytest.importorskip("numba")
    a, b, entropy = keys(N, qber, 3)
    frame = frame_for(N, qber * 1.1)
    code = frame.code
    ratios = np.full(code.n_bits, 50, dtype=np.int16)
    odd = ldpc_engine("numba").syndrome(code, keys(code.n_bits, 0.5, 4)[0])
    for most in (1, 3):  # a syndrome of nothing likely: all beliefs move
        words = [ldpc_engine(name).decode(code, odd, ratios, most)[0] for name in ("numpy", "numba")]
        assert np.array_equal(*words)
    message = LdpcReference(SecretBits(a), frame, entropy, ldpc_engine("numpy")).start()
    for name in ("numpy", "numba"):
        bob = LdpcCorrector(SecretBits(b), frame, qber, ldpc_engine(name))
        done = bob.receive(message)
        assert isinstance(done, FrameDone)
        assert done.corrected == bob.corrected_bits == int((a != b).sum())
        assert np.array_equal(bob.key.reveal(), a)


def reconcile(a, b, frame, qber, entropy):
    """Carry bytes between both parties; return the corrector, the bits about the key on the wire, and how often it asked.

    Raises KeyRefusedError where no errors were found.
    """
    alice, bob = LdpcReference(SecretBits(a), frame, entropy), LdpcCorrector(SecretBits(b), frame, qber)
    assert bob.start() is None
    told, asked, said = 0, 0, alice.start()
    while said is not None:
        told += said.secret_bits
        question = decode(encode(bob.receive(decode(encode(said, 3))[0]), 3))[0]
        asked += isinstance(question, LdpcMore)
        said = alice.receive(question)
        assert (said is None) == alice.done == bob.done
        assert bob.disclosed_bits == told
    return bob, told, asked


def blocks(seeds, n, qbers):
    """Return blocks that were rejected, those that came out wrong and were found by verification, and second tries."""
    rejected = wrong = again = 0
    tag_bits = tag_bits_for(n, 1e-15)
    for seed in seeds:
        qber = qbers[seed % len(qbers)]
        a, b, entropy = keys(n, qber, seed)
        frame = frame_for(n, qber)
        try:
            bob, told, asked = reconcile(a, b, frame, qber, entropy)
        except KeyRefusedError:
            rejected += 1
            continue
        again += asked > 0
        assert told >= frame.leaked_bits
        assert (told == frame.leaked_bits) == (asked == 0)
        equal = np.array_equal(bob.key.reveal(), a)
        assert matches_tag(bob.key, make_tag(SecretBits(a), tag_bits, entropy), tag_bits) == equal
        wrong += not equal
    return rejected, wrong, again


@pytest.mark.parametrize("rows", [8, 14, 20, 64])
def test_split_checks_are_sums_of_the_finer_ones_and_punctured_columns_stay_independent(rows):
    code = make_code(rows, 128)
    finer, parents = split_rows(code, rows)
    assert finer.rows == 2 * rows == rows + len(parents)
    assert np.diff(finer.first).min() >= 2
    word = keys(code.n_bits, 0.5, rows)[0]
    sums = ldpc_engine("numpy").syndrome(finer, word).reshape(-1, 128).copy()
    for row in range(finer.rows - 1, rows - 1, -1):
        sums[parents[row - rows]] ^= sums[row]
    assert np.array_equal(sums[:rows].reshape(-1), ldpc_engine("numpy").syndrome(code, word))
    less, begun = split_rows(code, rows // 2)
    assert begun == parents[: rows // 2]
    assert less.column.size == finer.column.size == code.column.size
    h = parity_matrix(finer)[:, : (rows - 1) * 128 : 1]
    every_other = h.reshape(-1, rows - 1, 128)[:, ::2].reshape(h.shape[0], -1)  # the columns that may be punctured
    assert every_other.sum(axis=1).max() == 1
    assert (every_other.sum(axis=0) == 2).all()
    with pytest.raises(BadRequestError, match="to be split"):
        split_rows(code, most_rows(code) + 1)


@pytest.mark.parametrize(("expected", "qber"), [(0.01, 0.02), (0.02, 0.03), (0.05, 0.08)])
def test_more_errors_than_expected_cost_more_parities_and_not_the_block(expected, qber):
    pytest.importorskip("numba")
    a, b, entropy = keys(N, qber, round(1e4 * qber))
    bob, told, asked = reconcile(a, b, frame_for(a.size, expected), expected, entropy)
    assert np.array_equal(bob.key.reveal(), a)
    assert asked > 0
    # Steps of an eighth above what a finer code needs, which is 1.15 for long frames.
    assert told / (a.size * binary_entropy(float((a != b).mean()))) < 1.45


def test_far_too_many_errors_are_given_up_after_all_rows_were_split():
    pytest.importorskip("numba")
    a, b, entropy = keys(1 << 13, 0.3, 1)
    with pytest.raises(KeyRefusedError, match="there are too many"):
        reconcile(a, b, frame_for(a.size, 0.02), 0.02, entropy)


def test_keys_are_equal_or_rejected():
    pytest.importorskip("numba")
    rejected, wrong, again = blocks(range(12), N, [0.005, 0.01, 0.02, 0.05, 0.08, 0.1])
    assert rejected == wrong == 0
    assert again <= 2


@pytest.mark.parametrize("qber", [0.01, 0.012, 0.015, 0.02, 0.03, 0.05, 0.08])
def test_frames_are_planned_at_the_efficiency_of_issue_5(qber):
    n = 1 << 17
    assert 1.0 < frame_for(n, qber).leaked_bits / (n * binary_entropy(qber)) <= 1.25


@pytest.mark.slow
def test_a_thousand_blocks_are_equal_or_rejected():
    pytest.importorskip("numba")
    rejected, wrong, _ = blocks(range(1000), N, np.linspace(0.005, 0.11, 22).tolist())
    assert wrong <= rejected + wrong <= 5


@pytest.mark.slow
@pytest.mark.parametrize("qber", [0.01, 0.015, 0.02, 0.03, 0.05, 0.08])
def test_frame_error_rate_of_long_frames(qber):
    pytest.importorskip("numba")
    rejected, wrong, again = blocks(range(40), 1 << 17, [qber])
    assert rejected == wrong == 0
    assert fraction_interval(again, 40, 0.95).low < 0.01


def test_what_cannot_be_is_refused():
    a, b, entropy = keys(N, 0.03, 5)
    frame = frame_for(N, 0.03)
    alice, bob = LdpcReference(SecretBits(a), frame, entropy), LdpcCorrector(SecretBits(b), frame, 0.03)
    message = alice.start()
    with pytest.raises(PeerError, match="punctured"):
        bob.receive(LdpcSyndrome(message.rows, message.punctured + 1, message.bits))
    with pytest.raises(PeerError, match="where a syndrome was expected"):
        bob.receive(FrameParities(message.bits))
    for question in (LdpcMore(0), LdpcMore(1), LdpcMore(200), FrameParities(message.bits)):
        with pytest.raises(PeerError, match="makes no sense after 0 of"):
            alice.receive(question)
    assert "[" not in repr((alice, bob)).strip("()")[1:]
    with pytest.raises(BadRequestError, match="the frame is for"):
        LdpcReference(SecretBits(a[1:]), frame, entropy)
    with pytest.raises(BadRequestError, match="0 < rate"):
        LdpcCorrector(SecretBits(b), frame, 0.5)
    for n, rate in ((0, 0.03), (N, 0.0), (N, 0.3)):
        with pytest.raises(BadRequestError, match="LDPC"):
            frame_for(n, rate)
    with pytest.raises(BadRequestError, match="no LDPC engine"):
        ldpc_engine("gpu")
