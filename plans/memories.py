"""Entanglement between memories: heralded, stored, swapped along a chain, and measured."""

import math
from itertools import pairwise

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

from plans.entangling import AXES, OPTICAL, STORAGE, entangle
from plans.stubs import perform_together
from qlab.analysis.memories import bell_fidelity, correlation
from qlab.errors import PlanError
from qlab.run.results import Results, publish

__all__ = ["measure_chain"]

ONWARD, BACK = 2, 1


def measure_chain(modules, pairs: int = 60, timeout_s: float = 60.0, md: dict[str, object] | None = None):
    """Entangle the two ends of a chain of repeater modules, again and again, and measure how well.

    Neighbours are entangled one after the other from the left; inner modules keep the left half in qubit 2 and swap as soon
    as the right half is there.  Both ends are then read out along the same axis, X, Y and Z in turn.  No correction is made:
    the Bell label, which heralds and swaps tell, says which sign each correlation should have (`bell_fidelity`).

    Parameters
    ----------
    modules : list of RepeaterModule
        From one end to the other, two or more; all of the lab, in the order of its file, if none is named.  A module's link 1
        leads to its left neighbour, or to its only one; an inner module's link 2 leads on.
    pairs : int
        How many end-to-end pairs, a multiple of 3 best.
    timeout_s : float
        Lab seconds after which a pair of neighbours counts as failed, and the run with it.
    md : dict
        Metadata.
    """
    if len(modules) < 2 or pairs < 3 or not timeout_s > 0:
        asked = f"{len(modules)} modules, pairs = {pairs}, timeout_s = {timeout_s:g}"
        msg = f"measure_chain: {asked}; expected at least 2 modules, 3 pairs and a time"
        raise PlanError(msg)
    first, last, clock = modules[0], modules[-1], modules[0].clock
    taken = Results("pair", {"generation_s": "s"})
    counts = {axis: [0, 0] for axis in AXES}  # as expected by the label, and not

    def join(left, right):
        """Entangle two neighbours and return the pair's Bell label."""
        links = BACK if left is first else ONWARD, BACK
        return (yield from entangle((left, right), links, (OPTICAL, OPTICAL if right is last else STORAGE), timeout_s))

    def point(number):
        """Entangle the ends, read them out, and publish what came of it."""
        axis, begun_s, label = AXES[number % 3], clock.now_s(), 0
        for left, right in pairwise(modules):
            label ^= yield from join(left, right)
            if left is not first:
                yield from perform_together({f"{left.name} swap": lambda m=left: m.swap(STORAGE, OPTICAL)})
                label ^= left.last_swap.bell
        ready_s = clock.now_s()
        yield from perform_together({m.name: lambda m=m: m.read_out(OPTICAL, axis) for m in (first, last)})
        product = 1 - 2 * (first.outcomes[OPTICAL] ^ last.outcomes[OPTICAL])
        counts[axis][int(product != correlation(label, axis))] += 1
        values = {"number": number, "axis": axis, "bell": label, "product": product, "generation_s": ready_s - begun_s}
        yield from publish("pairs", taken, values, clock.now_s())
        return ready_s - begun_s

    found: dict[str, object] = {}

    @bpp.stage_decorator(list(modules))
    @bpp.run_decorator(md={"plan_name": "measure_chain", "num_points": pairs, "detectors": [], **(md or {})})
    def inner():
        spent = []
        for number in range(pairs):
            yield from bps.checkpoint()
            spent.append((yield from point(number)))
        result = bell_fidelity(counts)
        result["mean_generation_s"] = math.fsum(spent) / len(spent)
        result["mean_generation_s_sigma"] = _error_of_mean(spent)
        yield from publish("analysis", "chain", result, clock.now_s(), {"mean_generation_s": "s"})
        found.update({"modules": [m.name for m in modules], "pairs": pairs, **result})

    yield from inner()
    return found


def _error_of_mean(values):
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
