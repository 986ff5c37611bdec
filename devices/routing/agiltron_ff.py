"""Agiltron FF fibre switch: sends one input to one of four or eight outputs within milliseconds.

Serial, 9600 baud, frames of four bytes; a switch command is echoed, and the channel asked for to see that it was obeyed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import QuerySignal
from qlab.errors import BadReplyError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["AgiltronFF"]

FRAME = 4
ASK, SWITCH = bytes.fromhex("01110000"), bytes.fromhex("011200")
"""[V1] Bytes of a frame, and what stands in them; the channel follows the switch command."""
BAUD, TIMEOUT_S = 9600, 0.5
"""[V1] The line is 8N1 without flow control."""
SETTLING_S = 0.01
"""[INF] 0.5 to 10 ms."""


class _Channel(QuerySignal):
    """The output, asked and told in binary."""

    def fetch(self) -> int:
        self.remember(self.parent.ask_channel())
        return int(self.get())

    def store(self, value: Any) -> None:
        self.check_value(value)
        self.parent.switch_to(int(value))
        self.wanted = int(value)


class AgiltronFF(Instrument):
    """The switch; role `qlab.roles.Switch` with the one input 1."""

    identity = r"^01 11 00 0[1-8]$"
    twin = "sim_devices.routing.agiltron_ff.AgiltronFFTwin"
    wire = "serial"
    link_options = {"baud": BAUD, "terminator": b""}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        channels: Literal[4, 8] = 4
        channel: int | None = None

    channel = Cpt(_Channel, query="01 11 00 00", command="01 12 00 {:02d}", initial=1, limits=(1, 8), kind="hinted")

    inputs = 1

    def query_identity(self, link: Link) -> str:
        """Return the reply to the channel query, the only word that it has."""
        link.clear(b"")
        return link.query(ASK, retry=False, read=lambda: link.read_exact(FRAME, TIMEOUT_S)).hex(" ")

    @property
    def firmware(self) -> str:
        """Nothing: it does not tell."""
        return ""

    @property
    def outputs(self) -> int:
        """How many outputs there are."""
        return int(self.settings.channels)

    @property
    def routes(self) -> dict[int, int]:
        """Output by input, as last fetched."""
        return {1: int(self.channel.get())}

    def prepare(self) -> None:
        """Know how many outputs there are."""
        self.channel.narrow(1, self.outputs)

    def set(self, routes: Mapping[int, int] | int) -> WorkerStatus:
        """Send the light to an output, `{1: 3}` or just 3; done when it has settled."""
        if not isinstance(routes, int) and set(routes) != {1}:
            msg = f"{self.name}: a connection of input {', '.join(map(str, routes)) or 'none'}; expected input 1 alone"
            raise LimitError(msg)
        wanted = routes if isinstance(routes, int) else routes[1]
        status: WorkerStatus = self.channel.set(wanted)
        return status

    def ask_channel(self) -> int:
        """Return the channel; blocks for the wire."""
        reply = self._exchange(ASK)
        if reply[:3] != ASK[:3] or not 1 <= reply[3] <= self.outputs:
            self.link.distrust()
            what = "the reply is no channel"
            expected = f"01 11 00 and 1 to {self.outputs}"
            raise BadReplyError(what, device=self.name, command=ASK, found=reply.hex(" "), expected=expected)
        return reply[3]

    def switch_to(self, channel: int) -> None:
        """Switch, wait and see that it did; blocks for the wire."""
        command = SWITCH + bytes([channel])
        reply = self._exchange(command)
        self.wait_s(SETTLING_S)
        found = self.channel.fetch()
        if reply != command or found != channel:
            what, hint = "the switch did not switch", "is it stuck?"
            text = f"echo {reply.hex(' ')}, channel {found}"
            raise InstrumentError(what, device=self.name, command=command, found=text, expected=str(channel), hint=hint)

    def _exchange(self, command: bytes) -> bytes:
        return self.link.query(command, read=lambda: self.link.read_exact(FRAME, TIMEOUT_S))
