"""Runs with superconducting nanowires, which may latch in the middle of them."""

import bluesky.plan_stubs as bps

from plans.stubs import measure_setting, perform, recording_run, with_source_on
from qlab.errors import PlanError
from qlab.run.results import Results, publish

__all__ = ["watch_nanowires"]


def watch_nanowires(
    tagger,
    bias,
    source=None,
    inputs: list[int] | None = None,
    acquisition_s: float = 1.0,
    points: int = 10,
    most_repeats: int = 3,
    md: dict[str, object] | None = None,
):
    """Count for a long time; recover nanowires that latch, take the point again, and say what happened when.

    A nanowire has latched where the bias instrument sees a voltage across it, or, where it cannot see that, where a whole
    acquisition has no click although there is a bias (with a mean of m clicks that happens by chance with probability
    exp(-m)).  Recovery is bias to zero and back.  Every point that was spoilt stays in the data, with `good` 0 in the
    stream `points`; the stream `incidents` has an event for each recovery: detector, what was seen, clicks, bias, point.

    Parameters
    ----------
    tagger : TimeTagger
        Sees the nanowires.
    bias : NanowireSystem
        Biases them.
    source : PhotonSource
        Switched on for the run.
    inputs : list of int
        The tagger's inputs, from 1, in the order of the bias instrument's channels; by default 1, 2, ...
    acquisition_s : float
        Seconds a point.
    points : int
        Good points wanted.
    most_repeats : int
        Recoveries in a row after which the run fails with `PlanError`: a stage that is too warm recovers nothing.
    md : dict
        Metadata.
    """
    detectors = dict(bias.detectors)
    chosen = inputs or list(range(1, len(detectors) + 1))
    if len(chosen) != len(detectors) or len(set(chosen)) != len(chosen) or min(chosen, default=0) < 1:
        msg = f"watch_nanowires: inputs = {chosen}; expected {len(detectors)} different inputs, one for each of {bias.name}"
        raise PlanError(msg)
    if points < 1 or most_repeats < 0:
        msg = f"watch_nanowires: points = {points}, most_repeats = {most_repeats}; expected at least 1 and 0"
        raise PlanError(msg)
    clock = tagger.clock
    taken = Results("point", {"live_s": "s", "counts": ""})
    incidents = Results("incident", {"bias": "uA"})

    def seen(name, count):
        """Return what is wrong with a nanowire, None where nothing is."""
        detector = detectors[name]
        if not detector.bias_ua.get():
            return None
        if detector.latched is None:
            return None if count else "no click in a whole acquisition"
        return "a voltage across the wire" if detector.latched else None

    def point(number):
        """Take one acquisition; return the nanowires that had latched."""
        yield from measure_setting([tagger], [])
        yield from bps.trigger(bias, group="bias", wait=True)
        block = tagger.last_block
        counts = {name: int(block.counts(256)[n - 1]) for name, n in zip(detectors, chosen, strict=True)}
        latched = {name: what for name in detectors if (what := seen(name, counts[name])) is not None}
        values = {
            "number": number,
            "good": int(not latched),
            "counts": list(counts.values()),
            "live_s": block.live_s,
        }
        yield from publish("points", taken, values, clock.now_s())
        for name, what in latched.items():
            values = {
                "detector": f"{bias.name}.{name}",
                "seen": what,
                "counts": counts[name],
                "bias": float(detectors[name].bias_ua.get()),
                "point": number,
            }
            yield from publish("incidents", incidents, values, clock.now_s())
        return list(latched)

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        recoveries = 0
        for number in range(points):
            for left in reversed(range(most_repeats + 1)):
                latched = yield from point(number)
                if not latched:
                    break
                if not left:
                    msg = f"{', '.join(latched)} of {bias.name} latched again after {most_repeats} recoveries; is it cold?"
                    raise PlanError(msg)
                for name in latched:
                    yield from perform(f"recover {bias.name}.{name}", detectors[name].recover)
                    recoveries += 1
        return {"points": points, "recoveries": recoveries}

    run = recording_run("watch_nanowires", [tagger], body, points * (most_repeats + 1), md)
    return (yield from with_source_on(source, run))
