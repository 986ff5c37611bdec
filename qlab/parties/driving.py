"""Carry a conversation (`qlab.qkd.conversation`) over a channel, its long work in a thread so that the channel lives on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from qlab.errors import PeerError
from qlab.qkd.conversation import HEAR

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.parties.channel import PartyChannel
    from qlab.qkd.conversation import Conversation

__all__ = ["hold_conversation"]

T = TypeVar("T")


async def hold_conversation(talk: Conversation[T], channel: PartyChannel, patience_s: float = 60.0) -> T:
    """Let a party talk until it has ended, and return its result; its errors are raised.

    Parameters
    ----------
    talk:
        One side of a block.
    channel:
        To the peer.
    patience_s:
        Wall seconds without a message after which the party is told that its peer is silent.
    """

    def go_on(step: Callable[[], Any]) -> Any:
        try:
            return step(), None
        except StopIteration as stop:
            return HEAR, stop

    channel.begin()
    wanted, end = go_on(lambda: next(talk))
    while end is None:
        if wanted is HEAR:
            try:
                heard = await channel.hear(patience_s)
            except PeerError as error:
                wanted, end = go_on(lambda error=error: talk.throw(error))  # type: ignore[misc]
                continue
            wanted, end = go_on(lambda heard=heard: talk.send(heard))  # type: ignore[misc]
        elif isinstance(wanted, bytes):
            await channel.say(wanted)
            wanted, end = go_on(lambda: next(talk))
        else:
            answer = await asyncio.to_thread(wanted)
            wanted, end = go_on(lambda answer=answer: talk.send(answer))  # type: ignore[misc]
    result: T = end.value
    return result
