"""The cross-connect inside a Polatis switch: which input is joined to which output, and which ports are of use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.knob import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qlab.twin.bench import Bench

__all__ = ["Matrix", "PortError"]

DARK_DBM = -60.0
"""[INF] What a power monitor shows in the dark."""


class PortError(Exception):
    """The switch cannot do this with its ports."""


class Matrix:
    """Inputs 1 to N and outputs N+1 to N+M, freely connected.

    Parameters
    ----------
    name, bench:
        Of the twin; the world gets a knob `route.N` for each input, for each port where any two can be joined.
    inputs, outputs:
        How many there are.
    settling_s:
        Time that a beam needs to find its new way; it is dark meanwhile.
    any_pair:
        Whether ports of the same side can be joined.
    """

    def __init__(
        self, name: str, bench: Bench, inputs: int, outputs: int, settling_s: float, *, any_pair: bool = False
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.partner: dict[int, int] = {}
        self.disabled: set[int] = set()
        self.failed: set[int] = set()
        self._name = name
        self._bench = bench
        self._clock = bench.clock
        self._any_pair = any_pair
        self._settling_ps = round(settling_s * PS_PER_S)
        self._routes = {n: bench.knob(name, f"route.{n}") for n in range(1, inputs + 1 + any_pair * outputs)}

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The connections, by input; by their lower port on the same side."""
        return sorted((a, b) for a, b in self.partner.items() if a < b)

    def check(self, ports: Iterable[int]) -> None:
        """Raise `PortError` for a port that does not exist."""
        for port in ports:
            if not 1 <= port <= self.inputs + self.outputs:
                msg = f"there is no port {port}"
                raise PortError(msg)

    def join(self, firsts: Sequence[int], seconds: Sequence[int]) -> None:
        """Connect ports pair by pair, whichever side is named first; ports already in use move."""
        if len(firsts) != len(seconds):
            msg = "the lists are of different lengths"
            raise PortError(msg)
        pairs = [tuple(sorted(pair)) for pair in zip(firsts, seconds, strict=True)]
        self.check(port for pair in pairs for port in pair)
        for a, b in pairs:
            if a == b or not (self._any_pair or a <= self.inputs < b):
                msg = f"{a} and {b} are on the same side"
                raise PortError(msg)
            for port in (a, b):
                if port in self.disabled or port in self.failed:
                    msg = f"port {port} is {'disabled' if port in self.disabled else 'out of order'}"
                    raise PortError(msg)
        for a, b in pairs:
            if self.partner.get(a) != b:
                self.part([a, b])
                self.partner |= {a: b, b: a}
                self._steer(a, b)

    def part(self, ports: Iterable[int]) -> None:
        """Take ports out of their connections."""
        for port in list(ports):
            other = self.partner.pop(port, None)
            if other is not None:
                del self.partner[other]
                self._steer(port, other)

    def switch_off(self, port: int) -> None:
        """Disable a port; its connection ends."""
        self.disabled.add(port)
        self.part([port])

    def state(self, port: int) -> str:
        """Return E, D or F: enabled, disabled, failed."""
        return "F" if port in self.failed else "D" if port in self.disabled else "E"

    def power_dbm(self, port: int) -> float:
        """Return the light on the power monitor of a port, as the bench has it by the name `<switch>.<port>`."""
        watts = self._bench.optical_power_w(f"{self._name}.{port}", self._clock.now_ps())
        return max(10.0 * math.log10(watts * 1e3), DARK_DBM) if watts > 0.0 else DARK_DBM

    def _steer(self, *ports: int) -> None:
        now = self._clock.now_ps()
        for port in ports:
            if port in self._routes:
                self._routes[port].set(Step(0.0, now + self._settling_ps, float(self.partner.get(port, 0))), now)
