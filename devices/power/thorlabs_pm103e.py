"""Thorlabs PM103E, PM5020: power meters on the network; the PM100D's commands in segments over TCP.

A message travels in segments of at most 1440 bytes: 0xCA for the first and 0xCB for the others, a running number, a length of
16 bits (little-endian; the first is that of the whole message), and the payload.  The meter hangs up after 30 s of silence;
the link opens again by itself.  A command that it does not know has no answer.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING

from devices.power.thorlabs_pm100d import PM100D
from qlab.errors import BadReplyError

if TYPE_CHECKING:
    from qlab.links.link import Link

__all__ = ["PM103E"]

HEADER = Struct("<BBH")
FIRST, NEXT = 0xCA, 0xCB
SEGMENT = 1440 - HEADER.size
"""[V1] Header, first bytes and most bytes of a segment, as the vendor's examples have them."""


class PM103E(PM100D):
    """The power meter; role `qlab.roles.PowerMeter`."""

    identity = r"^Thorlabs,PM(103E|5020)"
    twin = "sim_devices.power.thorlabs_pm103e.PM103ETwin"
    wire = "tcp"
    usual_addresses = ()
    link_options = {}

    def query_identity(self, link: Link) -> str:
        """Return the reply to `*IDN?`."""
        del link
        return self._exchange("*IDN?", retry=False)

    def prepare(self) -> None:
        """Forget errors from before our time."""
        with self.link.transaction() as link:
            link.write(_segment("*CLS"))

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the reply to a query."""
        return self._exchange(command, delay_s=delay_s, timeout_s=timeout_s)

    def tell(self, command: str) -> None:
        """Send a set; raises `InstrumentError` with the error queue's own words."""
        errors: list[str] = []
        with self.link.transaction() as link:
            link.write(_segment(command))
            while len(errors) < self.queue_length:
                found = self._exchange(self.error_query, retry=False)
                code = re.match(r"\s*([-+]?\d+)", found)
                if code is None:
                    what = "the error queue's reply does not begin with a number"
                    raise BadReplyError(what, device=self.name, command=self.error_query, found=found)
                if int(code[1]) == 0:
                    break
                errors.append(found)
        if errors:
            self.refused(command, "; ".join(errors))

    def _exchange(
        self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None, retry: bool = True
    ) -> str:
        def read() -> bytes:
            return self._read(timeout_s)

        reply = self.link.query(_segment(command), delay_s=delay_s, timeout_s=timeout_s, retry=retry, read=read)
        return reply.decode("ascii", "replace").rstrip("\r\n")

    def _read(self, timeout_s: float | None) -> bytes:
        """Read a message, segment by segment."""
        message, missing, number = b"", 0, 0
        while missing or not number:
            head = self.link.read_exact(HEADER.size, timeout_s)
            kind, count, length = HEADER.unpack(head)
            if (kind, count) != (NEXT if number else FIRST, number) or not length or (number and length > missing):
                self.link.distrust()
                what, expected = (
                    "a segment does not begin as it should",
                    f"0x{NEXT if number else FIRST:02X}, {number}, a length",
                )
                raise BadReplyError(what, device=self.name, found=head, expected=expected)
            missing = missing or length
            message += self.link.read_exact(min(length, SEGMENT), timeout_s)
            missing -= min(length, SEGMENT)
            number = (number + 1) % 256
        return message


def _segment(command: str) -> bytes:
    """Return a command that fits into one segment, as all do."""
    payload = command.encode("ascii")
    return HEADER.pack(FIRST, 0, len(payload)) + payload
