"""A network of towers: nodes around one source whose clocks are compared in turn, as a switch sends them its photons."""

import math
from typing import Literal

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, recording_run, with_source_on
from qlab.errors import PlanError

__all__ = ["synchronise_towers"]


def synchronise_towers(
    pair_clocks,
    switch,
    source=None,
    hours: float = 24.0,
    exposure_s: float = 1.1,
    every_s: float = 180.0,
    order: Literal["neediest", "in_turn"] = "neediest",
    limit_ns: float = 5.0,
    share: float = 0.95,
    outputs: list[int] | None = None,
    md: dict[str, object] | None = None,
):
    """Keep the clocks of many nodes together with one source: short exposures in turn, in between they coast.

    Each exposure is one event of the stream `exposures`: how far the tower's clock was from what had been foreseen of it, and
    how it stands now.  The service level says for what share of the time the time error stayed below the limit.  Of all
    clocks together a time scale is kept that is steadier than any of them.

    Parameters
    ----------
    pair_clocks : list of PairClock
        The towers; all have the hub as their first tagger.  All of the lab if none is named.
    switch : Switch
        Sends the towers' photons to one of them.
    source : PhotonSource
        Switched on for the run.
    hours : float
        Of the run, in lab hours.
    exposure_s : float
        Of each exposure; with a 1 pps at least some 1.1 s.
    every_s : float
        From one exposure's beginning to the next.  At first rounds follow each other faster, each twice as slow as the
        last, so that frequencies become known.
    order : str
        "neediest": always the tower whose clock is least certain; or "in_turn".
    limit_ns, share : float
        The service level that is promised: a time error below the limit for a share of the time.
    outputs : list of int
        The switch's output to each tower, in their order; by default one after the other.
    md : dict
        Metadata.
    """
    from qlab.run.results import Results, publish

    towers = list(pair_clocks)
    _check(towers, hours, exposure_s, every_s, limit_ns, share)
    hub = towers[0].taggers[0]
    taggers = [hub, *(tower.taggers[1] for tower in towers)]
    clock = hub.clock
    ledger = Ledger(towers)
    results = Results("exposure", {"error_ps": "ps", "foreseen_sigma_ps": "ps", "offset_ps": "ps", "sigma_ps": "ps"})
    points = int(hours * 3600.0 / every_s) + len(towers) * max(math.ceil(math.log2(every_s / exposure_s)), 0) + 1

    def body():
        ports = outputs or [switch.inputs + 1 + i for i in range(len(towers))]
        if len(ports) != len(towers):
            msg = f"synchronise_towers: {len(ports)} outputs for {len(towers)} towers; expected one each"
            raise PlanError(msg)
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, exposure_s, wait=True)
        for tower in towers:
            tower.forget()
        begun_s = clock.now_s()
        ledger.begin(clock.now_ps() * 1e-12)
        number, next_s = 0, begun_s
        while True:
            if next_s > clock.now_s():
                yield from bps.sleep(next_s - clock.now_s())
            if clock.now_s() + exposure_s - begun_s > hours * 3600.0 and number:
                break
            next_s = clock.now_s() + min(every_s, exposure_s * (2 ** min(number // len(towers), 30) - 1))
            k = number % len(towers) if order == "in_turn" else ledger.neediest(clock.now_ps() * 1e-12)
            tower = towers[k]
            way = [(switch, {1: ports[k]})]
            yield from measure_setting(list(tower.taggers), [switch], way, f"to_{tower.name}", [tower])
            number += 1
            values = ledger.add(k)
            yield from publish("exposures", results, values, clock.now_s())
        found = ledger.summary(limit_ns * 1e3, share)
        yield from publish("analysis", "towers", found, clock.now_s())
        return found

    return (yield from with_source_on(source, recording_run("synchronise_towers", taggers, body, points, md)))


def _check(towers, hours, exposure_s, every_s, limit_ns, share):
    if len(towers) < 2 or not 0 < exposure_s <= every_s or not hours * 3600.0 >= exposure_s:
        msg = (
            f"synchronise_towers: {len(towers)} towers, exposure_s = {exposure_s:g}, every_s = {every_s:g}, hours = "
            f"{hours:g}; expected two towers or more, 0 < exposure_s <= every_s, hours for an exposure at least"
        )
        raise PlanError(msg)
    if len({tower.taggers[0].name for tower in towers}) != 1:
        msg = "synchronise_towers: the towers are compared with different taggers; expected one hub, first of all pair clocks"
        raise PlanError(msg)
    if not limit_ns > 0 or not 0 < share <= 1:
        msg = f"synchronise_towers: limit_ns = {limit_ns:g}, share = {share:g}; expected above 0, and a share up to 1"
        raise PlanError(msg)


class Ledger:
    """What the exposures found of each tower, and the time scale of all.

    Parameters
    ----------
    towers : list of PairClock
        The towers.
    """

    def __init__(self, towers):
        from qlab.timing.ensemble import EnsembleScale
        from qlab.timing.service_level import CoastRecord

        self.towers = towers
        self.records = [CoastRecord() for _ in towers]
        self.last_s = [0.0] * len(towers)
        self.scale = EnsembleScale(len(towers) + 1)
        self.rows = []
        self.scale_rows = []
        self._seen = set()

    def begin(self, now_s):
        """Begin to count."""
        self.last_s = [now_s] * len(self.towers)

    def neediest(self, now_s):
        """Return the tower that is known worst by now; of those that are not known at all, the one that waits longest."""
        return max(
            range(len(self.towers)), key=lambda k: (self.towers[k].predict(now_s)[1], now_s - self.last_s[k])
        )  # fmt: skip

    def add(self, k):
        """Take what the comparison of tower k found; returns it."""
        tower = self.towers[k]
        at_s, locked, error_ps = float(tower.at_s.get()), bool(tower.lock.get()), float(tower.error_ps.get())
        if locked:
            self.records[k].add(self.last_s[k], at_s, error_ps if np.isfinite(error_ps) else np.inf)
            self.last_s[k] = at_s
        values = {
            "tower": k,
            "at_s": at_s,
            "locked": int(locked),
            "error_ps": error_ps,
            "foreseen_sigma_ps": float(tower.foreseen_sigma_ps.get()),
            "offset_ps": float(tower.offset_ps.get()),
            "sigma_ps": float(tower.sigma_ps.get()),
            "frequency": float(tower.frequency.get()),
        }
        self.rows.append(list(values.values()))
        self._seen.add(k)
        if len(self._seen) == len(self.towers):
            self._seen.clear()
            self._update_scale(at_s)
        return values

    def summary(self, limit_ps, share):
        """Return what the run says, for the results."""
        from qlab.timing.service_level import service_level, share_curve

        rows = np.array(self.rows, np.float64)
        if not any(record.until_s for record in self.records):
            msg = (
                "synchronise_towers: no exposure found any pairs; is the source on, does the switch lead to the towers?"
            )
            raise PlanError(msg)
        whole = service_level(self.records, limit_ps, share)
        each = [service_level([r], limit_ps, share) if r.until_s else None for r in self.records]
        limits = np.geomspace(limit_ps / 30.0, limit_ps * 10.0, 120)
        found = {
            "curve_ps": limits,
            "curve": share_curve(self.records, limits),
            "tower_curves": np.array([share_curve([record], limits) for record in self.records]),
            "names": np.array([tower.name for tower in self.towers]),
            "limit_ps": limit_ps,
            "promised": share,
            "kept": whole.kept,
            "holds": whole.holds,
            "text": whole.text(),
            "at_promised_ps": whole.at_promised_ps,
            "worst_ps": whole.worst_ps,
            "tower_kept": np.array([one.kept if one else 0.0 for one in each]),
            "tower_at_promised_ps": np.array([one.at_promised_ps if one else np.inf for one in each]),
            "exposures": rows,
            "locked_share": float(rows[:, 2].mean()),
            "pull_rms": self._pull_rms(rows),
        }
        if self.scale_rows:
            found |= {"scale": np.array(self.scale_rows), "weights": self.scale.weights}
        return found

    def _pull_rms(self, rows):
        """Return the rms of errors found in units of what had been foreseen of them: about 1 if the filter is honest."""
        pull = rows[:, 3] / rows[:, 4]
        pull = pull[np.isfinite(pull)]
        return float(np.sqrt(np.mean(pull**2))) if pull.size else np.nan

    def _update_scale(self, at_s):
        """Bring all clocks to one time and update the scale; not while one of them is unknown."""
        known = [tower.predict(at_s) for tower in self.towers]
        if any(sigma_ps > 1e7 for _, sigma_ps, _ in known):
            return
        offsets = np.array([0.0, *(offset_ps for offset_ps, _, _ in known)])
        self.scale.update(at_s, offsets, np.array([0.0, *(frequency for _, _, frequency in known)]))
        self.scale_rows.append([at_s, *self.scale.offset_ps])
