"""Twin of the S-Fifteen TDC1 time tagger.  Written from protocol sheet 11.

Commands end with `;`, CR or LF; sets are silent.  `counts?` runs one integration: counts as text in the modes singles and
pairs, a stream of binary words in the mode timestamp.  Meanwhile only `abort` is heard; the rest waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from sim_devices.taggers.tdc1_conversation import INPUTS, LEVELS_V, TDC1Conversation
from sim_devices.taggers.tdc1_words import BIN_PS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["TDC1Twin"]

PULSE_V = {"nim": -0.8, "ttl": 3.3}  # what detectors of either kind send, by their standards


class Parameters(BaseModel):
    """The `twin:` section."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "TDC1-0042"
    resolution_ps: int = Field(BIN_PS, ge=BIN_PS, le=BIN_PS, description="[V1] 2 ns")
    dead_time_ps: int = Field(BIN_PS, ge=0, description="[INF] of each input")
    max_rate_hz: float = Field(4e6, gt=0, description="[V1] events a second over USB")
    pulses: Literal["nim", "ttl"] = Field("nim", description="what the detectors send")


class TDC1Twin:
    """The tagger."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self.clock = bench.clock
        self._name = name
        self._bench = bench
        self.parameters = parameters
        self.feed = bench.tag_feed(name)
        self.external_clock = False
        self.slip = False
        self.reset_power()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> TDC1Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Return to the power-on state."""
        self.mode, self.time_ms, self.level_v, self.reference, self.binary = "singles", 1000, LEVELS_V["nim"], 0, False

    def connect(self) -> TDC1Conversation:
        """Begin a conversation with one client."""
        return TDC1Conversation(self)

    def peek(self) -> dict[str, object]:
        """Return the state."""
        return {"mode": self.mode, "time_ms": self.time_ms, "level_v": self.level_v, "reference": self.reference}

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Lose two bytes of the next stream (`slip`), or plug in the external clock."""
        if name not in ("slip", "external_clock"):
            msg = f"{self._name}: unknown device fault {name!r}; expected slip or external_clock"
            raise TwinError(msg)
        if name == "slip":
            self.slip = active
        else:
            self.external_clock = active

    def sees(self) -> bool:
        """Return whether the threshold lies between no pulse and a pulse."""
        pulse = PULSE_V[self.parameters.pulses]
        return 0.0 < self.level_v / pulse < 1.0

    def events(self, start_ps: int, stop_ps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return times and channels of what the inputs see."""
        block = self.feed.read(start_ps, stop_ps)
        if not self.sees():
            return np.empty(0, np.int64), np.empty(0, np.uint8)
        keep = block.ch < INPUTS
        return block.t[keep], block.ch[keep]
