"""One block as a conversation: what a party says, hears and counts, without a socket or a thread.

A party's side of a block is a generator.  It yields bytes to be sent, `HEAR` when it wants the next message's bytes, or a
callable whose result it wants (a measurement, a long computation), so that whoever drives it may let others live
meanwhile; `drive` in tests does it with two lists, `qlab.parties` with sockets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qlab.errors import KeyRefusedError, PeerError
from qlab.qkd.authentication import AuthenticationTag
from qlab.qkd.block_messages import GiveUp
from qlab.qkd.messages import decode, encode

if TYPE_CHECKING:
    from qlab.qkd.authentication import Authenticator
    from qlab.qkd.messages import Message

__all__ = ["HEAR", "PARTS_LOG2", "Conversation", "PeerGaveUpError", "PeerWentOnError", "Talk", "long_work"]

HEAR: Final = None
PARTS_LOG2 = 20
"""The number in a message's header is that of the exchange times 2^20 plus that of the part: a frame of Cascade."""
T = TypeVar("T")
M = TypeVar("M", bound="Message")
Conversation = Generator["bytes | Callable[[], Any] | None", Any, T]


class PeerGaveUpError(KeyRefusedError):
    """The peer gave the block up, and said why."""


class PeerWentOnError(PeerError):
    """The peer has given this block up and begun another one; its first message is kept."""

    def __init__(self, data: bytes) -> None:
        super().__init__("the peer has gone on to another block")
        self.data = data


class Talk:
    """What is said in one exchange.

    Parameters
    ----------
    exchange:
        Its number in this session; messages of earlier ones are passed over.
    authenticator:
        Hashes both transcripts.
    heard:
        A message that came before this exchange was begun, if one did.
    """

    def __init__(self, exchange: int, authenticator: Authenticator, heard: bytes | None = None) -> None:
        self.exchange = exchange
        self._authenticator = authenticator
        self._said, self._heard = authenticator.transcript(mine=True), authenticator.transcript(mine=False)
        self._first = heard
        self._pending_tag = b""
        self.messages: Counter[str] = Counter()
        """Messages by kind, of both directions."""
        self.disclosed: Counter[str] = Counter()
        """Bits about the key that they gave away, by kind."""

    @property
    def bytes_said(self) -> int:
        """Bytes of all messages of this side."""
        return self._said.n_bytes

    @property
    def bytes_heard(self) -> int:
        """Bytes of all messages of the peer."""
        return self._heard.n_bytes

    @property
    def disclosed_bits(self) -> int:
        """Bits about the key that were given away."""
        return self.disclosed.total()

    def say(self, message: Message, part: int = 0) -> Conversation[None]:
        """Say something."""
        data = encode(message, self.exchange << PARTS_LOG2 | part)
        self._count(message)
        self._said.add(data)
        yield data

    def hear_any(self) -> Conversation[tuple[Message, int]]:
        """Hear the next message of this exchange, and its part.

        Raises
        ------
        PeerGaveUpError, PeerWentOnError
            As they say.
        """
        while True:
            data, self._first = self._first, None
            if data is None:
                data = yield HEAR
            message, number = decode(data)
            exchange, part = number >> PARTS_LOG2, number & (1 << PARTS_LOG2) - 1
            if exchange < self.exchange:
                continue
            if exchange > self.exchange:
                raise PeerWentOnError(data)
            if isinstance(message, GiveUp):
                msg = f"the peer gave the block up: {message.reason.decode(errors='replace')}"
                raise PeerGaveUpError(msg)
            self._count(message)
            if isinstance(message, AuthenticationTag):
                # It signs what was said before it, and is itself signed by the next one.
                self._pending_tag = data
            else:
                self._heard.add(data)
            return message, part

    def hear(self, kind: type[M]) -> Conversation[M]:
        """Hear a message of one kind.

        Raises
        ------
        PeerError
            It is of another kind.
        """
        message, _ = yield from self.hear_any()
        if not isinstance(message, kind):
            msg = f"{type(message).__name__} came where {kind.__name__} was expected; the block is given up"
            raise PeerError(msg)
        return message

    def sign(self) -> Conversation[None]:
        """Spend a slot, and say the tag of all that this side has said."""
        yield from self.say(self._authenticator.sign(self._said))

    def verify(self) -> Conversation[None]:
        """Hear the peer's tag, and check it against all that the peer has said.

        Raises
        ------
        PeerError
            It is not what the peer said.
        """
        tag = yield from self.hear(AuthenticationTag)
        self._authenticator.verify(self._heard, tag)
        self._heard.add(self._pending_tag)

    def _count(self, message: Message) -> None:
        name = type(message).__name__
        self.messages[name] += 1
        if message.secret_bits:
            self.disclosed[name] += message.secret_bits


def long_work(action: Callable[[], T]) -> Conversation[T]:
    """Have something done that takes a while."""
    result: T = yield action
    return result
