"""What a block was worth, in numbers that anybody may see: errors, bounds, leakage as counted, epsilons, assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qlab.analysis.qber import binary_entropy
from qlab.errors import KeyRefusedError, TooManyErrorsError
from qlab.qkd.authentication import forgery_probability
from qlab.qkd.chsh_sifting import SIGNS
from qlab.qkd.decoy import decoy_bounds, decoy_budget, decoy_secret_bits
from qlab.qkd.device_independent import (
    chsh_budget,
    chsh_deviation,
    device_independent_bits,
    enough_rounds,
    implied_error_rate,
    sampling_tail,
    tolerated_s,
)
from qlab.qkd.finite_key import phase_error_bound, secret_bits
from qlab.qkd.verification import tag_bits_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.errors import PeerError
    from qlab.qkd.assumptions import Assumptions
    from qlab.qkd.conversation import Talk
    from qlab.qkd.decoy import DecoyBounds, DecoyCounts, Intensities
    from qlab.qkd.epsilons import EpsilonBudget
    from qlab.qkd.finite_key import SecurityTarget
    from qlab.qkd.policy import QkdPolicy

__all__ = ["BlockStatement", "ChshTest", "EstimatedBlock", "estimate", "estimate_chsh", "estimate_decoy"]


@dataclass(frozen=True, slots=True)
class ChshTest:
    """A CHSH test of a block.

    Attributes
    ----------
    rounds, equal:
        Of each cell (`qlab.qkd.chsh_sifting.SIGNS`): how often, and how often the outcomes were equal.
    least:
        The S that a block needs to be taken, fixed beforehand.
    low:
        What the true S does not undercut if the test passes, but with the probability of the budget.
    """

    rounds: tuple[int, ...]
    equal: tuple[int, ...]
    least: float
    low: float

    @property
    def s(self) -> float:
        """S as observed."""
        return sum(sign * (2.0 * e / n - 1.0) for sign, e, n in zip(SIGNS, self.equal, self.rounds, strict=True))

    @property
    def sigma(self) -> float:
        """Its standard deviation."""
        correlations = [2.0 * e / n - 1.0 for e, n in zip(self.equal, self.rounds, strict=True)]
        return math.sqrt(sum((1.0 - e * e) / n for e, n in zip(correlations, self.rounds, strict=True)))

    def __str__(self) -> str:
        """Return S, its error, and what the key rests on."""
        return f"S = {self.s:.4f} +- {self.sigma:.4f}, needed {self.least:.4f}, the true S is above {self.low:.4f}"


@dataclass(frozen=True, slots=True)
class EstimatedBlock:
    """A block after parameter estimation.

    Attributes
    ----------
    n_key, n_test, test_errors:
        Sifted bits of the key basis; those of the test basis, all compared, and how many of these differed.
    phase_error:
        The rate that phase errors of the key do not reach, but with the probability of the budget.
    tag_bits:
        Of the verification.
    budget_bits:
        So many bits may be disclosed and spent before nothing is left.
    bounds, counts:
        Of pulses with decoy states: what the block holds, and from which counts that follows; `phase_error` then is that
        of its single photons.
    chsh:
        Of E91: the test that takes the place of phase errors, which are NaN then; `test_errors` are games lost.
    """

    n_key: int
    n_test: int
    test_errors: int
    phase_error: float
    tag_bits: int
    budget_bits: int
    bounds: DecoyBounds | None = None
    counts: DecoyCounts | None = None
    chsh: ChshTest | None = None

    def budget(self, target: SecurityTarget) -> EpsilonBudget:
        """Return the epsilons of a key of this block."""
        if self.chsh is not None:
            return chsh_budget(target)
        return target.budget() if self.bounds is None else decoy_budget(target)

    def length(self, policy: QkdPolicy, disclosed_bits: int) -> int:
        """Return the length of the key after so much was disclosed."""
        eps_sec = policy.target.eps_sec
        if self.chsh is not None:
            return device_independent_bits(self.n_key, self.chsh.low, disclosed_bits, eps_sec)
        if self.bounds is not None and policy.intensities is not None:
            return decoy_secret_bits(self.bounds, disclosed_bits, eps_sec, policy.intensities.parts)
        return secret_bits(self.n_key, self.phase_error, disclosed_bits, eps_sec)

    @property
    def test_error_rate(self) -> float:
        """Share of the test bits that differed; of a CHSH test the error rate of a Werner state with the same S."""
        return self.test_errors / self.n_test if self.chsh is None else implied_error_rate(self.chsh.s)


def estimate(policy: QkdPolicy, n_key: int, n_test: int, test_errors: int) -> EstimatedBlock:
    """Return what may be known of a block before its reconciliation.

    Raises
    ------
    KeyRefusedError
        There are no bits, too many errors, or no key is left whatever reconciliation takes.
    """
    _require_bits(policy, n_key, n_test, test_errors)
    tail = policy.target.sampling_tail
    phase_error = phase_error_bound(n_key, n_test, policy.tolerance, tail, policy.bound)
    tag_bits = tag_bits_for(n_key, policy.target.eps_cor)
    budget = secret_bits(n_key, phase_error, tag_bits, policy.target.eps_sec)
    if budget < 1:
        msg = (
            f"no key: with {n_key} bits and a test of {n_test} phase errors may reach {min(phase_error, 0.5):.2%}; "
            "longer blocks bound them better"
        )
        raise KeyRefusedError(msg)
    return EstimatedBlock(n_key, n_test, test_errors, phase_error, tag_bits, budget)


def estimate_decoy(policy: QkdPolicy, intensities: Intensities, counts: DecoyCounts) -> EstimatedBlock:
    """Return what may be known of a block of weak pulses before its reconciliation; raises as `estimate` does.

    Parameters
    ----------
    policy, intensities:
        The rules; the pulses.
    counts:
        Sifted bits and errors by intensity; two decoy states do not need those of the key basis.
    """
    n_key, n_test, errors = int(sum(counts.key)), int(sum(counts.test)), int(sum(counts.test_errors))
    _require_bits(policy, n_key, n_test, errors)
    bounds = decoy_bounds(intensities, counts, policy.target.eps_sec)
    tag_bits = tag_bits_for(n_key, policy.target.eps_cor)
    budget = decoy_secret_bits(bounds, tag_bits, policy.target.eps_sec, intensities.parts)
    if budget < 1:
        msg = (
            f"no key: of {n_key} bits at least {bounds.single:.0f} came from single photons, whose phase errors may reach "
            f"{bounds.phase_error:.2%}; longer blocks bound them better, if nobody has split photons off"
        )
        raise KeyRefusedError(msg)
    return EstimatedBlock(n_key, n_test, errors, bounds.phase_error, tag_bits, budget, bounds, counts)


def estimate_chsh(policy: QkdPolicy, n_key: int, rounds: Sequence[int], equal: Sequence[int]) -> EstimatedBlock:
    """Return what may be known of a block of E91 before its reconciliation; raises as `estimate` does.

    Parameters
    ----------
    n_key:
        Sifted bits of the key.
    rounds, equal:
        Of the CHSH test by cell, shape (4,): how often, and how often the outcomes were equal.
    """
    if n_key < 1 or min(rounds) < 1:
        msg = f"no key: {n_key} bits of the key, {list(rounds)} rounds of the test; expected some of each"
        raise KeyRefusedError(msg)
    eps_sec = policy.target.eps_sec
    least = tolerated_s(policy.tolerance)
    test = ChshTest(tuple(rounds), tuple(equal), least, least - chsh_deviation(rounds, sampling_tail(eps_sec)))
    if test.s < least:
        rate = implied_error_rate(test.s)
        msg = (
            f"no key: S = {test.s:.4f} of {sum(rounds)} rounds, needed are {least:.4f}, as with {policy.tolerance:.2%} "
            "of errors; look for an eavesdropper, or for misaligned analysers"
        )
        raise TooManyErrorsError(msg, rate)
    tag_bits = tag_bits_for(n_key, policy.target.eps_cor)
    budget = device_independent_bits(n_key, test.low, tag_bits, eps_sec)
    if not enough_rounds(n_key, eps_sec):
        msg = f"no key: with {n_key} bits the equipartition bound does not hold; make blocks longer"
        raise KeyRefusedError(msg)
    if budget < 1:
        msg = (
            f"no key: {test}; that leaves nothing of {n_key} bits, as collective attacks have none above 2: longer blocks, "
            "more rounds, or a tolerance that is smaller"
        )
        raise KeyRefusedError(msg)
    lost = sum(n - e if sign > 0 else e for sign, n, e in zip(SIGNS, rounds, equal, strict=True))
    return EstimatedBlock(n_key, sum(rounds), lost, math.nan, tag_bits, budget, chsh=test)


def _require_bits(policy: QkdPolicy, n_key: int, n_test: int, test_errors: int) -> None:
    if min(n_key, n_test) < 1:
        msg = f"no key: {n_key} sifted bits in the key basis and {n_test} in the test basis; expected some of both"
        raise KeyRefusedError(msg)
    if test_errors > policy.tolerance * n_test:
        msg = (
            f"no key: {test_errors} of {n_test} test bits differ, {test_errors / n_test:.2%}; tolerated are "
            f"{policy.tolerance:.2%}; look for an eavesdropper, or for misaligned analysers"
        )
        raise TooManyErrorsError(msg, test_errors / n_test)


@dataclass(frozen=True, slots=True)
class BlockStatement:
    """What may be said of a block in public; `reason` tells why there is no key, where there is none.

    Attributes
    ----------
    block:
        Its number in the ledger.
    key_bits:
        Of the secret key, before authentication is paid from it; 0 without a key.
    refill_bits:
        Of these, what became authentication key.
    estimated:
        From parameter estimation, if it came to that.
    corrected_bits:
        Errors that reconciliation found in the key basis; 0 without a key.
    disclosed:
        Bits about the key that were disclosed, by kind of message, as counted.
    messages, bytes_said:
        Messages of both sides by kind; bytes of all messages of this side.
    assumptions, budget:
        Of the proof, and all epsilons, if it came to a key.
    excess_error_rate:
        Error rate of the test basis where it was too high.
    """

    block: int
    key_bits: int = 0
    refill_bits: int = 0
    reason: str = ""
    estimated: EstimatedBlock | None = None
    corrected_bits: int = 0
    disclosed: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    bytes_said: int = 0
    assumptions: Assumptions | None = None
    budget: EpsilonBudget | None = None
    excess_error_rate: float | None = None

    @classmethod
    def refused(
        cls,
        block: int,
        error: KeyRefusedError | PeerError,
        talk: Talk,
        known: EstimatedBlock | None = None,
        assumptions: Assumptions | None = None,
    ) -> BlockStatement:
        """Return the statement of a block without a key, with what was known of it."""
        counted = dict(talk.disclosed), dict(talk.messages), talk.bytes_said
        excess = error.rate if isinstance(error, TooManyErrorsError) else None
        return cls(block, 0, 0, str(error), known, 0, *counted, assumptions, excess_error_rate=excess)

    @classmethod
    def of_key(
        cls,
        block: int,
        sizes: tuple[int, int],
        known: EstimatedBlock,
        corrected: int,
        talk: Talk,
        assumptions: Assumptions,
        target: SecurityTarget,
    ) -> BlockStatement:
        """Return the statement of a key; `sizes` are its bits and the slots that it refills."""
        bits, refill_slots = sizes
        counted = dict(talk.disclosed), dict(talk.messages), talk.bytes_said
        forged = 3.0 * forgery_probability(max(talk.bytes_said, talk.bytes_heard))
        budget = known.budget(target).with_term("forged message", forged, "Wegman-Carter, three tags")
        return cls(block, bits, 128 * refill_slots, "", known, corrected, *counted, assumptions, budget)

    @property
    def net_bits(self) -> int:
        """Secret bits that are left for others."""
        return self.key_bits - self.refill_bits

    @property
    def reconciliation_bits(self) -> int:
        """Bits that reconciliation disclosed: all but the verification's tag."""
        return sum(bits for kind, bits in self.disclosed.items() if kind != "KeyTag")

    @property
    def efficiency(self) -> float | None:
        """What reconciliation disclosed over n h(q) of the errors that were there; None where there were none."""
        if self.estimated is None or not 0 < self.corrected_bits < self.estimated.n_key:
            return None
        n = self.estimated.n_key
        return self.reconciliation_bits / (n * binary_entropy(self.corrected_bits / n))

    def __str__(self) -> str:
        """Return it as text for a person."""
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        lines = [
            f"block {self.block}: "
            + (f"{self.key_bits} secret bits" if self.key_bits else f"no key: {self.reason.removeprefix('no key: ')}")
        ]
        known = self.estimated
        if known is not None:
            lines += [
                f"  key basis   {known.n_key} bits"
                + (f", {self.corrected_bits} wrong ({self.corrected_bits / known.n_key:.2%})" if self.key_bits else ""),
                *_test_lines(known),
                f"  disclosed   {self.reconciliation_bits} bits by reconciliation"
                + (f" (f = {self.efficiency:.3f})" if self.efficiency else "")
                + f", {self.disclosed.get('KeyTag', 0)} by verification",
                f"  messages    {sum(self.messages.values())}, {self.bytes_said} bytes said",
            ]
        if self.key_bits:
            lines.append(f"  of the key, {self.refill_bits} bits pay for authentication, {self.net_bits} are left")
            lines += ["  " + line for line in str(self.budget).splitlines()]
        if self.assumptions is not None:
            lines += ["  " + line for line in str(self.assumptions).splitlines()]
        return lines


def _test_lines(known: EstimatedBlock) -> list[str]:
    if known.chsh is not None:
        return [f"  CHSH test   {known.n_test} rounds: {known.chsh}"]
    singles = f", of at least {known.bounds.single:.0f} single photons" if known.bounds is not None else ""
    return [
        f"  test basis  {known.n_test} bits, {known.test_errors} differ ({known.test_error_rate:.2%})",
        f"  phase error below {known.phase_error:.2%}{singles}",
    ]
