"""From the lab file's paths to arms: what stands between a crystal's output and its detectors."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING

from qlab.lab.models import BranchModel
from qlab.lab.optic_models import AttenuatorModel, FibreModel, PbsModel, SplitterModel, WavePlateModel
from qlab.physics.arm import Arm, Attenuator, BeamSplitter, Fibre, PolarisingSplitter, Port, WavePlate
from qlab.physics.jones import random_rotation
from qlab.physics.keys import Brownian

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.lab.check import Checked
    from qlab.lab.source import Key
    from qlab.physics.knob import Knob

__all__ = ["ArmBuilder", "retardance_rad", "stable_id"]

_RETARDANCE_RAD = {"half": math.pi, "quarter": math.pi / 2.0}
_PORTS = ("transmitted", "reflected")


def stable_id(name: str) -> int:
    """Return a 63-bit number that depends on the name alone: adding an instrument reshuffles nothing."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def retardance_rad(plate: WavePlateModel) -> float:
    """Return a plate's retardance, its error included."""
    nominal = plate.retardance
    return (nominal if isinstance(nominal, float | int) else _RETARDANCE_RAD[nominal]) + plate.retardance_error_rad


class ArmBuilder:
    """Builds arms, and complains of what cannot stand in a photon's way.

    Parameters
    ----------
    checked:
        The lab file; takes the complaints.
    knob:
        Gives the knob of an instrument and a quantity.

    Attributes
    ----------
    ends:
        The instruments at which arms end, with the place in the file that says so.
    used:
        The optics that were met.
    """

    def __init__(self, checked: Checked, knob: Callable[[str, str], Knob]) -> None:
        self._checked = checked
        self._knob = knob
        self.ends: dict[str, Key] = {}
        self.used: set[str] = set()

    def build(
        self, via: Sequence[str], to: str | Mapping[str, str | BranchModel], key: Key, first: int = 0
    ) -> Arm | None:
        """Return the arm through `via` to `to`, None after a complaint.

        Parameters
        ----------
        via, to, key:
            Of a path or branch, and where it stands in the file.
        first:
            The element of `via` that comes next.
        """
        lab = self._checked.lab
        if first == len(via):
            return self._end(via, to, key)
        name, here = via[first], (*key, "via", first)
        if not self._checked.known("optic", name, lab.optics, here):
            return None
        self.used.add(name)
        optic = lab.optics[name]
        if isinstance(optic, (PbsModel, SplitterModel)):
            return self._splitter(optic, list(via[first + 1 :]), to, key)
        then = self.build(via, to, key, first + 1)
        if isinstance(optic, WavePlateModel):
            known = self._checked.instrument(optic.mount, ("optics", name, "mount"))
            if then is None or not known:
                return None
            angle = self._knob(optic.mount, "angle_deg")
            return WavePlate(then, retardance_rad(optic), angle, optic.offset_deg)
        if isinstance(optic, FibreModel):
            return None if then is None else self._fibre(name, optic, then)
        if isinstance(optic, AttenuatorModel):
            return None if then is None else Attenuator(then, optic.loss_db)
        self._checked.complain(here, f"{name!r} is a {optic.kind}, which cannot stand in a photon's way")
        return None

    def _fibre(self, name: str, optic: FibreModel, then: Arm) -> Fibre:
        seed, number = self._checked.lab.seed, stable_id(name)
        fibre = Fibre(
            then,
            length_m=optic.length_m,
            loss_db_per_km=optic.loss_db_per_km,
            group_index=optic.group_index,
            dispersion_ps_nm_km=optic.dispersion_ps_nm_km,
            drift_rad_per_sqrt_s=optic.drift_rad_per_sqrt_s,
            walk=(Brownian(seed, number), Brownian(seed, number + 1), Brownian(seed, number + 2)),
        )
        if optic.rotation_seed is not None:
            fibre.turn = random_rotation(optic.rotation_seed)
        return fibre

    def _end(self, via: Sequence[str], to: str | Mapping[str, str | BranchModel], key: Key) -> Port | None:
        here = (*key, "to")
        if not isinstance(to, str):
            last = f"its last element, {via[-1]}, is no splitter" if via else "it has no splitter"
            self._checked.complain(here, f"the path chooses between ports, but {last}")
            return None
        return self._port(to, here)

    def _splitter(
        self,
        optic: PbsModel | SplitterModel,
        rest: Sequence[str],
        to: str | Mapping[str, str | BranchModel],
        key: Key,
    ) -> Arm | None:
        here = (*key, "to")
        if rest or isinstance(to, str) or set(to) != set(_PORTS):
            what = f"; {', '.join(rest)} must stand in the 'via' of a port" if rest else ""
            text = f"a {optic.kind} ends a path: expected to: {{transmitted: ..., reflected: ...}}{what}"
            self._checked.complain(here, text)
            return None
        arms = []
        for port in _PORTS:
            target = to[port]
            if isinstance(target, BranchModel):
                arms.append(self.build(target.via, target.to, (*here, port)))
            else:
                arms.append(self._port(target, (*here, port)))
        transmitted, reflected = arms
        if transmitted is None or reflected is None:
            return None
        if isinstance(optic, PbsModel):
            return PolarisingSplitter(transmitted, reflected, optic.extinction_db)
        return BeamSplitter(transmitted, reflected, optic.transmittance)

    def _port(self, target: str, here: Key) -> Port | None:
        if not self._checked.instrument(target, here):
            return None
        if target in self._checked.parameters and not self._checked.is_detector(target):
            kind = self._checked.devices[target].__name__
            self._checked.complain(here, f"{target!r} is a {kind}, which detects no single photons")
            return None
        self.ends.setdefault(target, here)
        return Port(stable_id(target))
