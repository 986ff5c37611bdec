"""How long a plan will take: a dry run of the same plan in the same lab, every instrument a twin, lab time stepped.

What the plan does in the lab depends on what it measures, so it is run for real on simulated light; only what is on the wires
is not the hardware's.  A dry run that takes too long by the wall is cut off and extrapolated to the most points of the plan.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from qlab.clock import PS_PER_S
from qlab.errors import QlabError
from qlab.lab.build import open_lab
from qlab.lab.load import load_lab
from qlab.run.engine import Session
from qlab.run.loader import bind_parameters, find_plan
from qlab.run.options import RunOptions
from qlab.run.warming import warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.clock import Clock
    from qlab.lab.load import Loaded
    from qlab.lab.models import LabFile

__all__ = ["Estimate", "estimate_plan", "recall_estimate", "remember_estimate", "twin_overrides"]

WALL_S = 120.0
"""Wall seconds after which a dry run is cut off."""
FILE = "estimates.json"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a dry run said.

    Attributes
    ----------
    lab_s, points:
        Lab time and points of the plan.
    warm_up_s:
        Lab time of the ovens before it.
    dry_points, wall_s:
        Points of the dry run, and the wall seconds that it took.
    complete:
        Whether it came to its end; else `lab_s` and `points` are extrapolated, and the most that it can be.
    """

    lab_s: float
    points: int
    warm_up_s: float
    dry_points: int
    wall_s: float
    complete: bool

    def render(self) -> str:
        """Return a sentence for a person."""
        about = "" if self.complete else "at most about "
        how = "dry run on twins" if self.complete else f"dry run on twins, cut off after {self.dry_points} points"
        warm = f", after a warm-up of {span(self.warm_up_s)}" if self.warm_up_s else ""
        return f"{about}{span(self.lab_s)} of lab time, {self.points} points{warm} ({how}, {self.wall_s:.1f} s)"


class _EnoughError(Exception):
    """The dry run has taken long enough."""


def span(seconds: float) -> str:
    """Return a time as a person writes it."""
    if seconds < 120.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def twin_overrides(lab: LabFile) -> list[str]:
    """Return the overrides that make every instrument of a lab a twin, on buses as they are, and its time stepped."""
    buses: dict[str, str] = {}
    found = ["clock.mode=stepped"]
    for name, instrument in lab.instruments.items():
        if instrument.is_twin:
            continue
        bus = buses.setdefault(instrument.address, f"dry{len(buses)}")
        found.append(f"instruments.{name}.address={'twin' if instrument.unit is None else f'twin:{bus}'}")
    return found


def estimate_plan(
    lab_name: str, plan_name: str, texts: Mapping[str, str], options: RunOptions, *, wall_s: float = WALL_S
) -> Estimate:
    """Run a plan on twins, in a folder of its own, and return how long it took.

    Parameters
    ----------
    lab_name, plan_name, texts, options:
        As for a run; its calibrations and earlier runs are used, nothing is written.
    wall_s:
        Wall seconds after which the dry run is cut off.

    Raises
    ------
    QlabError
        What the plan would fail with.
    """
    plan = find_plan(plan_name)
    loaded = load_lab(lab_name, options.overrides)
    overrides = (*options.overrides, *twin_overrides(loaded.lab))
    begun = perf_counter()
    with TemporaryDirectory(prefix="qlab-dry-run-") as name:
        folder = Path(name)
        known = _data_dir(loaded, options)
        if (known / "calibrations").is_dir():
            shutil.copytree(known / "calibrations", folder / "calibrations")
        (folder / "runs").mkdir()
        for journal in (known / "runs").glob("*.jsonl"):  # a plan may go on from an earlier run
            (folder / "runs" / journal.name).symlink_to(journal)
        dry = RunOptions(overrides=overrides, data_dir=folder)
        with open_lab(lab_name, overrides=overrides, data_dir=folder) as lab, Session(lab, dry) as session:
            light = lab.file.world.replay is None
            arguments = bind_parameters(plan, texts, lab.devices, light=light)
            if light:
                warm_up(lab)
            seen = _Seen(lab.clock)
            session.subscribe(seen)
            begin_ps = lab.clock.now_ps()
            complete = _run(session, plan(**arguments), seen, begun + wall_s)
            lab_s = (lab.clock.now_ps() - begin_ps) / PS_PER_S
    spent_s = perf_counter() - begun
    points = seen.points
    if not complete:  # what came before the first point is there once
        points = max(seen.most, seen.points)
        lab_s += (seen.last_ps - seen.first_ps) / PS_PER_S / (seen.points - 1) * (points - seen.points)
    return Estimate(lab_s, points, begin_ps / PS_PER_S, seen.points, spent_s, complete)


class _Seen:
    """Counts the points of a run, and knows when the first and the last were."""

    def __init__(self, clock: Clock) -> None:
        self.points = self.most = 0
        self.first_ps = self.last_ps = 0
        self._clock = clock
        self._primary: set[str] = set()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self.most += int(doc.get("num_points", 0))
        elif name == "descriptor" and doc.get("name") == "primary":
            self._primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._primary:
            self.points += 1
            self.last_ps = self._clock.now_ps()
            self.first_ps = self.first_ps or self.last_ps


def _run(session: Session, plan: Any, seen: _Seen, until: float) -> bool:
    """Run to the end, or to the first checkpoint after a wall time and two points; return whether it was the end."""
    import bluesky.preprocessors as bpp
    from bluesky.utils import FailedStatus

    logging.getLogger("bluesky").setLevel(logging.CRITICAL)  # it would print a traceback at the cut

    def look(message: Any) -> Any:
        if message.command == "checkpoint" and seen.points > 1 and perf_counter() > until:
            raise _EnoughError
        return message

    try:
        session.run(bpp.msg_mutator(plan, look))
    except _EnoughError:
        return False
    except FailedStatus as error:
        cause = error.args[0].exception(0.0) if error.args else None
        if isinstance(cause, QlabError):
            raise cause from None
        raise
    return True


def remember_estimate(
    lab_name: str, plan_name: str, texts: Mapping[str, str], options: RunOptions, found: Estimate
) -> None:
    """Keep an estimate in the data folder for the progress bar of the run to come."""
    loaded = load_lab(lab_name, options.overrides)
    path = _data_dir(loaded, options) / FILE
    known = _known(path)
    known[_key(loaded, plan_name, texts)] = asdict(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1), encoding="utf-8")


def recall_estimate(
    lab_name: str, plan_name: str, texts: Mapping[str, str], options: RunOptions
) -> dict[str, float | int]:
    """Return `estimated_s` and `estimated_points` for a run's metadata; nothing where there is no estimate of it."""
    loaded = load_lab(lab_name, options.overrides)
    found = _known(_data_dir(loaded, options) / FILE).get(_key(loaded, plan_name, texts))
    return {"estimated_s": found["lab_s"], "estimated_points": found["points"]} if found else {}


def _key(loaded: Loaded, plan_name: str, texts: Mapping[str, str]) -> str:
    said = json.dumps([loaded.sha256, plan_name, sorted(texts.items())])
    return f"{plan_name} {hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _known(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # none yet, or spoiled: it is only a help
    return found if isinstance(found, dict) else {}


def _data_dir(loaded: Loaded, options: RunOptions) -> Path:
    chosen: Sequence[Path | None] = (options.data_dir, loaded.lab.data_directory, Path("qlab-data"))
    return next(folder for folder in chosen if folder is not None).resolve()
