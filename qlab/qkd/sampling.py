"""What errors in a random test sample say about the errors that were not looked at.

n key bits and k test bits are a random division of n + k bits with a fixed, unknown number of errors.  Each bound
fails with a probability of at most `tail`, whatever that number is.  Security proofs with a smoothing parameter eps
need tail = eps^2.
"""

from __future__ import annotations

import math

import numpy as np

from qlab.errors import BadRequestError

__all__ = ["gamma_deviation", "hypergeometric_bound", "hypergeometric_log_tail", "serfling_deviation"]

_CHUNK = 4096
_NEGLIGIBLE = -45.0  # natural logarithm; e^-45 of the largest term is below one rounding error


def serfling_deviation(n_key: int, n_test: int, tail: float) -> float:
    """Return mu, by which the error rate of the key may exceed that of the test.

    mu = sqrt((n + k) (k + 1) / (n k^2) ln(1/tail) / 2).  M. Tomamichel, C. C. W. Lim, N. Gisin, R. Renner, Nat. Commun.
    3, 634 (2012), after R. J. Serfling, Ann. Stat. 2, 39 (1974); with tail = (eps_sec / 2)^2 it is their
    sqrt((n + k) / (n k) (k + 1) / k ln(2 / eps_sec)).
    """
    _check(n_key, n_test, tail)
    return math.sqrt((n_key + n_test) * (n_test + 1) / (n_key * n_test**2) * math.log(1.0 / tail) / 2.0)


def gamma_deviation(rate: float, n_key: float, n_test: float, tail: float) -> float:
    """Return by how much the error rate of the key may exceed `rate`, that of the test.

    gamma = sqrt((c + d)(1 - b) b / (c d ln 2) log2((c + d) / (c d (1 - b) b tail))) with b the rate, c and d the sizes.
    C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, Phys. Rev. A 89, 022307 (2014), where tail = (a / 21)^2; after
    C.-H. F. Fung, X. Ma, H. F. Chau, Phys. Rev. A 81, 012318 (2010).  A rate of zero is taken as half an error: there the
    expression has no meaning.
    """
    _check(n_key, n_test, tail)
    if not 0.0 <= rate < 0.5:
        msg = f"deviation at an error rate of {rate:g}: expected 0 <= rate < 0.5"
        raise BadRequestError(msg)
    b = max(rate, 0.5 / n_test)
    c, d = n_test, n_key
    spread = (1.0 - b) * b
    return math.sqrt(max((c + d) * spread / (c * d * math.log(2)) * math.log2((c + d) / (c * d * spread * tail)), 0.0))


def hypergeometric_log_tail(errors: int, n_test: int, wrong: int, n_all: int) -> float:
    """Return ln P[a random test of `n_test` of `n_all` bits, `wrong` of them errors, has at most `errors` errors].

    Terms are added from the largest downwards, each from the one before by the exact ratio.
    """
    top = min(errors, n_test, wrong)
    bottom = max(0, n_test + wrong - n_all)
    if top < bottom:
        return -math.inf
    if top == min(n_test, wrong):
        return 0.0
    # Above the mode the other tail is the small one.
    mode = ((n_test + 1) * (wrong + 1)) // (n_all + 2)
    if top > mode:
        return math.log1p(-math.exp(min(_upper_log_tail(top + 1, n_test, wrong, n_all), -1e-300)))
    return min(_sum_down(top, bottom, n_test, wrong, n_all), 0.0)


def hypergeometric_bound(n_key: int, n_test: int, errors: int, tail: float) -> float:
    """Return an error rate that the key reaches with a probability of at most `tail`, exactly.

    The smallest number of errors in all bits for which so few in the test have a probability of at most `tail` is
    excluded, and with it all larger ones (the inverted test of Clopper and Pearson, for sampling without
    replacement).  Cf. V. Mannalath, V. Zapatero, M. Curty, arXiv:2410.04095, who use exact hypergeometric tails in
    QKD.

    Parameters
    ----------
    n_key, n_test:
        Bits kept and bits compared.
    errors:
        Errors in the test.
    tail:
        Probability of failure.

    Returns
    -------
    The excluded errors in the key by n_key, at most 1.

    Raises
    ------
    BadRequestError
        Impossible numbers.
    """
    _check(n_key, n_test, tail)
    if not 0 <= errors <= n_test:
        msg = f"{errors} errors in a test of {n_test} bits: expected 0 to {n_test}"
        raise BadRequestError(msg)
    n_all, limit = n_key + n_test, math.log(tail) - 1e-6  # the slack covers rounding of log-factorials up to 1e9
    low, high = errors, errors + n_key + 1  # low is allowed; high, more than there can be, is excluded
    while high - low > 1:
        middle = (low + high) // 2
        if hypergeometric_log_tail(errors, n_test, middle, n_all) <= limit:
            high = middle
        else:
            low = middle
    return min((high - errors) / n_key, 1.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_mass(j: int, n_test: int, wrong: int, n_all: int) -> float:
    return _log_choose(wrong, j) + _log_choose(n_all - wrong, n_test - j) - _log_choose(n_all, n_test)


def _sum_down(top: int, bottom: int, n_test: int, wrong: int, n_all: int) -> float:
    """Return the logarithm of the sum of the masses from `top` down to `bottom`."""
    total, relative, j = 1.0, 0.0, top
    while j > bottom and relative > _NEGLIGIBLE:
        js = np.arange(j, max(bottom, j - _CHUNK), -1, dtype=np.float64)
        steps = np.log(js) + np.log(n_all - wrong - n_test + js) - np.log(wrong - js + 1) - np.log(n_test - js + 1)
        logs = relative + np.cumsum(steps)
        total += float(np.exp(logs).sum())
        relative, j = float(logs[-1]), j - js.size
    return _log_mass(top, n_test, wrong, n_all) + math.log(total)


def _upper_log_tail(bottom: int, n_test: int, wrong: int, n_all: int) -> float:
    """Return ln P[at least `bottom` errors]: right bits of the test mirror the wrong ones."""
    right = n_all - wrong
    return _sum_down(n_test - bottom, max(0, n_test - wrong), n_test, right, n_all)


def _check(n_key: float, n_test: float, tail: float) -> None:
    if not (n_key >= 1 and n_test >= 1 and 0.0 < tail < 1.0):
        msg = f"bound of {n_key:g} key bits from {n_test:g} test bits, failure {tail:g}: expected >= 1, 0 < failure < 1"
        raise BadRequestError(msg)
