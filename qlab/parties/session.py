"""A session of one party: align, then block after block until there is enough key, or nothing more to detect."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.parties.driving import hold_conversation
from qlab.qkd.aligning import AlignedReceiver, align_corrector, align_reference
from qlab.qkd.assumptions import DeviceFacts
from qlab.qkd.corrector_party import corrector_block
from qlab.qkd.decoy import Intensities
from qlab.qkd.finite_key import SecurityTarget
from qlab.qkd.party import Party
from qlab.qkd.policy import QkdPolicy
from qlab.qkd.reference_party import reference_block
from qlab.qkd.sending import LEVELS_FROM, SentReceiver
from qlab.qkd.sifting import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.qkd_model import PartyModel, QkdModel
    from qlab.parties.channel import PartyChannel
    from qlab.qkd.accounting import BlockStatement
    from qlab.qkd.aligning import AlignReport, Tags
    from qlab.qkd.authentication import Role
    from qlab.qkd.ledger import KeyLedger
    from qlab.qkd.party import Receiver

__all__ = ["PartySession", "SessionResult", "facts_of", "outcomes_of", "policy_of"]


def policy_of(model: QkdModel) -> QkdPolicy:
    """Return the rules that a lab file gives.

    Raises
    ------
    BadRequestError
        Pieces are too short to find clocks that may be so far apart.
    """
    if model.piece_s < 2.5e-12 * model.clock_offset_ps:
        msg = (
            f"qkd: pieces of {model.piece_s:g} s with clocks up to {model.clock_offset_ps * 1e-12:g} s apart: expected "
            f"pieces of at least {2.5e-12 * model.clock_offset_ps:g} s, so that both have enough photons in common"
        )
        raise BadRequestError(msg)
    return QkdPolicy(
        window_ps=model.window_ps,
        merge_ps=model.merge_ps,
        clock_offset_ps=model.clock_offset_ps,
        clock_frequency=model.clock_frequency,
        delay_search_ps=model.delay_search_ps,
        peak_width_ps=model.peak_width_ps,
        key_bits=model.key_bits,
        test_bits=model.test_bits,
        tolerance=model.tolerance,
        expected_error_rate=model.expected_error_rate,
        variant=model.variant,
        target=SecurityTarget(model.eps_sec, model.eps_cor),
        accepted=frozenset(model.accept),
        intensities=intensities_of(model),
    )


def intensities_of(model: QkdModel) -> Intensities | None:
    """Return the pulses' intensities; None where photons come in pairs."""
    if model.protocol != "decoy":
        return None
    levels = model.intensities.values()
    return Intensities(tuple(level.photons for level in levels), tuple(level.share for level in levels))


def outcomes_of(model: QkdModel, party: PartyModel) -> dict[int, Outcome]:
    """Return what each channel (from 0) of a party's tagger means."""
    found = {}
    for letter, number in party.inputs.items():
        basis = "HV" if letter in "HV" else "DA"
        found[number - 1] = Outcome("key" if basis == model.key_basis else "test", 0 if letter in "HD" else 1)
    if len(found) != len(party.inputs):
        msg = f"qkd: inputs {party.inputs} of {party.tagger}: expected four different ones"
        raise BadRequestError(msg)
    return found


def facts_of(party: PartyModel) -> DeviceFacts:
    """Return what a lab file knows of a receiver."""
    facts = party.facts
    return DeviceFacts(
        facts.efficiency_mismatch,
        None if facts.dead_time_ps is None else tuple(facts.dead_time_ps),
        facts.simultaneous_dead_time,
        None,
        facts.blinding_watched,
    )


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
        tags: Tags,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        say: Callable[[str], None] = lambda _: None,
        patience_s: float = 60.0,
    ) -> None:
        mine = model.alice if role == "reference" else model.bob
        facts = facts_of(mine)
        blind_ps = 0
        if facts.dead_time_ps and not facts.simultaneous_dead_time:
            # Dropping what clicks while another detector may be blind makes the assumption true, for some detections.
            blind_ps = max(facts.dead_time_ps)
            facts = replace(facts, simultaneous_dead_time=True)
        self.party = Party(role, policy_of(model), ledger, entropy, facts)
        outcomes = outcomes_of(model, mine)
        self.receiver = AlignedReceiver(tags, outcomes, model.merge_ps, entropy, blind_ps=blind_ps)
        self.receiver.clock_offset_ps = model.clock_offset_ps
        self._source: Receiver = self.receiver
        if model.protocol == "decoy":
            self.receiver.delays_ps = dict.fromkeys(outcomes, mine.delay_ps)
            if role == "reference":
                numbers = {name: number for number, name in enumerate(model.intensities)}
                levels = {LEVELS_FROM + n - 1: numbers[name] for name, n in mine.levels.items()}
                self._source = SentReceiver(tags, outcomes, levels, model.window_ps)
        self.result = SessionResult()
        self._say = say
        self._patience_s = patience_s
        self._aligned = model.protocol == "decoy"  # pulses come when they are sent

    async def align(self, channel: PartyChannel) -> AlignReport:
        """Find delays and clocks; raises `KeyRefusedError` where there are no pairs."""
        conversation = align_reference if self.party.role == "reference" else align_corrector
        report = await hold_conversation(conversation(self.party, self.receiver), channel, self._patience_s)
        self._aligned = True
        delays = ", ".join(f"{c + 1}: {d}" for c, d in sorted(self.receiver.delays_ps.items()))
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
