"""Two entangled pairs of memories are purified to one, and both kinds of pairs are measured."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from plans.entangling import AXES, OPTICAL, STORAGE, entangle
from plans.stubs import perform_together
from qlab.analysis.memories import bell_fidelity, correlation, expected_purification, success_rate
from qlab.errors import PlanError
from qlab.run.results import Results, publish

__all__ = ["purify_pairs"]

QUARTER = ("Y", 1, 1)
"""Turns phase flips into bit flips, which the purification finds."""


def purify_pairs(
    modules,
    pairs: int = 60,
    left_link: int = 1,
    right_link: int = 1,
    timeout_s: float = 60.0,
    md: dict[str, object] | None = None,
):
    """Purify pairs of two neighbouring memories, two to one, and measure how much better and how much rarer they are.

    Rounds alternate.  In one, a single pair is generated and read out as it is.  In the other, two pairs are generated, both
    ends turn all four halves by a quarter about Y, carry out `distil` and compare outcomes; a pair that may stay is read out,
    one that may not is given up, and two more are tried.  Pairs are read out along X, Y and Z in turn.

    The result has the fidelity of both kinds, the share of tries in which the pair could stay, and what theory makes of the
    single pairs' three correlations (`expected_purification`: Deutsch et al., PRL 77, 2818, 1996), which knows nothing of
    errors of gates and memories.

    Parameters
    ----------
    modules : list of RepeaterModule
        Two neighbours; all of the lab if none is named.
    pairs : int
        How many pairs of each kind, a multiple of 3 best.
    left_link, right_link : int
        By which link of the first module the second is reached, and the other way.
    timeout_s : float
        Lab seconds after which a pair counts as failed, and the run with it.
    md : dict
        Metadata.
    """
    if len(modules) != 2:
        found = ", ".join(m.name for m in modules)
        msg = f"purify_pairs: found {len(modules)} modules ({found}); expected two neighbours, as in modules=NAME,NAME"
        raise PlanError(msg)
    if pairs < 3 or not timeout_s > 0:
        msg = f"purify_pairs: pairs = {pairs}, timeout_s = {timeout_s:g}; expected at least 3 pairs and a time above 0"
        raise PlanError(msg)
    one, other = modules
    links, clock = (left_link, right_link), one.clock
    taken = Results("pair", {"generation_s": "s"})
    single, purified = ({axis: [0, 0] for axis in AXES} for _ in range(2))  # as the label says, and not
    tries = [0, 0]  # in which the pair could stay, and not

    def together(what, action):
        """Let both modules do the same at the same time."""
        yield from perform_together({f"{m.name} {what}": lambda m=m: action(m) for m in modules})

    def purify():
        """Generate two pairs and purify them; return the kept one's label, or None where it may not stay."""
        kept = yield from entangle(modules, links, (STORAGE, STORAGE), timeout_s)
        spent = yield from entangle(modules, links, (OPTICAL, OPTICAL), timeout_s)
        for qubit in (STORAGE, OPTICAL):
            yield from together("turn", lambda m, q=qubit: m.rotate(q, *QUARTER))
        yield from together("distil", lambda m: m.distil(STORAGE, OPTICAL))
        # A quarter turn makes phases (bit 0 of a label) parities (bit 1), and parities phases.
        differs = one.last_distillation.outcome ^ other.last_distillation.outcome
        stays = differs == (kept ^ spent) & 1
        tries[int(not stays)] += 1
        if stays:
            return (kept & 1) << 1 | (kept ^ spent) >> 1
        yield from together("free", lambda m: m.free(STORAGE))
        return None

    def point(number):
        """Read one pair of each kind out, and publish what came of it."""
        axis = AXES[number % 3]
        for kind, counts, qubit in (("single", single, OPTICAL), ("purified", purified, STORAGE)):
            begun_s, label, before = clock.now_s(), None, sum(tries)
            if kind == "single":
                label = yield from entangle(modules, links, (qubit, qubit), timeout_s)
            while label is None:
                label = yield from purify()
            ready_s = clock.now_s()
            yield from together("read out", lambda m, q=qubit: m.read_out(q, axis))
            product = 1 - 2 * (one.outcomes[qubit] ^ other.outcomes[qubit])
            counts[axis][int(product != correlation(label, axis))] += 1
            values = {"number": number, "kind": kind, "axis": axis, "bell": label, "product": product}
            values |= {"tries": max(sum(tries) - before, 1), "generation_s": ready_s - begun_s}
            yield from publish("pairs", taken, values, clock.now_s())

    result: dict[str, object] = {}

    @bpp.stage_decorator(list(modules))
    @bpp.run_decorator(md={"plan_name": "purify_pairs", "num_points": pairs, "detectors": [], **(md or {})})
    def inner():
        for number in range(pairs):
            yield from bps.checkpoint()
            yield from point(number)
        result.update(bell_fidelity(purified))
        result.update({f"single_{name}": value for name, value in bell_fidelity(single).items()})
        result.update(success_rate(*tries), **expected_purification(single))
        yield from publish("analysis", "purification", result, clock.now_s())

    yield from inner()
    return {"modules": [m.name for m in modules], "pairs": pairs, "tries": sum(tries), **result}
