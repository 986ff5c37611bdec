"""What a PRS10 keeps: ranges, defaults and monitors, by their two letters."""

from __future__ import annotations

__all__ = ["DEFAULTS", "MONITORS", "RANGES", "SYNTHESISER"]


RANGES = {
    "SF": (-2000, 2000),
    "LO": (0, 1),
    "PL": (0, 1),
    "PT": (0, 14),
    "PF": (0, 4),
    "PI": (-2000, 2000),
    "GA": (0, 10),
    "PH": (0, 31),
    "LM": (0, 3),
    "MS": (0, 1),
    "MO": (2300, 3600),
    "SS": (1000, 1900),
    "TS": (7000, 25000),
    "TO": (-32767, 32768),
    "PP": (0, 999_999_999),
    "PS": (0, 255),
    "VB": (0, 1),
}
"""[V1] What can be set, and its range where the sheet has one, else [INF].

`SF`, `LO`, `PL` and `PT` do something in the world; the others are kept and told.  Replies stay terse after `VB1`, as the
sheet does not word verbose ones.
"""
DEFAULTS = {
    "LO": 1,
    "PT": 8,
    "PF": 2,
    "GA": 5,
    "PH": 0,
    "LM": 1,
    "MS": 1,
    "MO": 3000,
    "SS": 1450,
    "TS": 13107,
    "PS": 128,
}
SYNTHESISER = "7744,6,1"
"""[INF] R, N and A of the synthesiser as delivered; told and kept, without effect on the frequency."""
MONITORS = {10: 0.728, 0: 2.4, 1: 2.4, 2: 1.2, 3: 1.7, 4: 1.5, 5: 2.2, 6: 3.4}
"""Readings of AD0? to AD19?; number 10 is the case at 10 mV/degC [V2], the others are [INF]."""
