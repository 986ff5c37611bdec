"""Keys from photon pairs or weak pulses: both parties of a lab at work, the plan their hands."""

import os
from typing import TYPE_CHECKING

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.stubs import perform, perform_together, with_source_on

if TYPE_CHECKING:
    from qlab.parties.together import PartiesTogether

_S = ("s", "s_sigma", "s_low")

__all__ = ["qkd_bbm92", "qkd_decoy", "qkd_e91"]


def qkd_bbm92(
    parties,
    blocks: int = 1,
    wanted_bits: int = 0,
    max_duration_s: float = 3600.0,
    recheck_s: float = 10.0,
    max_suspensions: int = 5,
    channel: str = "",
    md: dict[str, object] | None = None,
):
    """Make keys with BBM92: align, then block after block, suspended while there are too many errors.

    Both parties run as sessions of their own, with a ledger each and an authenticated channel between them; the plan only
    triggers their taggers and hands each its own tags.  No tag is written to a file, and no document has more than counts of
    both parties' detections: detection times with their outcomes are the raw key.

    Parameters
    ----------
    parties : KeyParties
        Of the lab file's section `qkd`.
    blocks : int
        Blocks to make, where no number of bits is wanted.
    wanted_bits : int
        Make blocks until so many secret bits are left after authentication; 0: `blocks` of them.
    max_duration_s : float
        Lab seconds after which no further block is begun.
    recheck_s : float
        Too many errors suspend the plan; after so many seconds it looks again, with photons that it gives away.
    max_suspensions : int
        It gives up after so many in a row.
    channel : str
        How bad the channel between both is, such as latency_s=0.01,loss=0.05.
    md : dict
        Metadata.
    """
    goal = _Goal(blocks, wanted_bits, max_duration_s)
    return (yield from _make_keys("qkd_bbm92", parties, goal, recheck_s, max_suspensions, channel, md))


def qkd_decoy(
    parties,
    blocks: int = 1,
    wanted_bits: int = 0,
    max_duration_s: float = 3600.0,
    recheck_s: float = 10.0,
    max_suspensions: int = 5,
    channel: str = "",
    md: dict[str, object] | None = None,
):
    """Make keys with BB84, weak coherent pulses and two decoy states; parameters and rules as for `qkd_bbm92`.

    Alice's taggers record what her modulators were told.  The alignment finds by how much clicks come later than pulses, near
    the lab file's `delay_ps` and short of half of the pulses' period; what it becomes later is followed.

    Parameters
    ----------
    parties : KeyParties
        Of the lab file's section `qkd`, with `protocol: decoy`.
    blocks : int
        Blocks to make, where no number of bits is wanted.
    wanted_bits : int
        Make blocks until so many secret bits are left after authentication; 0: `blocks` of them.
    max_duration_s : float
        Lab seconds after which no further block is begun.
    recheck_s : float
        Too many errors suspend the plan; after so many seconds it looks again, with pulses that it gives away.
    max_suspensions : int
        It gives up after so many in a row.
    channel : str
        How bad the channel between both is, such as latency_s=0.01,loss=0.05.
    md : dict
        Metadata.
    """
    goal = _Goal(blocks, wanted_bits, max_duration_s)
    return (yield from _make_keys("qkd_decoy", parties, goal, recheck_s, max_suspensions, channel, md))


def qkd_e91(
    parties,
    blocks: int = 1,
    wanted_bits: int = 0,
    max_duration_s: float = 3600.0,
    recheck_s: float = 10.0,
    max_suspensions: int = 5,
    channel: str = "",
    md: dict[str, object] | None = None,
):
    """Make keys with E91: the key's secrecy follows from the CHSH value S of the same block; rules as for `qkd_bbm92`.

    Each party's random bits choose its setting before each piece: the plan turns the plates, and no document has the angles.
    The length of the key holds against collective attacks, if the pairs that were detected stand for all: each statement
    says so.  A block is refused unless S is at least what pairs with the tolerated error rate have.

    Parameters
    ----------
    parties : KeyParties
        Of the lab file's section `qkd`, with `protocol: e91`.
    blocks : int
        Blocks to make, where no number of bits is wanted.
    wanted_bits : int
        Make blocks until so many secret bits are left after authentication; 0: `blocks` of them.
    max_duration_s : float
        Lab seconds after which no further block is begun.
    recheck_s : float
        Too small an S suspends the plan; after so many seconds it looks again, with photons that it gives away.
    max_suspensions : int
        It gives up after so many in a row.
    channel : str
        How bad the channel between both is, such as latency_s=0.01,loss=0.05.
    md : dict
        Metadata.
    """
    goal = _Goal(blocks, wanted_bits, max_duration_s)
    return (yield from _make_keys("qkd_e91", parties, goal, recheck_s, max_suspensions, channel, md))


class _Goal:
    """When there are keys enough."""

    def __init__(self, blocks, wanted_bits, max_duration_s):
        self.blocks, self.wanted_bits, self.max_duration_s = blocks, wanted_bits, max_duration_s

    def open(self, made, bits, duration_s):
        """Return whether a further block is wanted."""
        wanted = bits < self.wanted_bits or (not self.wanted_bits and made < self.blocks)
        return wanted and duration_s < self.max_duration_s


def _make_keys(name, parties, goal, recheck_s, max_suspensions, channel, md):
    from qlab.errors import PlanError
    from qlab.parties.impairments import Impairments

    if (
        goal.blocks < 1
        or goal.wanted_bits < 0
        or not recheck_s > 0
        or not goal.max_duration_s > 0
        or max_suspensions < 1
    ):
        msg = (
            f"{name}: blocks = {goal.blocks}, wanted_bits = {goal.wanted_bits}, recheck_s = {recheck_s:g}, max_duration_s = "
            f"{goal.max_duration_s:g}, max_suspensions = {max_suspensions}; "
            "expected at least 1, at least 0, above 0, above 0, at least 1"
        )
        raise PlanError(msg)
    protocol = name.removeprefix("qkd_")
    if parties.rules.protocol != protocol:
        msg = f"{name}: the lab's section qkd has the protocol {parties.rules.protocol}; expected {protocol}"
        raise PlanError(msg)
    hands = _Hands(parties, Impairments.parse(channel))
    clock = parties.alice_tagger.clock
    result = []

    @bpp.run_decorator(md={"plan_name": name, "num_points": goal.blocks, "detectors": [], **(md or {})})
    def body():
        for tagger in hands.taggers:
            yield from bps.abs_set(tagger.acquisition_s, parties.rules.piece_s, wait=True)
        yield from hands.open()
        begun_s, bits, made, suspended = clock.now_s(), 0, 0, 0
        report = yield from hands.align()
        keys = []
        while goal.open(made, bits, clock.now_s() - begun_s):
            rate = max(report.key_error_rate, report.test_error_rate)
            if rate > parties.rules.tolerance + 0.02:
                suspended = yield from _suspend(name, hands, suspended, max_suspensions, rate, recheck_s)
                report = yield from hands.align()
                continue
            statement = yield from hands.block()
            made += 1
            bits += statement.net_bits
            keys.append(statement)
            yield from hands.publish(statement, clock.now_s() - begun_s)
            if statement.excess_error_rate is None:
                suspended = 0
                continue
            suspended = yield from _suspend(
                name, hands, suspended, max_suspensions, statement.excess_error_rate, recheck_s
            )
            report = yield from hands.align()
        if keys:
            yield from hands.summarise(keys)
        result.append(_summary(keys, bits, clock.now_s() - begun_s, hands.lit_s))

    try:
        yield from with_source_on(parties.light, bpp.finalize_wrapper(body(), hands.close))
    finally:
        hands.end()
    return result[0]


def _suspend(name, hands, suspended, most, rate, recheck_s):
    """Say that there are too many errors and wait; returns how often in a row."""
    from qlab.errors import PlanError

    suspended += 1
    if suspended > most:
        advice = "look for an eavesdropper, or align the analysers"
        msg = f"{name}: {rate:.2%} of the bits differ after {most} suspensions; {advice}"
        raise PlanError(msg)
    yield from hands.say_suspended(rate, suspended)
    yield from bps.sleep(recheck_s)
    return suspended


def _with_levels(states, levels):
    """Return what Alice's taggers recorded as one block, the drives of the intensity modulator on channels of their own."""
    from qlab.qkd.sending import LEVELS_FROM
    from qlab.tags.stream import TagBlock, merge

    moved = [TagBlock(b.t, b.ch + np.uint8(LEVELS_FROM), b.start_ps, b.stop_ps, b.gaps) for b in levels]
    return merge(states, *moved) if moved else states


def _summary(keys, bits, duration_s, lit_s):
    text = "\n".join(str(statement) for statement in keys)
    rate = bits / lit_s if lit_s else 0.0
    text += f"\n{bits} secret bits in {duration_s:.1f} s, {lit_s:.1f} s of them with light on the detectors: {rate:.0f} bit/s"
    return {
        "text": text,
        "secret_bits": bits,
        "blocks": len(keys),
        "duration_s": duration_s,
        "lit_s": lit_s,
        "rate_hz": rate,
        "statements": keys,
    }


class _Hands:
    """What the plan does for both parties."""

    def __init__(self, parties, impairments):
        from qlab.run.results import Results

        self.taggers = [parties.alice_tagger, parties.bob_tagger]
        if parties.level_tagger is not None:
            self.taggers.append(parties.level_tagger)
        self._parties = parties
        self._impairments = impairments
        self._clock = parties.alice_tagger.clock
        self._blocks = Results("key", {"duration_s": "s"})
        self._suspensions = Results("suspended")
        self._both: PartiesTogether | None = None
        self.lit_s = 0.0

    def _worker(self, name, work):
        from devices.worker import run_in_thread

        return perform(name, lambda: run_in_thread(self._clock, name, work))

    def open(self):
        """Open both ledgers, new ones with a secret that both parties are given here, and connect the parties."""
        yield from self._worker("connect parties", self._open)

    def _open(self):
        from qlab.parties.together import PartiesTogether
        from qlab.qkd.ledger import KeyLedger

        folder = self._parties.folder
        places = [folder / "alice", folder / "bob"]
        new = not any((place / "ledger.log").exists() for place in places)
        secret = os.urandom(16 * 401 + 32) if new else None
        ledgers = [KeyLedger(place, secret) for place in places]
        self._both = PartiesTogether(self._parties.rules, ledgers[0], ledgers[1], self._impairments)

    @property
    def both(self):
        """The parties, which are open."""
        from qlab.errors import PlanError

        if self._both is None:
            msg = "the parties are not connected"
            raise PlanError(msg)
        return self._both

    def align(self):
        """Align both with photons that they give away; returns the report."""
        self.both.align()
        yield from self._serve()
        return self.both.report()

    def block(self):
        """Make a block; returns its statement."""
        self.both.block()
        yield from self._serve()
        return self.both.statement()

    def _serve(self):
        while True:
            yield from self._worker("parties talk", self.both.wait)
            if self.both.done:
                return
            yield from bps.checkpoint()
            yield from self._turn()
            yield from perform_together({tagger.name: tagger.trigger for tagger in self.taggers})
            alice, bob, *levels = (tagger.last_block for tagger in self.taggers)
            self.lit_s += min(alice.live_s, bob.live_s)
            self.both.feed(_with_levels(alice, levels), bob)
            yield from bps.checkpoint()

    def _turn(self):
        """Turn the plates of parties that choose their settings."""
        mounts = (self._parties.alice_mount, self._parties.bob_mount)
        wanted = [(m, t.position) for m, t in zip(mounts, self.both.tags, strict=True) if m is not None]
        for mount, position in wanted:
            yield from bps.abs_set(mount, position, group="settings")
        if wanted:
            yield from bps.wait(group="settings")

    def publish(self, statement, duration_s):
        """Emit an event of the stream `keys`: nothing in it is secret."""
        from qlab.run.results import publish

        known = statement.estimated
        values = {
            "block": statement.block,
            "bits": statement.key_bits,
            "net_bits": statement.net_bits,
            "n_key": known.n_key if known else 0,
            "n_test": known.n_test if known else 0,
            "test_error_rate": known.test_error_rate if known else statement.excess_error_rate or np.nan,
            "key_error_rate": statement.corrected_bits / known.n_key if known and statement.key_bits else np.nan,
            "phase_error": known.phase_error if known else np.nan,
            "disclosed_bits": sum(statement.disclosed.values()),
            "duration_s": duration_s,
            "reason": statement.reason,
            "statement": str(statement),
        }
        if self._parties.rules.protocol == "e91":
            test = known.chsh if known else None
            values |= {"s": test.s, "s_sigma": test.sigma, "s_low": test.low} if test else dict.fromkeys(_S, np.nan)
        yield from publish("keys", self._blocks, values, self._clock.now_s())

    def summarise(self, keys):
        """Emit all blocks as one event of the stream `analysis`, for reports."""
        from qlab.run.results import publish

        known = [statement.estimated for statement in keys]
        values = {
            "bits": np.array([statement.key_bits for statement in keys], dtype=np.int64),
            "net_bits": np.array([statement.net_bits for statement in keys], dtype=np.int64),
            "key_error_rate": np.array(
                [s.corrected_bits / k.n_key if k and s.key_bits else np.nan for s, k in zip(keys, known, strict=True)],
                dtype=float,
            ),
            "test_error_rate": np.array(
                [k.test_error_rate if k else s.excess_error_rate or np.nan for s, k in zip(keys, known, strict=True)],
                dtype=float,
            ),
            "phase_error": np.array([k.phase_error if k else np.nan for k in known], dtype=float),
            "total_net_bits": sum(statement.net_bits for statement in keys),
            "light_s": self.lit_s,
        }
        if self._parties.rules.protocol == "e91":
            tests = [k.chsh if k else None for k in known]
            figures = [(t.s, t.sigma, t.low) if t else (np.nan,) * 3 for t in tests]
            values |= dict(zip(_S, np.array(figures, dtype=float).T, strict=True))
        yield from publish("analysis", "keys", values, self._clock.now_s(), {"light_s": "s"})

    def say_suspended(self, rate, number):
        """Emit an event of the stream `suspensions`."""
        from qlab.run.results import publish

        values = {"error_rate": rate, "in_a_row": number}
        yield from publish("suspensions", self._suspensions, values, self._clock.now_s())

    def close(self):
        """End both parties."""
        yield from self._worker("end parties", self.end)

    def end(self):
        """End both parties; may be called again."""
        both, self._both = self._both, None
        if both is not None:
            both.close()
