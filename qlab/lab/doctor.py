"""Check a lab before the night: file, instruments, paths, installation.  Goes on past what fails."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.errors import QlabError
from qlab.lab.build import open_lab
from qlab.lab.node_clocks import clock_text
from qlab.lab.optic_models import (
    AttenuatorModel,
    FibreModel,
    PairSourceModel,
    SplitterModel,
    SwitchModel,
    TapModel,
    VariableAttenuatorModel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.lab.build import Lab
    from qlab.lab.models import Target
    from qlab.lab.optic_models import Optic

__all__ = ["DoctorReport", "doctor", "package_problems"]

PACKAGES = ("qlab", "plans", "devices", "sim_devices")
EXTRAS = {"tiled": "lab", "matplotlib": "lab", "IPython": "lab", "numba": "fast", "prometheus_client": "metrics"}


@dataclass(slots=True)
class DoctorReport:
    """What was found: lines for a person, and whether something is wrong."""

    lines: list[str] = field(default_factory=list)
    problems: int = 0

    def good(self, text: str) -> None:
        """Note something that is as it should be."""
        self.lines.append(f"  ok    {text}")

    def bad(self, text: str) -> None:
        """Note something that is wrong."""
        self.lines.append(f"  WRONG {text}")
        self.problems += 1

    def head(self, text: str) -> None:
        """Begin a section."""
        self.lines.append(text)

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong."""
        return 1 if self.problems else 0

    def render(self) -> str:
        """Return the report as text."""
        things = "1 thing is" if self.problems == 1 else f"{self.problems} things are"
        verdict = "nothing is wrong" if not self.problems else f"{things} wrong"
        return "\n".join([*self.lines, verdict])


def doctor(name: str, overrides: Sequence[str] = ()) -> DoctorReport:
    """Check everything of a lab; raises `LabFileError` where the file itself is wrong."""
    report = DoctorReport()
    report.head("installation")
    for problem in package_problems():
        report.bad(problem)
    if not report.problems:
        report.good(f"the packages {', '.join(PACKAGES)} come from one tree")
    for module, extra in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            report.lines.append(f"  note  {module} is not installed (pip install 'qlab[{extra}]')")
    with open_lab(name, overrides=overrides, connect=False) as lab:
        report.head(f"lab {lab.file.name} ({lab.path}), seed {lab.seed}")
        _clock(lab, report)
        report.head("instruments")
        for instrument in lab.file.instruments:
            _instrument(lab, instrument, report)
        _paths(lab, report)
    return report


def package_problems() -> list[str]:
    """Return what is wrong with where our four packages come from: their names are generic, another tree may shadow one."""
    homes = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            return [f"package {package} cannot be imported; install qlab again"]
        homes[package] = Path(spec.origin).parent.parent
    if len(set(homes.values())) == 1:
        return []
    return [f"the packages come from several trees: {', '.join(f'{p} from {h}' for p, h in homes.items())}"]


def _instrument(lab: Lab, name: str, report: DoctorReport) -> None:
    device = lab.devices[name]
    kind = "twin" if lab.file.instruments[name].is_twin else "real"
    try:
        lab.connect_one(name)
        health = device.check_health()
    except QlabError as error:
        report.bad(str(error))
        return
    limits = "; ".join(device.limits_text()) or "none"
    who = f"{device.identity_text}; firmware {device.firmware or 'unknown'}"
    text = f"{name} ({kind}, {device.link.address}): {who}; limits {limits}"
    if health:
        report.bad(f"{text}; {'; '.join(health)}")
    else:
        report.good(text)


def _clock(lab: Lab, report: DoctorReport) -> None:
    speed = f" at {lab.file.clock.speed:g} lab seconds a second" if lab.clock.mode == "paced" else ""
    report.head(f"clock: {lab.clock.mode} time{speed}")
    for name, node in lab.file.nodes.items():
        report.good(f"node {name}: {clock_text(node.clock)}")


def _paths(lab: Lab, report: DoctorReport) -> None:
    report.head("paths")
    for path in lab.file.paths:
        _way(lab, [path.from_], path.via, path.to, 0.0, report)
    for name, optic in lab.file.optics.items():
        if not isinstance(optic, PairSourceModel) and name not in lab.wiring.used:
            report.bad(f"optic {name} is on no path")
    wired = {cable.from_ for cable in lab.file.cables}
    for name in lab.wiring.ends:
        if name not in wired:
            report.bad(f"detector {name} has no cable to a tagger")
    ends = {cable.to for cable in lab.file.cables}
    for name, analyser in lab.file.analysers.items():
        if lab.file.world.replay is not None or not lab.file.instruments[analyser.tagger].is_twin:
            continue  # what comes in there, we cannot know
        for port, number in (("transmitted", analyser.transmitted), ("reflected", analyser.reflected)):
            if f"{analyser.tagger}.{number}" not in ends:
                report.bad(f"analyser {name}: no cable ends at {analyser.tagger}.{number}, its {port} input")
    for cable in lab.file.cables:
        if cable.from_ not in lab.wiring.ends and cable.from_ not in lab.wiring.signals:
            report.bad(f"no path leads to detector {cable.from_}, whose cable ends at {cable.to}")


def _way(lab: Lab, so_far: list[str], via: Sequence[str], to: Target, loss_db: float, report: DoctorReport) -> None:
    """Report one line for each end that the light can reach, with the loss of what stands in its way when it is open."""
    for name in via:
        loss_db += _loss_db(lab.file.optics[name.partition(".")[0]])
    here = [*so_far, *via]
    if isinstance(to, str):
        report.good(f"{' -> '.join([*here, to])}: {loss_db:.2f} dB")
        return
    last = lab.file.optics[via[-1]]
    for port, target in to.items():
        share_db = loss_db + _port_loss_db(last, port)
        there = [*here[:-1], f"{here[-1]} ({port})"]
        if isinstance(target, str):
            _way(lab, there, [], target, share_db, report)
        else:
            _way(lab, there, target.via, target.to, share_db, report)


def _loss_db(optic: Optic) -> float:
    if isinstance(optic, FibreModel):
        return optic.loss_db_per_km * optic.length_m / 1000.0
    if isinstance(optic, VariableAttenuatorModel):
        return optic.insertion_loss_db
    return optic.loss_db if isinstance(optic, (AttenuatorModel, SwitchModel)) else 0.0


def _port_loss_db(optic: Optic, port: str) -> float:
    """Return what a port costs whatever the polarisation; a polarising splitter loses nothing."""
    if isinstance(optic, SplitterModel):
        share = optic.transmittance if port == "transmitted" else 1.0 - optic.transmittance
    elif isinstance(optic, TapModel):
        share = optic.fraction if port == "tapped" else 1.0 - optic.fraction
    else:
        return 0.0
    return -10.0 * math.log10(share) if share > 0 else math.inf
