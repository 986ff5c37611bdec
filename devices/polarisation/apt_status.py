"""Status bits of Thorlabs' APT controllers."""

from __future__ import annotations

__all__ = ["HOMED", "HOMING", "MOVING", "troubles"]

MOVING, HOMED = 0b11_0000, 1 << 10
HOMING = 1 << 9
PROBLEMS = {
    14: "a motor is stalled",
    16: "the interlock is open",
    17: "the controller is too hot",
    18: "the supply voltage is wrong",
    19: "commutation failed",
    24: "a motor is overloaded",
    25: "an encoder has failed",
    26: "a motor draws too much current",
    27: "the current is out of control",
}
"""Status bits that mean trouble."""


def troubles(bits: int) -> list[str]:
    """Return what the status bits complain of."""
    return [words for bit, words in PROBLEMS.items() if bits >> bit & 1]
