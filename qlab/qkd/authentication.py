"""Wegman-Carter authentication: tags that no computer forges, paid for with one-time key.

The tag of a message is H_r(message) + s over p = 2^127 - 1: H is the polynomial hash of `qlab.qkd.field` at a secret
point r that stays, s is fresh for each tag (M. N. Wegman, J. L. Carter, J. Comput. Syst. Sci. 22, 265 (1981); for the
reuse of r: C. Portmann, IEEE Trans. Inf. Theory 60, 4383 (2014)).  For any two messages and any difference of tags at
most L of p points r fit, so that a forgery passes with a probability of at most (L + 3) / p, 2^-110 for a transcript
of 1 MB.

Each secret s is a *slot* of the pool, 16 bytes.  The reference tags with even slots, the corrector with odd ones, so
that both may speak without asking; a slot is spent for good, on disk, before a tag is made of it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from qlab.errors import PeerError
from qlab.qkd.field import PRIME, element, limbs
from qlab.qkd.messages import U32, Blob, Message, register
from qlab.qkd.transcript import Transcript

__all__ = ["SLOT_BYTES", "AuthenticationTag", "Authenticator", "Role", "SlotPool", "forgery_probability"]

SLOT_BYTES = 16
Role = Literal["reference", "corrector"]


@register
@dataclass(frozen=True, slots=True, eq=False)
class AuthenticationTag(Message):
    """A tag, and the slot of the pool that was spent for it."""

    kind: ClassVar[int] = 48
    slot: U32
    tag: Blob


class SlotPool(Protocol):
    """Where one-time keys come from; `qlab.qkd.ledger.KeyLedger` is one."""

    @property
    def point(self) -> bytes:
        """The 16 bytes of r."""
        ...

    def spend(self, role: Role) -> tuple[int, bytes]:
        """Return a slot that was never used and its bytes, after it is marked as spent for good."""
        ...

    def spend_slot(self, role: Role, slot: int) -> bytes:
        """Return the bytes of the slot that the peer used, and mark it, and all before it, as spent."""
        ...


def forgery_probability(n_bytes: int) -> float:
    """Return a bound on the probability that one forged message of `n_bytes` passes."""
    return (limbs(n_bytes + 1) + 3) / PRIME


class Authenticator:
    """Makes and checks tags of one side."""

    def __init__(self, pool: SlotPool, role: Role) -> None:
        self._pool = pool
        self._role: Role = role
        self._peer: Role = "corrector" if role == "reference" else "reference"

    def transcript(self, *, mine: bool) -> Transcript:
        """Return an empty transcript of what this side says, or of what the peer says."""
        begun = Transcript(self._pool.point)
        begun.add(b"R" if (self._role == "reference") == mine else b"C")
        return begun

    def sign(self, said: Transcript) -> AuthenticationTag:
        """Spend a slot and return the tag of what this side said."""
        slot, secret = self._pool.spend(self._role)
        return AuthenticationTag(slot, _tag(said, secret))

    def verify(self, heard: Transcript, message: Message) -> None:
        """Spend the peer's slot and check its tag of what it said.

        Raises
        ------
        PeerError
            The tag is not right: somebody else spoke, or bytes were lost; nothing of what was said may be used.
        """
        if not isinstance(message, AuthenticationTag):
            msg = f"authentication: {type(message).__name__} came where a tag was expected"
            raise PeerError(msg)
        secret = self._pool.spend_slot(self._peer, message.slot)
        if not hmac.compare_digest(_tag(heard, secret), message.tag):
            msg = f"authentication: the tag with slot {message.slot} is wrong: not what the peer said, the block is given up"
            raise PeerError(msg)

    def make(self, data: bytes) -> AuthenticationTag:
        """Spend a slot and return the tag of `data`."""
        return self.sign(self._whole(data, mine=True))

    def check(self, data: bytes, message: Message) -> None:
        """Spend the peer's slot and check its tag of `data`; raises `PeerError` as `verify` does."""
        self.verify(self._whole(data, mine=False), message)

    def _whole(self, data: bytes, *, mine: bool) -> Transcript:
        said = self.transcript(mine=mine)
        said.add(data)
        return said


def _tag(said: Transcript, secret: bytes) -> bytes:
    return ((said.hash() + element(secret)) % PRIME).to_bytes(SLOT_BYTES, "big")
