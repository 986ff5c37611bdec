"""Limits of telecom clocks, to hold a measured MTIE or TDEV against.

From the ITU-T recommendations, wander generation in locked mode: G.8272, primary reference time clock A and B; G.8262
(07/2010), synchronous Ethernet equipment clock, option 1 at constant temperature, tables 1 and 3; G.8273.2 (06/2023),
telecom boundary and slave clocks at constant temperature, tables 7-4 and 7-5, classes A and B (which have one limit) and C.
The last are for what a low-pass filter of 0.1 Hz leaves: without it an MTIE is never smaller, and a TDEV not on average.

The recommendations themselves were not read.  The figures are those of others who did: G.8272 and G.8273.2 class C from
`requirements.py` of redhat-partner-solutions/vse-sync-test and the examples of allantools; G.8273.2 A to C from Calnex's
one-page summary (second edition, with amendments of 2022); G.8262 from the package timetools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.timing.stability import Stability

__all__ = ["MASKS", "Mask", "MaskResult", "judge"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mask:
    """A limit: pieces (until tau_s, a, b, p), each a + b tau^p in ns, from `from_s` on."""

    kind: Literal["mtie", "tdev"]
    from_s: float
    pieces: tuple[tuple[float, float, float, float], ...]

    def limit_ns(self, tau_s: Floats) -> Floats:
        """Return the limit in ns; NaN where the mask says nothing."""
        limit = np.full(tau_s.shape, np.nan)
        for until, a, b, p in reversed(self.pieces):
            at = tau_s <= until
            limit[at] = a + b * tau_s[at] ** p
        limit[tau_s < self.from_s] = np.nan
        return limit


MASKS: dict[str, Mask] = {
    "G.8272 MTIE": Mask("mtie", 0.1, ((273.0, 25.0, 0.275, 1.0), (1e7, 100.0, 0.0, 0.0))),
    "G.8272 TDEV": Mask("tdev", 0.1, ((100.0, 3.0, 0.0, 0.0), (1000.0, 0.0, 0.03, 1.0), (1e4, 30.0, 0.0, 0.0))),
    "G.8272 B MTIE": Mask("mtie", 0.1, ((54.5, 25.0, 0.275, 1.0), (1e7, 40.0, 0.0, 0.0))),
    "G.8272 B TDEV": Mask("tdev", 0.1, ((100.0, 1.0, 0.0, 0.0), (500.0, 0.0, 0.01, 1.0), (1e5, 5.0, 0.0, 0.0))),
    "G.8262 MTIE": Mask("mtie", 0.1, ((1.0, 40.0, 0.0, 0.0), (100.0, 0.0, 40.0, 0.1), (1000.0, 0.0, 25.25, 0.2))),
    "G.8262 TDEV": Mask("tdev", 0.1, ((25.0, 3.2, 0.0, 0.0), (100.0, 0.0, 0.64, 0.5), (1000.0, 6.4, 0.0, 0.0))),
    "G.8273.2 MTIE": Mask("mtie", 0.1, ((1000.0, 40.0, 0.0, 0.0),)),
    "G.8273.2 TDEV": Mask("tdev", 0.1, ((1000.0, 4.0, 0.0, 0.0),)),
    "G.8273.2 C MTIE": Mask("mtie", 0.1, ((1000.0, 10.0, 0.0, 0.0),)),
    "G.8273.2 C TDEV": Mask("tdev", 0.1, ((1000.0, 2.0, 0.0, 0.0),)),
}


@dataclass(frozen=True, slots=True)
class MaskResult:
    """A deviation against a mask: whether it holds, and where it comes nearest.

    Parameters
    ----------
    holds:
        Whether it is below at all times that the mask covers.
    worst_tau_s, worst_share:
        Averaging time where deviation / limit is largest, and that ratio.
    """

    holds: bool
    worst_tau_s: float
    worst_share: float


def judge(found: Stability, mask_name: str) -> MaskResult:
    """Hold a deviation against a mask.

    Raises
    ------
    BadRequestError
        No such mask, one of another deviation, or no averaging time that it covers.
    """
    mask = MASKS.get(mask_name)
    if mask is None:
        msg = f"there is no mask {mask_name!r}; expected one of {', '.join(MASKS)}"
        raise BadRequestError(msg)
    if mask.kind != found.kind:
        msg = f"{mask_name} limits the {mask.kind}, not the {found.kind}"
        raise BadRequestError(msg)
    share = found.deviation * 1e9 / mask.limit_ns(found.tau_s)
    if np.isnan(share).all():
        msg = f"{mask_name}: no averaging time of {found.tau_s.min():g} to {found.tau_s.max():g} s is covered by it"
        raise BadRequestError(msg)
    worst = int(np.nanargmax(share))
    return MaskResult(bool(share[worst] <= 1.0), float(found.tau_s[worst]), float(share[worst]))
