"""What a repeater module's twin is made of: qubits, links, pairs, and the module's own errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.physics.midpoint import LinkEnd
    from qlab.physics.register import Axis

__all__ = ["FOREVER", "Done", "Heard", "Link", "Pair", "Slot", "device_error"]

ERRORS = {
    101: "Qubit not initialised",
    102: "Qubit busy",
    103: "No pair on qubit",
    104: "Link not ready",
    105: "Pair expired",
    106: "Event overflow",
    107: "Clock not locked",
    108: "Environment out of range",
    109: "Peer not synchronised",
    110: "Illegal programme",
    111: "Locked by another controller",
}
FOREVER = 2**62
Done: TypeAlias = "Callable[[int], None]"
"""Told when an operation is over, with the lab time."""
Heard: TypeAlias = "Callable[[int, int | None, int], None]"
"""Told how a burst ended: lab time, Bell label or None, what was measured."""


def device_error(code: int) -> ScpiError:
    """Return one of the module's own errors."""
    return ScpiError(code, ERRORS[code])


@dataclass(frozen=True, slots=True)
class Pair:
    """Half of an entangled pair, as the module knows it; times are the lab's."""

    id: int
    bell: int
    link: int
    attempts: int
    heralded_ps: int
    since_ps: int
    f0: float

    def fidelity(self, t_ps: int, t2_s: float) -> float:
        """Return what the module takes for the fidelity: both ends' memories taken to be alike."""
        return 0.25 + (self.f0 - 0.25) * math.exp(-(t_ps - self.since_ps) / PS_PER_S / (t2_s / 2.0))


@dataclass(slots=True)
class Slot:
    """One qubit."""

    number: int
    t1_s: float
    t2_s: float
    state: str = "UNIN"
    pair: Pair | None = None
    expired: bool = False
    busy: bool = False


@dataclass(slots=True)
class Link:
    """One entanglement link and its settings."""

    number: int
    end: LinkEnd
    enabled: bool = False
    kind: str = "K"
    basis: Axis = "Z"
    most: int = 1_000_000
    window_s: float = 1e-6
    cut_off_s: float = math.inf
    least_fidelity: float = 0.0
    outcome: str = ""
    """HER or FAIL after a burst, OVER where one was broken off."""
    target: int = 1
    counted: int = 0
    heard: Heard | None = None
    """Who is told instead of the events' reader."""
    herald: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
