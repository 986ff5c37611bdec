"""DeCoP from the client's side: parameters in parentheses, and an answer that ends with a prompt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from devices.base import Instrument
from devices.sources.decop_signals import parse_switch, parse_text
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.links.link import Link

__all__ = ["DecopDialogue"]

T = TypeVar("T")

PROMPT = b"\n> "
UNAVAILABLE = -20
"""[V1] The code for hardware that is not there."""


class DecopDialogue(Instrument):
    """A controller that speaks DeCoP: it welcomes each client, and ends every answer with a prompt."""

    link_options = {"terminator": PROMPT, "command_terminator": b"\n", "greeting": PROMPT}

    def query_identity(self, link: Link) -> str:
        """Return type, serial number and firmware."""
        names = ("system-type", "serial-number", "fw-ver")
        return ", ".join(parse_text(_last(link.ask(f"(param-ref '{name})", retry=False))) for name in names)

    def prepare(self) -> None:
        """Switch the echo off, which a person at a terminal may have switched on."""
        self.put_parameter("echo", "#f")

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the value that a call brings; raises `InstrumentError` for one that the controller refuses."""
        found = self.link.ask(command, delay_s=delay_s, timeout_s=timeout_s)
        if any(line.startswith("Error:") for line in found.splitlines()):  # the first or the last [V2]
            what = "the controller refused a question"
            raise InstrumentError(what, device=self.name, command=command, found=found, expected="a value")
        return found

    def tell(self, command: str) -> None:
        """Send a set; raises `InstrumentError` for a status that is not 0."""
        with self.link.transaction() as link:
            found = _last(link.ask(command, retry=False))
        if found != "0":
            what = "the controller did not take a value"
            hint = "is it within the limits, and is the connection's user level high enough?"
            raise InstrumentError(what, device=self.name, command=command, found=found, expected="0", hint=hint)

    def put_parameter(self, name: str, value: str) -> None:
        """Set a parameter, written as Scheme does."""
        self.tell(f"(param-set! '{name} {value})")

    def text(self, name: str) -> str:
        """Return a string parameter."""
        return self._read(name, parse_text)

    def number(self, name: str) -> float:
        """Return a number."""
        return self._read(name, float)

    def switch(self, name: str) -> bool:
        """Return a boolean."""
        return bool(self._read(name, parse_switch))

    def knows(self, name: str) -> bool:
        """Tell whether the controller has the hardware behind a parameter."""
        found = self.link.ask(f"(param-ref '{name})")
        return re.match(rf"Error: ({UNAVAILABLE}|-21)\b", found) is None

    def _read(self, name: str, parse: Callable[[str], T]) -> T:
        command = f"(param-ref '{name})"
        found = self.ask(command)
        try:
            return parse(found)
        except (ValueError, KeyError) as error:
            self.link.distrust()
            what = "the answer is not a value of the parameter's type"
            raise BadReplyError(what, device=self.name, command=command, found=found) from error


def _last(answer: str) -> str:
    """Return the last line: only it counts where the controller echoes."""
    lines = answer.splitlines()
    return lines[-1].strip() if lines else ""
