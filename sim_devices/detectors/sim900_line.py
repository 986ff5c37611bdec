"""Words and numbers of a SIM900's serial lines."""

from __future__ import annotations

__all__ = ["ENDS", "FLOW", "LINE", "PARITY", "TERMINATORS"]

TERMINATORS = ("CR", "LF", "CRLF", "LFCR", "NONE")
"""[V2] The mainframe's numbers; a SIM928 counts from NONE."""
ENDS = (b"\r", b"\n", b"\r\n", b"\n\r", b"")
FLOW = ("NONE", "RTS", "XON")
PARITY = ("NONE", "ODD", "EVEN", "MARK", "SPACE")  # [INF]
LINE = {"BAUD": 9600, "FLOW": 1, "PARI": 0, "WORD": 8, "SBIT": 1, "TMOT": 1000}
"""[V2] At power-on, and after a break."""
