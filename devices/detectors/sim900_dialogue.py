"""How one speaks to the modules of a SIM900: through its mainframe, and by polling for what they say."""

from __future__ import annotations

from devices.base import Instrument
from devices.signals import parse_int
from qlab.errors import BadReplyError, LinkTimeoutError

__all__ = ["ModuleDialogue"]

POLL_S, MODULE_TIMEOUT_S = 0.05, 1.0
"""[V2] A module answers within 100 ms."""


class ModuleDialogue(Instrument):
    """A mainframe with modules in numbered slots."""

    def tell_module(self, number: int, command: str) -> None:
        """Send a command to a slot."""
        self.link.tell(f'SNDT {number},"{command}"')

    def ask_module(self, number: int, query: str) -> str:
        """Send a query to a slot and fetch what it answers; blocks for the wire."""
        self.link.tell(f"FLSI {number}")
        self.tell_module(number, query)
        deadline_s, said = self.clock.now_s() + MODULE_TIMEOUT_S, b""
        while not said.endswith(b"\n"):
            if self.clock.now_s() > deadline_s:
                what, hint = f"slot {number} does not answer", "is the module in its slot?"
                raise LinkTimeoutError(what, device=self.name, command=query, found=said or None, hint=hint)
            self.wait_s(POLL_S)
            waiting = self.link.ask_value(f"NINP? {number}", parse_int)
            if waiting:
                said += self._get(number, waiting)
        return said.decode("latin-1").strip()

    def _get(self, number: int, count: int) -> bytes:
        def read() -> bytes:
            head = self.link.read_exact(5)
            if head[:2] != b"#3" or not head[2:].isdigit():
                self.link.distrust()
                what = "the reply is not a block"
                raise BadReplyError(what, device=self.name, command="GETN?", found=head, expected="#3 and three digits")
            data = self.link.read_exact(int(head[2:]))
            self.link.read_until()
            return data

        return self.link.query(f"GETN? {number},{count}", retry=False, read=read)
