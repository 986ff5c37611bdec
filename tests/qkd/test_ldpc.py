"""LDPC in one message: the key is equal or rejected, the leakage is what was sent, both engines find the same bits."""

import numpy as np
import pytest

from qlab.analysis.intervals import fraction_interval
from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.bits import SecretBits
from qlab.qkd.ldpc import LdpcSyndrome, correct_with_syndrome, make_syndrome
from qlab.qkd.ldpc_codes import COLUMNS, ROWS, frame_for, make_code
from qlab.qkd.ldpc_engine import SCALE, _box, ldpc_engine
from qlab.qkd.messages import decode, encode
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
    message = make_syndrome(SecretBits(a), frame, entropy, ldpc_engine("numpy"))
    code = frame.code
    ratios = np.full(code.n_bits, 50, dtype=np.int16)
    odd = message.bits ^ ldpc_engine("numba").syndrome(code, keys(code.n_bits, 0.5, 4)[0])
    for most in (1, 3):  # a syndrome of nothing likely: all beliefs move
        words = [ldpc_engine(name).decode(code, odd, ratios, most)[0] for name in ("numpy", "numba")]
        assert np.array_equal(*words)
    found = [
        correct_with_syndrome(SecretBits(b), frame, message, qber, ldpc_engine(name)) for name in ("numpy", "numba")
    ]
    assert np.array_equal(found[0][0].reveal(), found[1][0].reveal())
    assert np.array_equal(found[0][0].reveal(), a)
    assert found[0][1] == found[1][1] == int((a != b).sum())


def blocks(seeds, n, qbers):
    """Return blocks that were rejected, and those that came out wrong and were found by verification."""
    rejected = wrong = 0
    tag_bits = tag_bits_for(n, 1e-15)
    for seed in seeds:
        qber = qbers[seed % len(qbers)]
        a, b, entropy = keys(n, qber, seed)
        frame = frame_for(n, qber)
        message = decode(encode(make_syndrome(SecretBits(a), frame, entropy), 3))[0]
        assert message.secret_bits == frame.leaked_bits == message.bits.size - message.punctured
        try:
            key, _ = correct_with_syndrome(SecretBits(b), frame, message, qber)
        except KeyRefusedError:
            rejected += 1
            continue
        equal = np.array_equal(key.reveal(), a)
        assert matches_tag(key, make_tag(SecretBits(a), tag_bits, entropy), tag_bits) == equal
        wrong += not equal
    return rejected, wrong


def test_keys_are_equal_or_rejected():
    pytest.importorskip("numba")
    rejected, wrong = blocks(range(12), N, [0.005, 0.02, 0.05, 0.08, 0.1])
    assert rejected + wrong <= 1


@pytest.mark.slow
@pytest.mark.parametrize("qber", [0.02, 0.03, 0.05, 0.08])
def test_efficiency_and_frame_error_rate_of_long_frames(qber):
    pytest.importorskip("numba")
    n = 1 << 17
    assert frame_for(n, qber).leaked_bits / (n * binary_entropy(qber)) <= 1.25
    rejected, wrong = blocks(range(40), n, [qber])
    assert wrong == 0
    assert fraction_interval(rejected, 40, 0.95).low < 0.01


def test_what_cannot_be_is_refused():
    a, b, entropy = keys(N, 0.03, 5)
    frame = frame_for(N, 0.03)
    message = make_syndrome(SecretBits(a), frame, entropy)
    other = LdpcSyndrome(message.rows, message.punctured + 1, message.bits)
    with pytest.raises(PeerError, match="punctured"):
        correct_with_syndrome(SecretBits(b), frame, other, 0.03)
    with pytest.raises(BadRequestError, match="the frame is for"):
        make_syndrome(SecretBits(a[1:]), frame, entropy)
    for n, rate in ((0, 0.03), (N, 0.0), (N, 0.3)):
        with pytest.raises(BadRequestError, match="LDPC"):
            frame_for(n, rate)
    with pytest.raises(BadRequestError, match="no LDPC engine"):
        ldpc_engine("gpu")
