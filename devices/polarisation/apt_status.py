"""Status bits of Thorlabs' APT controllers."""

from __future__ import annotations

__all__ = ["HOMED", "HOMING", "MOVING", "STATUS_BITS", "describe", "troubles"]

STATUS_BITS = {
    0: "at the forward limit",
    1: "at the reverse limit",
    2: "at the forward soft limit",
    3: "at the reverse soft limit",
    4: "moving forward",
    5: "moving in reverse",
    6: "jogging forward",
    7: "jogging in reverse",
    8: "motor connected",
    9: "homing",
    10: "homed",
    11: "initialising",
    12: "tracking",
    13: "settled",
    14: "a motor is stalled",
    15: "an instruction was refused",
    16: "the interlock is open",
    17: "the controller is too hot",
    18: "the supply voltage is wrong",
    19: "commutation failed",
    20: "digital input 1",
    21: "digital input 2",
    22: "digital input 3",
    23: "digital input 4",
    24: "a motor is overloaded",
    25: "an encoder has failed",
    26: "a motor draws too much current",
    27: "the current is out of control",
    28: "power is good",
    29: "active",
    30: "error",
    31: "enabled",
}
"""[V2] All bits, in words."""
MOVING, HOMING, HOMED = 0b11_0000, 1 << 9, 1 << 10
PROBLEMS = (14, 16, 17, 18, 19, 24, 25, 26, 27)
"""Status bits that mean trouble."""


def troubles(bits: int) -> list[str]:
    """Return what the status bits complain of."""
    return [STATUS_BITS[bit] for bit in PROBLEMS if bits >> bit & 1]


def describe(bits: int) -> str:
    """Return the status as number and words, for messages."""
    words = ", ".join(text for bit, text in STATUS_BITS.items() if bits >> bit & 1)
    return f"status {bits:08X} ({words or 'nothing set'})"
