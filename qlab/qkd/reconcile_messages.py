"""What Cascade and LDPC have in common on the wire: the terms, parities of a frame, the end of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from qlab.qkd.messages import F64, U32, U64, BitString, Message, register

if TYPE_CHECKING:
    from qlab.qkd.bits import SecretBits

__all__ = ["Corrector", "FrameDone", "FrameParities", "ReconcileOpen", "Reference"]


@register
@dataclass(frozen=True, slots=True, eq=False)
class ReconcileOpen(Message):
    """Reconcile for this expected error rate; the seed of Cascade's permutations."""

    kind: ClassVar[int] = 15
    error_rate: F64
    seed: U64


@register
@dataclass(frozen=True, slots=True, eq=False)
class FrameParities(Message):
    """Parities of the reference's key, in the order they were asked for."""

    kind: ClassVar[int] = 19
    bits: BitString

    @property
    def secret_bits(self) -> int:
        """As many as there are parities."""
        return self.bits.size


@register
@dataclass(frozen=True, slots=True, eq=False)
class FrameDone(Message):
    """The corrector asks no more about a frame, in which it flipped `corrected` bits."""

    kind: ClassVar[int] = 20
    corrected: U32


class Reference(Protocol):
    """The party whose key counts, for one frame: it answers, and never learns the other key."""

    done: bool

    def start(self) -> Message | None:
        """Return what it says unasked, if anything."""
        ...

    def receive(self, message: Message) -> Message | None:
        """Answer one message of the corrector; None after `FrameDone`.

        Raises
        ------
        PeerError
            The corrector asks for what makes no sense.
        KeyRefusedError
            The answer would disclose too much.
        """
        ...


class Corrector(Protocol):
    """The party that asks and corrects its own key, for one frame."""

    done: bool
    corrected_bits: int

    @property
    def key(self) -> SecretBits:
        """The key as corrected so far."""
        ...

    def start(self) -> Message | None:
        """Return what it asks first; None: it waits for what the reference says unasked."""
        ...

    def receive(self, message: Message) -> Message | None:
        """Take an answer, and return the next question, last `FrameDone`.

        Raises
        ------
        PeerError
            The reference says what was not asked for.
        KeyRefusedError
            The errors of this frame are not to be found.
        """
        ...
