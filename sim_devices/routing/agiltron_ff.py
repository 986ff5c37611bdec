"""Twin of the Agiltron FF fibre switch, one input to four or eight outputs.  Written from protocol sheet 16."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Step
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import FixedFramer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["AgiltronFFTwin"]

FRAME = 4
HEAD, SWITCH, ASK = 0x01, 0x12, 0x11
"""[V1] Bytes of a frame, and what stands in them."""


class Parameters(BaseModel):
    """The `twin:` section: properties of the switch."""

    model_config = ConfigDict(extra="forbid")

    channels: Literal[4, 8] = Field(4, description="[V1] 1x4 or 1x8")
    settling_s: float = Field(0.002, ge=0, description="[INF] 0.5 to 10 ms")


class AgiltronFFTwin:
    """The switch: frames of four bytes; what is no command of its is not answered [INF]."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._parameters = parameters
        self._clock = bench.clock
        self._knob = bench.knob(name, "route.1", 1.0)
        self._stuck = False
        self._channel = 0
        self._go(1)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> AgiltronFFTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        framer = FixedFramer(FRAME, lambda head: 0 if head[0] == HEAD else -1)  # finds its way back to a head
        return Dialogue(self, framer, self._clock)

    def reset_power(self) -> None:
        """Return to channel 1 [INF]."""
        self._go(1)

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let the switch stick where it is, or free it."""
        if name != "stuck":
            msg = f"{self._name}: unknown device fault {name!r}; expected stuck"
            raise TwinError(msg)
        self._stuck = active

    def peek(self) -> dict[str, object]:
        """Return the channel."""
        return {"channel": self._channel}

    def answer(self, message: bytes) -> Script:
        """Carry out one frame."""
        if message[:3] == bytes([HEAD, ASK, 0]):
            yield bytes([HEAD, ASK, 0, self._channel])
        elif message[:3] == bytes([HEAD, SWITCH, 0]) and 1 <= message[3] <= self._parameters.channels:
            self._go(message[3])
            yield message

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Say nothing: the protocol has no word for it."""
        del message, kind, text
        return b""

    def _go(self, channel: int) -> None:
        if self._stuck or channel == self._channel:
            return
        now = self._clock.now_ps()
        arrival = now + round(self._parameters.settling_s * PS_PER_S) if self._channel else now
        self._channel = channel
        self._knob.set(Step(0.0, arrival, float(channel)), now)
