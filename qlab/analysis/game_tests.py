"""How likely local hidden variables win so many CHSH games: bounds that need neither identical nor independent trials.

A trial is a game: settings drawn at random after everything that local variables could know, won when the product of the
outcomes is the sign of the correlation.  A local model wins it with at most 3/4, whatever happened before, so the number of
wins is stochastically below a binomial one: P. Bierhorst, J. Phys. A 48, 195302 (2015); D. Elkouss and S. Wehner, npj
Quantum Information 2, 16026 (2016).  Event-ready trials are all that were heralded; of post-selected ones the bound
holds under fair sampling only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qlab.analysis.bell import SIGNS
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = ["GameTest", "Selection", "chsh_wins", "combined_p_value", "game_test", "sigmas_of"]

Selection = Literal["event-ready", "post-selected"]


@dataclass(frozen=True, slots=True)
class GameTest:
    """A test of local realism by games won.

    Attributes
    ----------
    wins, trials:
        Of the games.
    p_value:
        Bound by the binomial tail: the largest probability that any local model reaches so many wins.
    log10_p_value:
        The same where it is too small for a float.
    p_value_hoeffding:
        exp(-2 n (w/n - win)^2), the weaker bound by Hoeffding's inequality for martingales: R. D. Gill (2003),
        "Time, finite statistics, and Bell's fifth position".
    win_probability:
        The most that local models reach in a trial, 3/4 plus what is known of the settings beforehand.
    assumes:
        What has to be taken for granted.
    """

    wins: int
    trials: int
    p_value: float
    log10_p_value: float
    p_value_hoeffding: float
    win_probability: float
    assumes: str
    method: str = "binomial tail, no assumption of identical or independent trials"


def chsh_wins(counts: ArrayLike, signs: tuple[int, ...] = SIGNS) -> tuple[int, int]:
    """Return games won and played, of tables in the order (a,b), (a,b'), (a',b), (a',b'), shape (4, 2, 2)."""
    tables = np.asarray(counts, dtype=np.int64)
    if tables.shape != (4, 2, 2) or (tables < 0).any() or len(signs) != 4 or math.prod(signs) != -1:
        msg = f"games from counts of shape {tables.shape}, signs {signs}: expected (4, 2, 2), none negative; one or three -1"
        raise BadRequestError(msg)
    same = tables[:, 0, 0] + tables[:, 1, 1]
    total = tables.sum(axis=(1, 2))
    wins = sum(int(s if sign > 0 else n - s) for s, n, sign in zip(same, total, signs, strict=True))
    return wins, int(total.sum())


def game_test(wins: int, trials: int, *, setting_bias: float = 0.0, selection: Selection = "event-ready") -> GameTest:
    """Bound the probability that local hidden variables win at least so many of the games.

    Parameters
    ----------
    setting_bias:
        tau: each party's setting is predictable with at most 1/2 + tau.  A local model then wins at most
        1 - (1/2 - tau)^2 <= 3/4 + tau: it loses one of the four pairs of settings, at best the least likely one.
    selection:
        How trials were chosen.

    Raises
    ------
    BadRequestError
        Not 0 <= wins <= trials with at least one, or a bias that is not between 0 and 1/2.
    """
    if not 0 <= wins <= trials or trials < 1 or not 0.0 <= setting_bias < 0.5:
        msg = f"{wins} games won of {trials}, bias {setting_bias:g}: expected 0 <= won <= played > 0, 0 <= bias < 0.5"
        raise BadRequestError(msg)
    win = 1.0 - (0.5 - setting_bias) ** 2
    log_p = float(_stats().binom.logsf(wins - 1, trials, win)) if wins else 0.0
    excess = wins / trials - win
    if not math.isfinite(log_p):
        # Beyond floats the tail is bounded by Chernoff's inequality, exp(-n D(w/n || win)).
        log_p = -trials * _divergence(wins / trials, win)
    hoeffding = 1.0 if excess <= 0 else math.exp(-2.0 * trials * excess**2)
    assumes = "settings random in every trial, no communication, no trial left out"
    if selection == "post-selected":
        assumes = "settings random in every trial, no communication, and fair sampling: what is detected stands for all"
    return GameTest(wins, trials, math.exp(log_p), log_p / math.log(10.0), hoeffding, win, assumes)


def combined_p_value(p_values: Sequence[float]) -> float:
    """Return Fisher's combination of independent runs, P(chi^2 with 2k degrees >= -2 sum ln p).

    Valid where each run's stop and analysis were fixed beforehand (Elkouss and Wehner 2016, section on combining).
    """
    if not p_values or not all(0.0 < p <= 1.0 for p in p_values):
        msg = f"p-values {list(p_values)}: expected at least one, each above 0 and at most 1"
        raise BadRequestError(msg)
    return float(_stats().chi2.sf(-2.0 * sum(math.log(p) for p in p_values), 2 * len(p_values)))


def sigmas_of(p_value: float) -> float:
    """Return the deviation of a normal distribution, in sigmas, whose upper tail is `p_value`."""
    if not 0.0 < p_value < 1.0:
        msg = f"p-value {p_value:g}: expected between 0 and 1"
        raise BadRequestError(msg)
    return float(_stats().norm.isf(p_value))


def _divergence(share: float, win: float) -> float:
    lost = 0.0 if share >= 1.0 else (1.0 - share) * math.log((1.0 - share) / (1.0 - win))
    return share * math.log(share / win) + lost if share > win else 0.0


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        msg = "tails of distributions need scipy: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    return stats
