"""A port of a SIM900: its line's settings, and the bytes on their way to the module and back, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from sim_devices.detectors.sim900_arguments import QUEUE
from sim_devices.detectors.sim900_line import ENDS, LINE

if TYPE_CHECKING:
    from sim_devices.detectors.sim900_module import Module

__all__ = ["Port"]

THINKS_PS = PS_PER_S // 200
"""[INF] Between a command's last bit and the first of its answer; with 9600 baud an answer takes up to 100 ms [V2]."""
FRAME_BITS = 10  # start, eight data, stop


class Port:
    """One port.

    Parameters
    ----------
    module:
        What is plugged in, if anything.
    """

    def __init__(self, module: Module | None = None) -> None:
        self.module = module
        self.end = ENDS[1]
        self.line = dict(LINE)
        self.passes = False
        """Whether what comes is told to the host unasked."""
        self._free_ps = 0
        self._held: list[tuple[int, int]] = []
        """When bytes that nobody takes are given up, and how many they are."""
        self._coming: list[tuple[int, bytes]] = []

    @property
    def byte_ps(self) -> int:
        """How long a byte takes on the line."""
        return FRAME_BITS * PS_PER_S // self.line["BAUD"]

    def send(self, data: bytes, now_ps: int) -> None:
        """Put bytes into the output queue."""
        if self.module is None:
            if self.line["FLOW"] == 1:  # nothing pulls its clear-to-send
                self._held.append((now_ps + self.line["TMOT"] * PS_PER_S // 1000, len(data)))
            return
        self._free_ps = max(self._free_ps, now_ps) + len(data) * self.byte_ps
        if self.line["BAUD"] != self.module.baud:
            self.module.garble()
        elif self.line["PARI"]:
            self.module.garble(parity=True)
        elif said := self.module.take(data):
            start_ps = self._free_ps + THINKS_PS
            if self._coming:
                last_ps, last = self._coming[-1]
                start_ps = max(start_ps, last_ps + len(last) * self.byte_ps)
            self._coming.append((start_ps, said))

    def timed_out(self, now_ps: int) -> bool:
        """Give up the bytes that nobody took in time; tell whether there were any."""
        before = len(self._held)
        self._held = [each for each in self._held if each[0] > now_ps]
        return len(self._held) < before

    def unsent(self, now_ps: int) -> int:
        """Return how many bytes are in the output queue."""
        held = sum(count for _, count in self._held)
        return held + max(-(-(self._free_ps - now_ps) // self.byte_ps), 0)

    def waiting(self, now_ps: int) -> bytes:
        """Return what has come from the module; what does not fit waits in the module."""
        parts = (data[: max((now_ps - start) // self.byte_ps, 0)] for start, data in self._coming)
        return b"".join(parts)[:QUEUE]

    def fetch(self, count: int, now_ps: int) -> bytes:
        """Take bytes from the input queue."""
        data = self.waiting(now_ps)[: max(count, 0)]
        left = len(data)
        rest = []
        for start, piece in self._coming:
            gone = min(left, len(piece))
            left -= gone
            if piece[gone:]:
                rest.append((start + gone * self.byte_ps, piece[gone:]))
        self._coming = rest
        return data

    def complete_ps(self) -> int | None:
        """Return when the first answer on its way has come as a whole."""
        if not self._coming:
            return None
        start, data = self._coming[0]
        return start + len(data) * self.byte_ps

    def flush_input(self) -> None:
        """Forget what came."""
        self._coming.clear()

    def flush_output(self) -> None:
        """Forget what is to be sent."""
        self._held.clear()

    def hear_break(self) -> None:
        """Flush, and bring module and line back to 9600 baud."""
        self.flush_input()
        self.flush_output()
        self.line["BAUD"] = LINE["BAUD"]
        if self.module is not None:
            self.module.hear_break()

    def power_up(self) -> None:
        """Return to the power-on state."""
        self.end, self.line, self.passes = ENDS[1], dict(LINE), False
        self._free_ps = 0
        self.flush_input()
        self.flush_output()
        if self.module is not None:
            self.module.lose_power()
