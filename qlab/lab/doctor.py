"""Check a lab before the night: file, instruments, paths, installation.  Goes on past what fails."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qlab.errors import QlabError
from qlab.lab import models
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.lab.build import Lab

__all__ = ["DoctorReport", "doctor", "package_problems"]

PACKAGES = ("qlab", "plans", "devices", "sim_devices")
EXTRAS = {"tiled": "lab", "matplotlib": "lab", "IPython": "lab", "numba": "fast"}


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
        verdict = "nothing is wrong" if not self.problems else f"{self.problems} things are wrong"
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
        report.head(f"lab {lab.file.name} ({lab.path}), {lab.clock.mode} time, seed {lab.seed}")
        report.head("instruments")
        for instrument in lab.file.instruments:
            _instrument(lab, instrument, report)
        report.head("paths")
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
        device.connect()
        health = device.check_health()
    except QlabError as error:
        report.bad(str(error))
        return
    limits = "; ".join(device.limits_text()) or "none"
    text = (
        f"{name} ({kind}, {device.link.address}): {device.identity_text}; firmware {device.firmware}; limits {limits}"
    )
    if health:
        report.bad(f"{text}; {'; '.join(health)}")
    else:
        report.good(text)


def _paths(lab: Lab, report: DoctorReport) -> None:
    used = {optic for path in lab.file.paths for optic in path.via}
    for path in lab.file.paths:
        loss = 0.0
        for name in path.via:
            optic = lab.file.optics[name]
            if isinstance(optic, models.FibreModel):
                loss += optic.loss_db_per_km * optic.length_m / 1000.0
            elif isinstance(optic, models.AttenuatorModel):
                loss += optic.loss_db
        target = path.to if isinstance(path.to, str) else ", ".join(f"{port} {to}" for port, to in path.to.items())
        report.good(f"{path.from_} -> {' -> '.join(path.via) or '(free space)'} -> {target}: {loss:.2f} dB")
    for name, optic in lab.file.optics.items():
        if not isinstance(optic, models.PairSourceModel) and name not in used:
            report.bad(f"optic {name} is on no path")
    wired = {cable.from_ for cable in lab.file.cables}
    for path in lab.file.paths:
        targets = path.to.values() if isinstance(path.to, dict) else [path.to]
        for target in targets:
            if isinstance(target, str) and "." in path.from_ and target in lab.file.instruments and target not in wired:
                report.bad(f"detector {target} has no cable to a tagger")
