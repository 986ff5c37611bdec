"""The parts of an ID900 between its inputs and its outputs: gates, inputs, delays, coincidence blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["DelayBlock", "Gate", "InputBlock", "RawBlock", "TscoBlock", "WindowEdge"]


INPUT_NAMES: Final = ("INPU1", "INPU2", "INPU3", "INPU4", "STAR")
START_CHANNEL: Final = 4  # the tag channel behind the four inputs
TSCO_COUNT: Final = 24  # [V1] the COUNT preset uses blocks up to 24


LOWRES_PS: Final = 100
TOO_FAST: Final = 1001  # [V2] 1001 to 1003 are errors of rate or threshold; which is which is not known
START_THRESHOLD_V: Final = 0.999424  # [V1] as `START:STATE?` shows it


COUNT_PAIRS: Final = {3: (2, 3), 4: (2, 4), 5: (3, 4), 6: (1, 2), 7: (1, 3), 8: (1, 4)}
"""[V1] Coincidence blocks of the COUNT preset, with their inputs."""
COUNT_TRIPLES: Final = {13: (6, 3), 14: (6, 4), 15: (7, 4), 16: (3, 4), 24: (13, 4)}
"""[V1] And those of a block with another input: 13 to 16 are triples, 24 is the quadruple."""
UNWIRED: Final = ("NONE", *(f"TSGE{n}" for n in range(1, 9)))


@dataclass(slots=True)
class Gate:
    """When a connector let pulses through: the moments at which that changed."""

    times: list[int]
    states: list[bool]

    def set(self, state: bool, t_ps: int) -> None:
        """Open or close from `t_ps` on."""
        if self.states[-1] != state:
            self.times.append(t_ps)
            self.states.append(state)

    def passing(self, t: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the events that fell into open times."""
        if len(self.states) == 1:
            return t if self.states[0] else t[:0]
        index = np.searchsorted(np.array(self.times, np.int64), t, side="right") - 1
        passed: NDArray[np.int64] = t[np.array(self.states)[np.maximum(index, 0)]]
        return passed


@dataclass(slots=True)
class InputBlock:
    """One input connector; START has the same."""

    gate: Gate
    enabled: bool = True
    coupling: str = "DC"
    edge: str = "RISING"
    threshold_v: float = 0.499712
    select: str = "UNSHAPED"
    resync: str = "AUTO"
    delay_ps: int = 0


@dataclass(slots=True)
class DelayBlock:
    """A delay line."""

    link: str
    value_ps: int = 0


@dataclass(slots=True)
class WindowEdge:
    """What opens or closes a coincidence window."""

    link: str = "NONE"
    delay_ps: int = 0
    edge: str = "RISING"


@dataclass(slots=True)
class TscoBlock:
    """A coincidence block: how FIRST and SECOND are combined inside and outside of a window."""

    first: str = "NONE"
    second: str = "NONE"
    window: bool = False
    begin: WindowEdge = field(default_factory=WindowEdge)
    end: WindowEdge = field(default_factory=WindowEdge)
    inside: str = "ONLYFIR"
    outside: str = "MUTE"


@dataclass(slots=True)
class RawBlock:
    """A raw tag output: the events of STOP, timed from the events of REF or from the start of the record."""

    stop: str
    gate: Gate
    needs_send: bool
    ref: str = "NONE"
    sending: bool = False
    errors_since_ps: int = 0

    def switch(self, t_ps: int, *, on: bool) -> None:
        """Begin or end to send tags."""
        self.sending = on
        if self.needs_send:
            self.gate.set(on, t_ps)
