"""A session of one party: align, then block after block until there is enough key, or nothing more to detect."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qlab.errors import KeyRefusedError, PeerError
from qlab.parties.driving import hold_conversation
from qlab.parties.rules import facts_of, outcomes_of, policy_of, settings_of
from qlab.qkd.aligning import AlignedReceiver, align_corrector, align_reference
from qlab.qkd.choosing import ChosenTags
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.party import Party
from qlab.qkd.reference_party import reference_block
from qlab.qkd.sending import LEVELS_FROM, SentReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.qkd_model import QkdModel
    from qlab.parties.channel import PartyChannel
    from qlab.parties.taggers import TurningTags
    from qlab.qkd.accounting import BlockStatement
    from qlab.qkd.aligning import AlignReport, Tags
    from qlab.qkd.authentication import Role
    from qlab.qkd.ledger import KeyLedger
    from qlab.qkd.party import Receiver

__all__ = ["PartySession", "SessionResult"]


@dataclass(slots=True)
class SessionResult:
    """What came of a session: a statement for each block; nothing in it is secret."""

    statements: list[BlockStatement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def key_bits(self) -> int:
        """Secret bits of all blocks, authentication paid."""
        return sum(one.net_bits for one in self.statements)

    @property
    def keys(self) -> int:
        """Blocks with a key."""
        return sum(one.key_bits > 0 for one in self.statements)


class PartySession:
    """One party at work.

    Parameters
    ----------
    role, model, ledger, tags:
        Who it is, the rules, its ledger and where its tags come from.
    entropy:
        Returns so many random bytes.
    say:
        Takes what a person reads.
    patience_s:
        Wall seconds after which a silent peer is given up.
    """

    def __init__(
        self,
        role: Role,
        model: QkdModel,
        ledger: KeyLedger,
        tags: TurningTags,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        say: Callable[[str], None] = lambda _: None,
        patience_s: float = 60.0,
    ) -> None:
        mine = model.alice if role == "reference" else model.bob
        facts = facts_of(model, role)
        blind_ps = 0
        if facts.dead_time_ps and not facts.simultaneous_dead_time:
            # Dropping what clicks while another detector may be blind makes the assumption true, for some detections.
            blind_ps = max(facts.dead_time_ps)
            facts = replace(facts, simultaneous_dead_time=True, blind_ps=blind_ps)
        self.party = Party(role, policy_of(model), ledger, entropy, facts)
        outcomes = outcomes_of(model, mine)
        own: Tags = tags
        if mine.choice is not None:
            ports = mine.choice.ports[0] - 1, mine.choice.ports[1] - 1
            shares = tuple(one.share for one in settings_of(model, mine))
            own = ChosenTags(tags, tags, ports, shares, entropy)
        self.receiver = AlignedReceiver(own, outcomes, model.merge_ps, entropy, blind_ps=blind_ps)
        self.receiver.clock_offset_ps = model.clock_offset_ps
        self._source: Receiver = self.receiver
        if model.protocol == "decoy":
            self.receiver.coarse_ps = mine.delay_ps
            if role == "reference":
                numbers = {name: number for number, name in enumerate(model.intensities)}
                levels = {LEVELS_FROM + n - 1: numbers[name] for name, n in mine.levels.items()}
                self._source = SentReceiver(tags, outcomes, levels, model.window_ps)
        self._ports = mine.choice.ports if mine.choice is not None else ()
        self.result = SessionResult()
        self._say = say
        self._patience_s = patience_s
        self._aligned = False

    async def align(self, channel: PartyChannel) -> AlignReport:
        """Find delays and clocks; raises `KeyRefusedError` where there are no pairs."""
        conversation = align_reference if self.party.role == "reference" else align_corrector
        report = await hold_conversation(conversation(self.party, self.receiver), channel, self._patience_s)
        self._aligned = True
        ports = self._ports
        found = {ports[c % 2] if ports else c + 1: d for c, d in self.receiver.delays_ps.items()}
        delays = ", ".join(f"{number}: {delay}" for number, delay in sorted(found.items()))
        self._say(
            f"aligned with {report.pairs} pairs, {report.key_error_rate:.2%} wrong in the key basis and "
            f"{report.test_error_rate:.2%} in the test basis; delays in ps of inputs {delays}"
        )
        return report

    async def block(self, channel: PartyChannel) -> BlockStatement | None:
        """Make one block; None where the peer broke off, and the reason is among the failures."""
        conversation = reference_block if self.party.role == "reference" else corrector_block
        try:
            made = await hold_conversation(conversation(self.party, self._source), channel, self._patience_s)
        except PeerError as error:
            self.result.failures.append(str(error))
            self._say(f"block given up: {error}")
            return None
        self.result.statements.append(made)
        self._say(str(made))
        return made

    async def run(self, channel: PartyChannel, *, blocks: int = 1, most_failures: int = 5) -> SessionResult:
        """Align, and make so many blocks.

        Raises
        ------
        PeerError
            Too many blocks in a row broke off.
        KeyRefusedError
            There is nothing to align with.
        """
        failed = 0
        while len(self.result.statements) < blocks:
            try:
                if not self._aligned:
                    await self.align(channel)
                made = await self.block(channel)
            except PeerError as error:
                made = None
                self.result.failures.append(str(error))
                self._say(f"alignment given up: {error}")
            failed = 0 if made is not None else failed + 1
            if failed >= most_failures:
                msg = f"{failed} attempts in a row broke off; the last one: {self.result.failures[-1]}"
                raise PeerError(msg)
        return self.result


def require_key(result: SessionResult) -> None:
    """Raise `KeyRefusedError` where no block has a key."""
    if not result.keys:
        reason = result.statements[-1].reason if result.statements else "no block was finished"
        raise KeyRefusedError(reason)
