"""Two parties without a network: their messages go from list to list.  For tests, benchmarks and simulations."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from qlab.errors import PeerError, QlabError
from qlab.qkd.conversation import HEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qlab.qkd.authentication import Role
    from qlab.qkd.conversation import Conversation

__all__ = ["Wire", "converse"]

T = TypeVar("T")
Wire = "Callable[[Role, bytes], Iterable[bytes]]"


def converse(
    reference: Conversation[T],
    corrector: Conversation[T],
    wire: Callable[[Role, bytes], Iterable[bytes]] = lambda _, data: (data,),
) -> tuple[T | QlabError, T | QlabError]:
    """Let both talk until both have ended; returns what each returned, or the error that it ended with.

    Parameters
    ----------
    reference, corrector:
        Both sides of a block.
    wire:
        What becomes of a message: who said it, its bytes, and what arrives of it.  A party that waits while nothing is under
        way is told that its peer is silent.
    """
    sides: dict[Role, Conversation[T]] = {"reference": reference, "corrector": corrector}
    inbox: dict[Role, deque[bytes]] = {"reference": deque(), "corrector": deque()}
    peer: dict[Role, Role] = {"reference": "corrector", "corrector": "reference"}
    ended: dict[Role, T | QlabError] = {}

    def run(role: Role, error: QlabError | None = None) -> None:
        """Let one party go on until it waits for a message that is not there."""
        side, answer = sides[role], None
        try:
            wanted = side.throw(error) if error is not None else next(side) if role not in begun else HEAR
            begun.add(role)
            while True:
                if wanted is HEAR:
                    if not inbox[role]:
                        return
                    wanted = side.send(inbox[role].popleft())
                elif isinstance(wanted, bytes):
                    inbox[peer[role]].extend(wire(role, wanted))
                    wanted = next(side)
                else:
                    answer = wanted()
                    wanted = side.send(answer)
        except StopIteration as stop:
            ended[role] = stop.value
        except QlabError as failed:
            ended[role] = failed

    begun: set[Role] = set()
    while len(ended) < 2:
        for role in sides:
            if role not in ended:
                run(role)
        if not any(inbox[role] for role in sides if role not in ended):
            silent = next((role for role in sides if role not in ended), None)
            if silent is not None:
                run(silent, PeerError("the peer is silent; the block is given up"))
    return ended["reference"], ended["corrector"]
