"""What the numbers of a DG645's `LERR?` mean."""

from __future__ import annotations

__all__ = ["words_for"]

ERRORS = {
    10: "illegal value",
    11: "not in this mode: is the trigger source the one that it needs?",
    12: "illegal delay",
    13: "a link that leads back to itself",
    14: "nothing is stored there",
    15: "not allowed now",
    16: "the self test failed",
    17: "the calibration failed",
    30: "an answer was lost",
    32: "nobody listened on the bus",
    110: "illegal command",
    111: "unknown command",
    112: "it can only be set",
    113: "it can only be asked",
    114: "a parameter is empty",
    115: "too many parameters",
    116: "a parameter is missing",
    117: "a parameter is too long",
    118: "not a number",
    120: "not a whole number",
    121: "a whole number is too large",
    122: "not a hexadecimal number",
    126: "syntax error",
    170: "a character was garbled on the line",
    171: "characters came too fast",
    254: "too many errors",
}
"""[V2]"""
SELF_TESTS, CALIBRATIONS = range(40, 72), range(80, 92)
"""[V2] The single tests and calibrations that can fail."""


def words_for(code: int) -> str:
    """Return what an error number means."""
    if code in SELF_TESTS:
        return f"self test {code} failed"
    if code in CALIBRATIONS:
        return f"calibration {code} failed"
    return ERRORS.get(code, "see its manual")
