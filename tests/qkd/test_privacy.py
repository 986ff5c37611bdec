"""Verification and privacy amplification against direct computation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from qlab.errors import BadRequestError, KeyRefusedError
from qlab.qkd import negacyclic as module
from qlab.qkd.bits import SecretBits
from qlab.qkd.field import PRIME, polynomial_hash
from qlab.qkd.negacyclic import NegacyclicProduct, relative_error
from qlab.qkd.toeplitz import amplify, error_bound, toeplitz_product
from qlab.qkd.verification import make_tag, matches_tag, tag_bits_for, tag_failure


def draw(n, seed):
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 2, n, dtype=np.uint8)


@pytest.mark.parametrize(
    ("n", "m", "length"),
    [
        (1, 1, None),
        (50, 50, 16),
        (1000, 300, 64),
        (777, 1, 256),
        (3000, 2999, None),
        (513, 200, None),
        (1000, 600, None),
        (300, 300, 32),
        (40, 17, 32),
    ],
)
def test_product_is_that_of_the_matrix(n, m, length):
    x, seed = draw(n, 1), draw(n + m - 1, 2)
    matrix = toeplitz(seed[n - 1 :], seed[:n][::-1]).astype(np.int64)
    assert (toeplitz_product(seed, x, m, length) == matrix @ x % 2).all()


def test_every_third_thousandth_row_of_a_long_hash_is_exact():
    n, m = 300_000, 150_000
    x, seed = draw(n, 3), draw(n + m - 1, 4)
    y = toeplitz_product(seed, x, m)
    for row in range(0, m, 3001):
        assert y[row] == np.count_nonzero(seed[row : row + n] & x[::-1]) % 2


def test_the_largest_sums_stay_within_the_bound():
    # All ones: each sum is known, and the norms of the bound are reached; a product wraps with the other sign.
    n, length = 1 << 18, 1 << 16
    y = toeplitz_product(np.ones(2 * n - 1, np.uint8), np.ones(n, np.uint8), n, length)
    assert (y == n % 2).all()
    ones = np.ones(length, np.uint8)
    product = NegacyclicProduct(length)
    for _ in range(3):
        product.add(ones, ones)
    parities, off = product.parities()
    assert (parities == 3 * (2 * np.arange(length) + 2 - length) % 2).all()
    assert 0.0 < off < 3 * length * relative_error(length, 3)
    assert error_bound(10**8, 3 * 10**7, 1 << 26) < 1e-5


@given(st.integers(4, 9), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_products_are_those_of_polynomials(log2, terms, seed):
    length = 1 << log2
    rng = np.random.Generator(np.random.PCG64(seed))
    product, expected = NegacyclicProduct(length), np.zeros(length, dtype=np.int64)
    for _ in range(terms):
        a, b = (rng.integers(0, 2, n, dtype=np.uint8) for n in rng.integers(1, length + 1, 2))
        product.add(a, b)
        whole = np.convolve(a.astype(np.int64), b.astype(np.int64))
        expected[: whole[:length].size] += whole[:length]
        expected[: whole[length:].size] -= whole[length:]
    parities, off = product.parities()
    assert (parities == expected % 2).all()
    assert off < 1e-9


@pytest.mark.parametrize("length", [8, 24, 0])
def test_other_lengths_of_products_are_refused(length):
    with pytest.raises(BadRequestError, match="a power of two, at least 16"):
        NegacyclicProduct(length)


def test_a_wrong_fft_is_noticed(monkeypatch):
    right, before = np.fft.ifft, NegacyclicProduct.parities
    monkeypatch.setattr(NegacyclicProduct, "parities", lambda self: (before(self)[0] ^ 1, 0.0))
    with pytest.raises(KeyRefusedError, match="row 0 is wrong; this machine computes wrongly"):
        toeplitz_product(draw(1499, 1), draw(1000, 2), 500)
    monkeypatch.setattr(NegacyclicProduct, "parities", before)
    monkeypatch.setattr(module.np.fft, "ifft", lambda *a, **k: right(*a, **k) * 1.01)
    with pytest.raises(KeyRefusedError, match="not an integer"):
        toeplitz_product(draw(1499, 1), draw(1000, 2), 500)


@pytest.mark.parametrize(("n", "m", "seed"), [(10, 11, 20), (10, 0, 9), (10, 5, 13)])
def test_wrong_lengths_are_refused(n, m, seed):
    with pytest.raises(BadRequestError, match=r"n \+ m - 1"):
        amplify(SecretBits(draw(n, 1)), draw(seed, 2), m)


def test_hash_is_the_polynomial():
    data = bytes(range(1, 32))
    parts = [int.from_bytes(data[:15], "big"), int.from_bytes(data[15:30], "big"), 31, 248]
    r = 12345678901234567890
    assert polynomial_hash(data, 248, r) == sum(c * r ** (4 - i) for i, c in enumerate(parts)) % PRIME


def test_tags_miss_different_keys_as_rarely_as_stated():
    # Short tags, so that misses can be counted: within 5 standard deviations of 2^-4.
    entropy = np.random.Generator(np.random.PCG64(7)).bytes
    a = draw(1000, 8)
    b = a.copy()
    b[500] ^= 1
    trials = 4000
    missed = sum(matches_tag(SecretBits(b), make_tag(SecretBits(a), 4, entropy), 4) for _ in range(trials))
    p = tag_failure(1000, 4)
    assert abs(missed - trials * p) < 5 * (trials * p * (1 - p)) ** 0.5


def test_a_tag_is_as_long_as_eps_cor_asks():
    n_bits = tag_bits_for(10**6, 1e-15)
    assert n_bits == 50  # log2 of 1e15 is 49.8
    assert tag_failure(10**6, n_bits) <= 1e-15 < tag_failure(10**6, n_bits - 1)
    with pytest.raises(BadRequestError, match="eps_cor"):
        tag_bits_for(10**6, 1e-40)


def test_a_shorter_tag_than_agreed_never_matches():
    key = SecretBits(draw(100, 1))
    entropy = np.random.Generator(np.random.PCG64(7)).bytes
    assert matches_tag(key, make_tag(key, 50, entropy), 50)
    assert not matches_tag(key, make_tag(key, 1, entropy), 50)
