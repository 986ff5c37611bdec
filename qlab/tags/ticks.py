"""Ticks of an instrument and picoseconds: rounded once, and exactly found back.

Time is whole picoseconds here.  An instrument's tick need not be whole (1/256 ns, 156.25 ps, 80.955 ps): a time is the tick's
rounded to the nearest.  Where a tick is 1 ps or longer no two share one, so that nothing of a recording is lost.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LATEST_PS", "bounds", "ps_to_ticks", "tick_of", "ticks_to_ps"]

LATEST_PS = 2**62
"""Times end here: 53 days and 9 hours, so that differences of two have room."""
_INT64 = 2**63


def tick_of(bin_ps: float | Fraction | str) -> Fraction:
    """Return a tick's length in ps as the decimal number it is written as: 80.955 means 80955/1000.

    More than some 15 digits are rounded to a fraction that 64-bit arithmetic can multiply by, within 1e-16 of it.
    """
    try:
        length = Fraction(str(bin_ps))
    except (ValueError, ZeroDivisionError):
        length = Fraction(0)
    if not length > 0:
        msg = f"a time bin of {bin_ps} ps: expected a positive length"
        raise BadRequestError(msg)
    if 4 * length.numerator * length.denominator >= _INT64:
        length = length.limit_denominator(max(isqrt(int(_INT64 / length)) // 2, 1))
    return length


def bounds(bin_ps: float | Fraction) -> tuple[int, int]:
    """Return the least and the greatest number of ticks that picoseconds can hold."""
    length = tick_of(bin_ps)
    last = int(LATEST_PS / length) - 1
    return -min(last, 2**62), min(last, 2**62)


def ticks_to_ps(ticks: NDArray[np.int64], bin_ps: float | Fraction) -> NDArray[np.int64]:
    """Multiply by the tick's length and round half up, in integer arithmetic without overflow on the way.

    Raises
    ------
    BadRequestError
        A tick that is not positive, or times beyond 53 days.
    """
    length = tick_of(bin_ps)
    least, most = bounds(length)
    if ticks.size and (int(ticks.min()) < least or int(ticks.max()) > most):
        msg = f"time tags of bins of {bin_ps} ps reach beyond 53 days; check the length of the bin and the columns"
        raise BadRequestError(msg)
    numerator, denominator = length.numerator, length.denominator
    if denominator == 1:
        return ticks * numerator
    whole, rest = np.divmod(ticks, denominator)
    times: NDArray[np.int64] = whole * numerator + (2 * rest * numerator + denominator) // (2 * denominator)
    return times


def ps_to_ticks(t: NDArray[np.int64], bin_ps: float | Fraction) -> NDArray[np.int64]:
    """Return the ticks that `ticks_to_ps` made these times of.

    Raises
    ------
    BadRequestError
        A tick below 1 ps, or a time at which there is no tick.
    """
    length = tick_of(bin_ps)
    numerator, denominator = length.numerator, length.denominator
    if length < 1:
        msg = f"ticks of {bin_ps} ps: several share one picosecond, which of them it was is not kept"
        raise BadRequestError(msg)
    whole, rest = np.divmod(t, numerator)
    # The one k with t - 1/2 <= k * length < t + 1/2.
    ticks: NDArray[np.int64] = whole * denominator - ((1 - 2 * rest) * denominator) // (2 * numerator)
    if not np.array_equal(ticks_to_ps(ticks, length), t):
        at = int(np.argmax(ticks_to_ps(ticks, length) != t))
        msg = f"time {int(t[at])} ps of tag {at + 1} is no multiple of {bin_ps} ps: not a time of such ticks"
        raise BadRequestError(msg)
    return ticks
