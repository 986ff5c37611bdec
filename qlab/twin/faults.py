"""What can go wrong on a wire, armed from outside the instrument's own port.

=================  ==========================================================================
silent             the reply is lost
late               the reply comes `delay_s` of lab time later
drop               the connection is closed instead of a reply
refuse             the connection is closed, and new ones are refused until the fault is cleared
truncate           the second half of the reply is lost
garble             some bytes of the reply are changed
split              the reply comes in pieces, `delay_s` apart
duplicate          the reply comes twice
noise_prefix       line noise comes before the reply
wrong_identity     a reply to an identity query names another instrument
busy               the command is looked at only `delay_s` later
error              the instrument answers with its error text, or not at all where it has none
=================  ==========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np

from qlab.errors import TwinError

__all__ = ["WIRE_FAULTS", "FaultFilter", "WireFault", "WireFaultKind"]

WireFaultKind: TypeAlias = Literal[
    "silent",
    "late",
    "drop",
    "refuse",
    "truncate",
    "garble",
    "split",
    "duplicate",
    "noise_prefix",
    "wrong_identity",
    "busy",
    "error",
]
WIRE_FAULTS: tuple[WireFaultKind, ...] = get_args(WireFaultKind)
NOISE = b"\xfe\x00~\x7f"
IMPOSTOR = b"Impostor,X1,0,0"


@dataclass(slots=True)
class WireFault:
    """One armed fault.

    Parameters
    ----------
    kind:
        What happens.
    count:
        To how many replies it happens; None for all until it is cleared.
    probability:
        With which probability a reply is hit.
    match:
        Only replies to commands that contain these bytes are hit.
    delay_s:
        Lab seconds for late, split and busy.
    """

    kind: WireFaultKind
    count: int | None = 1
    probability: float = 1.0
    match: bytes = b""
    delay_s: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in WIRE_FAULTS:
            msg = f"unknown wire fault {self.kind!r}; expected one of {', '.join(WIRE_FAULTS)}"
            raise TwinError(msg)


@dataclass(slots=True)
class FaultFilter:
    """The faults of one mount.

    Parameters
    ----------
    seed:
        Key of the draws; the n-th decision is a function of seed and n.
    error_reply:
        What the instrument says when it fails; empty for an instrument that then is silent.
    """

    seed: int = 0
    error_reply: bytes = b""
    armed: list[WireFault] = field(default_factory=list)
    hits: int = 0
    _draws: int = 0

    def arm(self, fault: WireFault) -> None:
        """Add a fault."""
        self.armed.append(fault)

    def clear(self, kind: str | None = None) -> None:
        """Remove all faults, or those of one kind."""
        self.armed = [fault for fault in self.armed if kind is not None and fault.kind != kind]

    @property
    def refusing(self) -> bool:
        """Whether new connections are refused."""
        return any(fault.kind == "refuse" for fault in self.armed)

    def take(self, command: bytes, stage: Literal["command", "reply"]) -> WireFault | None:
        """Return the fault that hits this command or its reply, counting it down."""
        for fault in self.armed:
            if (fault.kind == "busy") != (stage == "command") or fault.match not in command:
                continue
            if fault.kind == "wrong_identity" and not _asks_identity(command):
                continue
            if fault.probability < 1.0 and self._draw().random() >= fault.probability:
                continue
            self.hits += 1
            if fault.count is not None and fault.kind != "refuse":
                fault.count -= 1
                if fault.count <= 0:
                    self.armed.remove(fault)
            return fault
        return None

    def pieces(self, fault: WireFault, reply: bytes) -> list[tuple[float, bytes]]:
        """Return what goes onto the wire instead of `reply`, with lab seconds to wait before each piece."""
        half = max(len(reply) // 2, 1)
        match fault.kind:
            case "late":
                return [(fault.delay_s, reply)]
            case "truncate":
                return [(0.0, reply[:half])] if len(reply) > 1 else []
            case "garble":
                return [(0.0, self._garbled(reply))]
            case "split":
                return [(0.0, reply[:half]), (fault.delay_s, reply[half:])]
            case "duplicate":
                return [(0.0, reply + reply)]
            case "noise_prefix":
                return [(0.0, NOISE + reply)]
            case "wrong_identity":
                end = reply[len(reply.rstrip(b"\r\n")) :]
                return [(0.0, IMPOSTOR + end)]
            case "error":
                return [(0.0, self.error_reply)] if self.error_reply else []
            case _:
                return []

    def _draw(self) -> np.random.Generator:
        self._draws += 1
        return np.random.default_rng((self.seed, self._draws))

    def _garbled(self, reply: bytes) -> bytes:
        body = bytearray(reply)
        end = len(reply.rstrip(b"\r\n"))
        draw = self._draw()
        for i in draw.integers(0, max(end, 1), size=max(end // 4, 1)):
            body[i] = int(draw.integers(0x80, 0x100))
        return bytes(body)


def _asks_identity(command: bytes) -> bool:
    text = command.lower()
    return b"id" in text or text[1:3] == b"in"
