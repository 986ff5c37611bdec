"""What OZ Optics' instruments have in common: lines, then `Done`; a line that begins with `Error` refuses."""

from __future__ import annotations

import re
from typing import ClassVar

from devices.base import Instrument
from qlab.errors import InstrumentError

__all__ = ["OzInstrument", "labelled_number"]

MOST_LINES = 40


def labelled_number(text: str, key: str) -> float:
    """Return the number behind `KEY:` in a reply; raises `ValueError` where there is none."""
    found = re.search(rf"{key}:\s*(-?[\d.]+)", text)
    if found is None:
        msg = f"no {key} in {text!r}"
        raise ValueError(msg)
    return float(found[1])


class OzInstrument(Instrument):
    """An instrument that says `Done`; serial, 9600 baud."""

    wire = "serial"
    link_options = {"baud": 9600, "terminator": b"\r\n", "command_terminator": b"\r"}
    line_break = b"\r"
    empty_line: ClassVar[bool] = False
    """Whether an empty line follows."""

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None, retry: bool = True) -> str:
        """Return the lines before `Done`."""

        def read() -> bytes:
            lines: list[bytes] = []
            while len(lines) < MOST_LINES:
                line = self.link.read_until(timeout_s=timeout_s)
                if line.startswith(b"Error"):
                    return line
                if line == b"Done":
                    if self.empty_line:
                        self.link.read_until()
                    return b"\n".join(lines)
                lines.append(line)
            self.link.distrust()
            return b"\n".join(lines)

        data = command.encode("ascii") + self.link.command_terminator
        text = self.link.query(data, delay_s=delay_s, timeout_s=timeout_s, retry=retry, read=read).decode("latin-1")
        if text.startswith("Error"):
            what = "the instrument refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=text)
        return text

    def tell(self, command: str) -> None:
        """Send a set, once, and wait for `Done`."""
        self.ask(command, retry=False)
