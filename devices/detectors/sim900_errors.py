"""What the numbers of a SIM900 and of a SIM928 mean: execution errors, command errors, errors of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LINE_BITS", "MAINFRAME", "SIM928"]

MAINFRAME: Mapping[str, Mapping[int, str]] = {
    "LEXE?": {
        1: "no such port",
        2: "illegal token",
        3: "it could not be carried out",
        4: "time-out of a port",
        5: "no such bit",
        6: "illegal value",
        7: "wrong checksum",
        8: "not on this host interface",
    },
    "LCME?": {
        1: "illegal first character",
        2: "illegal command name",
        3: "unknown command",
        4: "a question mark too many",
        5: "it cannot be asked",
        6: "it can only be asked",
        7: "a parameter is missing",
        8: "no parameters are allowed",
        9: "the command ended too soon",
        10: "the message is too long",
        11: "bad hexadecimal block",
        12: "the command is too long",
        13: "bad string",
        14: "bad hexadecimal block",
        15: "bad binary block",
        16: "bad count of a block",
        17: "a block is too short",
        18: "a parameter is empty",
        19: "too many parameters",
        20: "illegal port",
        21: "not a whole number",
        22: "a whole number is too large",
        23: "bad whole number",
        24: "unknown token",
        25: "bad string",
        26: "bad hexadecimal block",
        27: "bad binary block",
    },
}
"""[V2] Of the mainframe, by query; of the numbers that the sheet gives in groups it tells no more than the group."""
SIM928: Mapping[str, Mapping[int, str]] = {
    "LEXE?": {1: "illegal value", 2: "wrong token", 3: "no such bit"},
    "LCME?": {
        1: "illegal command",
        2: "unknown command",
        3: "it cannot be asked",
        4: "it can only be asked",
        5: "a parameter is missing",
        6: "too many parameters",
        7: "a parameter is empty",
        8: "the command is too long",
        9: "not a number",
        10: "not a whole number",
        11: "bad number of a token",
        12: "no such value of a token",
        13: "not a hexadecimal number",
        14: "unknown token",
    },
}
"""[V2] Of a SIM928, which counts otherwise."""
LINE_BITS = (
    "wrong parity",
    "wrong framing: is the baud rate the module's?",
    "noise on the line",
    "characters came too fast",
    "the input buffer overflowed",
    "it held the line back",
    "it was held back",
    "a break was heard",
)
"""[V2] Bits of a SIM928's `CESR?`, from 0."""
