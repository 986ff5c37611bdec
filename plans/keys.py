"""Keys from entangled photons: both parties of a lab at work, the plan their hands."""

import os
from typing import TYPE_CHECKING

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.stubs import perform, perform_together, with_source_on

if TYPE_CHECKING:
    from qlab.parties.together import PartiesTogether

__all__ = ["qkd_bbm92"]


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
    from qlab.errors import PlanError
    from qlab.parties.impairments import Impairments

    if blocks < 1 or wanted_bits < 0 or not recheck_s > 0 or not max_duration_s > 0 or max_suspensions < 1:
        msg = (
            f"qkd_bbm92: blocks = {blocks}, wanted_bits = {wanted_bits}, recheck_s = {recheck_s:g}, max_duration_s = "
            f"{max_duration_s:g}, max_suspensions = {max_suspensions}; expected at least 1, at least 0, above 0, above 0, at "
            "least 1"
        )
        raise PlanError(msg)
    hands = _Hands(parties, Impairments.parse(channel))
    clock = parties.alice_tagger.clock
    result = []

    @bpp.run_decorator(md={"plan_name": "qkd_bbm92", "num_points": blocks, "detectors": [], **(md or {})})
    def body():
        for tagger in hands.taggers:
            yield from bps.abs_set(tagger.acquisition_s, parties.rules.piece_s, wait=True)
        yield from hands.open()
        begun_s, bits, made, suspended = clock.now_s(), 0, 0, 0
        report = yield from hands.align()
        keys = []
        while (bits < wanted_bits or (not wanted_bits and made < blocks)) and clock.now_s() < begun_s + max_duration_s:
            if max(report.key_error_rate, report.test_error_rate) > parties.rules.tolerance + 0.02:
                rate = max(report.key_error_rate, report.test_error_rate)
                suspended = yield from _suspend(hands, suspended, max_suspensions, rate, recheck_s)
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
            suspended = yield from _suspend(hands, suspended, max_suspensions, statement.excess_error_rate, recheck_s)
            report = yield from hands.align()
        result.append(_summary(keys, bits, clock.now_s() - begun_s, hands.lit_s))

    try:
        yield from with_source_on(parties.light, bpp.finalize_wrapper(body(), hands.close))
    finally:
        hands.end()
    return result[0]


def _suspend(hands, suspended, most, rate, recheck_s):
    """Say that there are too many errors and wait; returns how often in a row."""
    from qlab.errors import PlanError

    suspended += 1
    if suspended > most:
        advice = "look for an eavesdropper, or align the analysers"
        msg = f"qkd_bbm92: {rate:.2%} of the bits differ after {most} suspensions; {advice}"
        raise PlanError(msg)
    yield from hands.say_suspended(rate, suspended)
    yield from bps.sleep(recheck_s)
    return suspended


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
            msg = "qkd_bbm92: the parties are not connected"
            raise PlanError(msg)
        return self._both

    def align(self):
        """Align both; returns the report."""
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
            yield from perform_together({tagger.name: tagger.trigger for tagger in self.taggers})
            blocks = [tagger.last_block for tagger in self.taggers]
            self.lit_s += min(block.live_s for block in blocks)
            self.both.feed(*blocks)
            yield from bps.checkpoint()

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
            "key_error_rate": statement.corrected_bits / known.n_key if known else np.nan,
            "phase_error": known.phase_error if known else np.nan,
            "disclosed_bits": sum(statement.disclosed.values()),
            "duration_s": duration_s,
            "reason": statement.reason,
            "statement": str(statement),
        }
        yield from publish("keys", self._blocks, values, self._clock.now_s())

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
