"""How good a disseminated time was: the share of time with an error below a limit, from what each exposure found.

Between exposures a node's clock coasts on what was known of it.  The next exposure finds how far it had gone: the error was
nothing after the first and e before the second, and is taken to have grown evenly in between, so that of an interval the
share min(1, X / |e|) was below X.  Time before a first lock, and behind the last exposure, counts as none in service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CoastRecord", "ServiceLevel", "service_level", "share_curve"]


@dataclass(slots=True)
class CoastRecord:
    """What one node's exposures found.

    Attributes
    ----------
    until_s:
        When each coast ended.
    lasted_s:
        How long each took.
    error_ps:
        The error found at its end; infinite where nothing was known of the clock.
    """

    until_s: list[float] = field(default_factory=list)
    lasted_s: list[float] = field(default_factory=list)
    error_ps: list[float] = field(default_factory=list)

    def add(self, begun_s: float, until_s: float, error_ps: float) -> None:
        """Take a coast."""
        self.until_s.append(until_s)
        self.lasted_s.append(until_s - begun_s)
        self.error_ps.append(error_ps)


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A service level: the time error was below a limit for a share of the time.

    Parameters
    ----------
    limit_ps:
        The limit that was promised.
    promised:
        For what share of the time.
    kept:
        For what share it was so.
    at_promised_ps:
        Below what the error was for the promised share of the time; infinite where it was not known for so long.
    worst_ps:
        Largest error that an exposure found.
    """

    limit_ps: float
    promised: float
    kept: float
    at_promised_ps: float
    worst_ps: float

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return self.kept >= self.promised

    def text(self) -> str:
        """Return it as a sentence."""
        verdict = "kept" if self.holds else "NOT kept"
        return (
            f"time error < {self.limit_ps / 1e3:g} ns for {self.promised:.2%} of the time: {verdict}, {self.kept:.3%}; "
            f"{self.promised:.2%} of the time below {self.at_promised_ps / 1e3:.3g} ns, at worst {self.worst_ps / 1e3:.3g} ns"
        )


def share_curve(records: list[CoastRecord], limits_ps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for what share of the time the error was below each limit, shape of `limits_ps`; 0 without records."""
    lasted = np.array([s for record in records for s in record.lasted_s])
    error = np.abs([e for record in records for e in record.error_ps])
    return np.array([_share(lasted, error, float(x)) if lasted.size else 0.0 for x in limits_ps])


def service_level(records: list[CoastRecord], limit_ps: float, promised: float) -> ServiceLevel:
    """Return the service level of one node or of several together.

    Raises
    ------
    BadRequestError
        No time was recorded, or there is no such limit or share.
    """
    if not limit_ps > 0 or not 0 < promised <= 1:
        msg = f"service level: limit_ps = {limit_ps:g}, promised = {promised:g}; expected above 0, and a share up to 1"
        raise BadRequestError(msg)
    lasted = np.array([s for record in records for s in record.lasted_s])
    error = np.abs([e for record in records for e in record.error_ps])
    if not lasted.size or lasted.sum() <= 0.0:
        msg = "service level: no exposure ended a coast; expected two or more of each node"
        raise BadRequestError(msg)

    def share(limit: float) -> float:
        return _share(lasted, error, limit)

    known = error[np.isfinite(error)]
    worst = float(known.max()) if known.size else np.inf
    at_promised = np.inf
    if share(max(worst, 1e-3)) >= promised:
        low, high = 0.0, max(worst, 1e-3)
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (low, middle) if share(middle) >= promised else (middle, high)
        at_promised = high
    return ServiceLevel(limit_ps, promised, share(limit_ps), at_promised, worst)


def _share(lasted: NDArray[np.float64], error: NDArray[np.float64], limit: float) -> float:
    below = np.minimum(limit / np.maximum(error, 1e-9), 1.0)
    below[~np.isfinite(error)] = 0.0
    return float((lasted * below).sum() / lasted.sum())
