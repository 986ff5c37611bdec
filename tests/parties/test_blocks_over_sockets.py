"""Whole blocks over a bad TCP channel, with either reconciler, with a party that is killed and started again."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from qlab.errors import QlabError
from qlab.parties.channel import PartyChannel
from qlab.parties.driving import hold_conversation
from qlab.parties.impairments import Impairments
from qlab.qkd.accounting import BlockStatement
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.messages import decode
from qlab.qkd.reference_party import reference_block
from tests.qkd.conftest import Pieces, Two, detect, two

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.qkd.authentication import Role
    from qlab.qkd.conversation import Conversation

__all__ = ["two"]

BAD = Impairments(latency_s=0.0002, jitter_s=0.001, loss=0.03, repeat=0.03, damage=0.02, break_every=80)
ROLES: tuple[Role, Role] = ("reference", "corrector")


class KilledError(QlabError):
    """The process of this party ended here."""


def dying(talk: Conversation[Any], at: str) -> Conversation[Any]:
    """Go on as a party does until it would say a message of a kind."""
    wanted = next(talk)
    while True:
        if isinstance(wanted, bytes) and type(decode(wanted)[0]).__name__ == at:
            raise KilledError(at)
        try:
            wanted = talk.send((yield wanted))
        except StopIteration as stop:
            return stop.value


class Ends:
    """Both ends of a channel, each with its party; one may be killed while it says something."""

    def __init__(self, both: Two) -> None:
        self.both, self.port = both, 0
        self.channels: dict[str, PartyChannel] = {}

    async def open(self, role: Role) -> None:
        key = (self.both.alice if role == "reference" else self.both.bob).ledger.channel_key
        worse = dataclasses.replace(BAD, seed=ROLES.index(role))
        channel = PartyChannel(role, key, ("127.0.0.1", self.port), impairments=worse)
        self.channels[role] = await channel.__aenter__()
        self.port = channel.port

    async def close(self, role: Role) -> None:
        await self.channels[role].__aexit__(KilledError, None, None)

    async def live(self, role: Role, receiver: Pieces, killed: tuple[str, str]) -> BlockStatement | QlabError:
        mine = reference_block if role == "reference" else corrector_block
        talk = mine(self.both.alice if role == "reference" else self.both.bob, receiver)
        try:
            return await hold_conversation(
                dying(talk, killed[1]) if role == killed[0] else talk, self.channels[role], 20.0
            )
        except KilledError as error:
            await self.close(role)
            self.both.restart(role)
            await self.open(role)
            return error
        except QlabError as error:
            return error

    async def block(self, seed: int, killed: tuple[str, str] = ("", "")) -> list[BlockStatement | QlabError]:
        sides = zip(ROLES, detect(seed, 0.02), strict=True)
        return await asyncio.gather(*(self.live(role, receiver, killed) for role, receiver in sides))


@pytest.mark.parametrize("reconciler", ["fast", "ldpc"])
@pytest.mark.parametrize("role", ROLES)
def test_a_party_that_is_killed_leaves_no_key_on_one_side_and_the_next_block_works(
    role: Role, reconciler: Any, tmp_path: Path, two: Two
) -> None:
    if reconciler == "ldpc":
        pytest.importorskip("numba")
    # LDPC expects fewer errors than there are: it has to try again.
    rules = dataclasses.replace(
        two.policy, variant=reconciler, expected_error_rate=0.014 if reconciler == "ldpc" else 0.02
    )
    both = Two(tmp_path / "both", rules)
    own = {"fast": ("FrameParities", "CascadeTurn"), "ldpc": ("FrameParities", "LdpcMore")}[reconciler]

    async def main() -> None:
        ends = Ends(both)
        for one in ROLES:
            await ends.open(one)
        try:
            for seed, kind in enumerate((own[ROLES.index(role)], "AuthenticationTag")):
                results = await ends.block(seed, (role, kind))
                assert isinstance(results[ROLES.index(role)], KilledError), results
                both.assert_no_one_sided_key()
                made, other = await ends.block(seed + 100)
                assert isinstance(made, BlockStatement), made
                assert isinstance(other, BlockStatement), other
                assert made.key_bits == other.key_bits > 0
                assert made.disclosed == other.disclosed
                both.assert_settled()
        finally:
            for one in ROLES:
                await ends.close(one)

    asyncio.run(main())
    assert both.alice.ledger.blocks("usable")
    assert both.alice.ledger.spent_bits <= both.alice.ledger.refilled_bits
