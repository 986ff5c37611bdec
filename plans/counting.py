"""Rates by whatever counts, and detectors watched over a night."""

from functools import partial

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.utils import FailedStatus

from plans.stubs import perform, perform_together

__all__ = ["count_rates", "watch_detectors"]


def count_rates(counters, gate_s: float = 1.0, points: int = 5, md: dict[str, object] | None = None):
    """Count on every input of every counter, all at once, several times.

    Parameters
    ----------
    counters : list of Counter
        All of the lab if none is named.
    gate_s : float
        Seconds a point.
    points : int
        How many.
    md : dict
        Metadata.
    """
    from qlab.errors import PlanError
    from qlab.run.results import Results, publish

    if not counters or points < 1 or not gate_s > 0:
        msg = f"count_rates: {len(counters)} counters, {points} points of {gate_s:g} s; expected at least one, and above 0"
        raise PlanError(msg)
    clock, taken = counters[0].clock, Results("rates")
    found: dict[str, object] = {}

    @bpp.stage_decorator(list(counters))
    @bpp.run_decorator(md={"plan_name": "count_rates", "num_points": points, "detectors": [], **(md or {})})
    def inner():
        rows = []
        for _ in range(points):
            yield from bps.checkpoint()
            yield from perform_together({f"{c.name} count": partial(c.count, gate_s) for c in counters})
            rates = {f"{c.name}_{n}_hz": rate for c in counters for n, rate in c.rates_hz.items()}
            yield from publish("rates", taken, rates, clock.now_s(), dict.fromkeys(rates, "Hz"))
            rows.append(rates)
        for name in rows[0]:
            values = np.array([row[name] for row in rows])
            # Few points say little of their own spread: clicks at random spread by the root of their number.
            spread = values.std(ddof=1) if points >= 10 else np.sqrt(max(values.mean(), 1.0 / gate_s) / gate_s)
            found.update({name: float(values.mean()), f"{name}_sigma": float(spread / np.sqrt(points))})
        yield from publish("analysis", "counting", found, clock.now_s())

    yield from inner()
    return found


def watch_detectors(detectors, duration_s: float = 3600.0, every_s: float = 60.0, md: dict[str, object] | None = None):
    """Look after detectors at intervals and tell when each was not well, and why.

    Parameters
    ----------
    detectors : list of Detector
        All of the lab if none is named.
    duration_s, every_s : float
        For how long, and how often.
    md : dict
        Metadata.
    """
    from qlab.errors import PlanError
    from qlab.run.results import Results, publish

    if not detectors or not 0 < every_s <= duration_s:
        msg = (
            f"watch_detectors: {len(detectors)} detectors, every_s = {every_s:g}, duration_s = {duration_s:g}; "
            "expected at least one, and 0 < every_s <= duration_s"
        )
        raise PlanError(msg)
    clock, seen = detectors[0].clock, Results("health")
    points = int(duration_s // every_s)
    found: dict[str, object] = {}

    @bpp.stage_decorator(list(detectors))
    @bpp.run_decorator(md={"plan_name": "watch_detectors", "num_points": points, "detectors": [], **(md or {})})
    def inner():
        unwell_s = dict.fromkeys((d.name for d in detectors), 0.0)
        reasons: dict[str, list[str]] = {d.name: [] for d in detectors}
        before_s = clock.now_s()
        for _ in range(points):
            yield from bps.checkpoint()
            yield from bps.sleep(max(every_s - (clock.now_s() - before_s), 0.0))
            for d in detectors:
                try:
                    yield from perform(f"{d.name} look", d.trigger)
                except FailedStatus:
                    continue  # its health says why
            now_s = clock.now_s()
            values: dict[str, object] = {}
            for d in detectors:
                ok, reason = int(d.health.ok.get()), str(d.health.reason.get())
                unwell_s[d.name] += 0.0 if ok else now_s - before_s
                if reason and reason not in reasons[d.name]:
                    reasons[d.name].append(reason)
                values |= {f"{d.name}_ok": ok, f"{d.name}_reason": reason}
            before_s = now_s
            yield from publish("health", seen, values, now_s)
        for d in detectors:
            found[f"{d.name}_unwell_s"] = unwell_s[d.name]
            found[f"{d.name}_reasons"] = "; ".join(reasons[d.name])
        yield from publish("analysis", "watch", found, clock.now_s())

    yield from inner()
    return found
