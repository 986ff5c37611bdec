"""The PRS10's six status bytes, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PARAMETER", "STATUS_BITS", "SYNTAX", "troubles"]

STATUS_BITS = (
    {0: "the supply is too low", 1: "the supply is too high", 2: "the heaters' supply is too low",
     3: "the heaters' supply is too high", 4: "the lamp is too dark", 5: "the lamp is too bright",
     6: "a gate voltage is too low", 7: "a gate voltage is too high"},
    {0: "the synthesiser is unlocked", 1: "the varactor is too low", 2: "the varactor is too high",
     3: "the synthesiser's VCO is too low", 4: "the synthesiser's VCO is too high", 5: "the gain control is too low",
     6: "the gain control is too high", 7: "the synthesiser has a bad parameter"},
    {0: "the lamp is cold", 1: "the lamp is too hot", 2: "the crystal is cold", 3: "the crystal is too hot",
     4: "the cell is cold", 5: "the cell is too hot", 6: "the case is cold", 7: "the case is too hot"},
    {0: "the frequency is not locked", 1: "the frequency lock is disabled", 2: "the frequency control is at its upper end",
     3: "the frequency control is at its lower end", 4: "the calibration voltage is above 4.9 V",
     5: "the calibration voltage is below 0.1 V"},
    {0: "no 1 pps is followed", 1: "fewer than 256 good pulses of the 1 pps", 2: "the 1 pps is followed",
     3: "more than 256 bad pulses of the 1 pps", 4: "the 1 pps comes at wrong intervals",
     5: "the 1 pps loop has begun again", 6: "the 1 pps control is saturated", 7: "there is no 1 pps"},
    {0: "the lamp was restarted", 1: "the watchdog has restarted it", 2: "a bad interrupt", 3: "its memory was written",
     4: "its memory is corrupt", 5: "it does not know a command", 6: "a parameter was bad", 7: "it was switched on or reset"},
)  # fmt: skip
"""[V2] All bits."""
NO_TROUBLE = ((), (), (), (1,), (0, 1, 2, 5), (0, 2, 3, 5, 6, 7))
"""Bits that tell of no trouble, by byte."""
SYNTAX, PARAMETER = 1 << 5, 1 << 6


def troubles(status: Sequence[int]) -> list[str]:
    """Return what six status bytes complain of."""
    return [
        words
        for byte, table, ignored in zip(status, STATUS_BITS, NO_TROUBLE, strict=True)
        for bit, words in table.items()
        if byte >> bit & 1 and bit not in ignored
    ]
