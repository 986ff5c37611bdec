"""From the lab file's paths to arms: what stands between where light begins and where it ends."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from qlab.lab.fibre_events import fibre_schedule
from qlab.lab.models import BranchModel
from qlab.lab.optic_models import (
    AttenuatorModel,
    DelayLineModel,
    EavesdropperModel,
    FibreModel,
    PaddlesModel,
    PbsModel,
    SplitterModel,
    SqueezersModel,
    SwitchModel,
    TapModel,
    VariableAttenuatorModel,
    WavePlateModel,
)
from qlab.physics.ambient import Ambient
from qlab.physics.arm import Attenuator, BeamSplitter, PolarisingSplitter, WavePlate
from qlab.physics.eavesdropper import AfterGate, FakedStates, InterceptResend, TimeShift
from qlab.physics.fibre import Fibre
from qlab.physics.jones import random_rotation
from qlab.physics.keys import Brownian
from qlab.physics.routing import DelayLine, OpticalSwitch, Squeezer, VariableAttenuator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.lab.check import Checked
    from qlab.lab.optic_models import Optic
    from qlab.lab.source import Key
    from qlab.physics.arm import Arm
    from qlab.physics.knob import Knob

    class KnobOf(Protocol):
        """Gives the knob of a name and a quantity."""

        def __call__(self, instrument: str, quantity: str, initial: float = 0.0) -> Knob:
            """Return it."""
            ...

    Target = str | Mapping[str, str | BranchModel]

__all__ = ["ArmBuilder", "retardance_rad", "stable_id"]

_RETARDANCE_RAD = {"half": math.pi, "quarter": math.pi / 2.0}
_BASES_DEG = {"both": (0.0, 45.0), "HV": (0.0,), "DA": (45.0,), "breidbart": (22.5,)}
BACK = "back"
"""Behind the name of a fibre: the other way."""
_SPLITTERS = (PbsModel, SplitterModel, TapModel, SwitchModel)


def stable_id(name: str) -> int:
    """Return a 63-bit number that depends on the name alone: adding an instrument reshuffles nothing."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def retardance_rad(plate: WavePlateModel) -> float:
    """Return a plate's retardance, its error included."""
    nominal = plate.retardance
    return (nominal if isinstance(nominal, float | int) else _RETARDANCE_RAD[nominal]) + plate.retardance_error_rad


class ArmBuilder:
    """Builds arms, and complains of what cannot stand in the light's way.

    Parameters
    ----------
    checked:
        The lab file; takes the complaints.
    knob:
        Gives the knob of an instrument and a quantity.
    end:
        Makes the port or entrance at a target; None after a complaint.

    Attributes
    ----------
    used:
        The optics that were met.
    light_nm:
        Wavelength of the light whose arm is built; None where it may be several.
    """

    def __init__(self, checked: Checked, knob: KnobOf, end: Callable[[str, Key], Arm | None]) -> None:
        self._checked = checked
        self._knob = knob
        self._end = end
        self.used: set[str] = set()
        self.light_nm: float | None = None

    def build(self, via: Sequence[str], to: Target, key: Key, first: int = 0) -> Arm | None:
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
            return self._target(via, to, key)
        here = (*key, "via", first)
        name, _, way = via[first].partition(".")
        if not self._checked.known("optic", name, lab.optics, here):
            return None
        self.used.add(name)
        optic = lab.optics[name]
        if way and not (way == BACK and isinstance(optic, FibreModel)):
            text = (
                f"found {via[first]!r}; expected {name}, or for a fibre that light passes the other way {name}.{BACK}"
            )
            self._checked.complain(here, text)
            return None
        if isinstance(optic, _SPLITTERS):
            return self._splitter(name, optic, list(via[first + 1 :]), to, key)
        then = self.build(via, to, key, first + 1)
        if isinstance(optic, (WavePlateModel, VariableAttenuatorModel, PaddlesModel, SqueezersModel)):
            word = "mount" if isinstance(optic, WavePlateModel) else "instrument"
            known = self._checked.instrument(getattr(optic, word), ("optics", name, word))
            return None if then is None or not known else self._turned(optic, then)
        if isinstance(optic, DelayLineModel):
            known = self._checked.instrument(optic.stage, ("optics", name, "stage"))
            stage = self._knob(optic.stage, "position_mm")
            return None if then is None or not known else DelayLine(then, stage, optic.passes, optic.loss_db)
        if isinstance(optic, FibreModel):
            return None if then is None else self._fibre(name, optic, then, back=way == BACK)
        if isinstance(optic, AttenuatorModel):
            return None if then is None else Attenuator(then, optic.loss_db)
        if isinstance(optic, EavesdropperModel):
            return None if then is None else self._eavesdropper(name, optic, then)
        self._checked.complain(here, f"{name!r} is a {optic.kind}, which cannot stand in the light's way")
        return None

    def _eavesdropper(self, name: str, optic: EavesdropperModel, then: Arm) -> Arm:
        fraction = self._knob(name, "fraction", optic.fraction)
        bases_deg = _BASES_DEG[optic.bases]
        if optic.attack == "time_shift":
            return TimeShift(then, fraction, optic.shift_ps)
        if optic.attack == "after_gate":
            return AfterGate(then, fraction, bases_deg, later_ps=optic.shift_ps)
        return (FakedStates if optic.attack == "faked_states" else InterceptResend)(then, fraction, bases_deg)

    def _turned(
        self, optic: WavePlateModel | VariableAttenuatorModel | PaddlesModel | SqueezersModel, then: Arm
    ) -> Arm:
        """Return what an instrument turns or sets; the light meets a row's first part first."""
        if isinstance(optic, WavePlateModel):
            return WavePlate(then, retardance_rad(optic), self._knob(optic.mount, "angle_deg"), optic.offset_deg)
        if isinstance(optic, VariableAttenuatorModel):
            quantity = "loss_db" if optic.channel is None else f"loss_db.{optic.channel}"
            return VariableAttenuator(then, self._knob(optic.instrument, quantity), optic.insertion_loss_db)
        if isinstance(optic, PaddlesModel):
            for number, retardance in reversed(list(enumerate(optic.retardances_rad, 1))):
                then = WavePlate(
                    then, retardance, self._knob(optic.instrument, f"angle_deg.{number}"), optic.offset_deg
                )
            return then
        for number, angle in reversed(list(enumerate(optic.angles_deg, 1))):
            then = Squeezer(then, self._knob(optic.instrument, f"retardance_rad.{number}"), angle)
        return then

    def _fibre(self, name: str, optic: FibreModel, then: Arm, *, back: bool) -> Fibre:
        seed, number = self._checked.lab.seed, stable_id(name)
        off_nm = 0.0 if optic.index_nm is None or self.light_nm is None else self.light_nm - optic.index_nm
        fibre = Fibre(
            then,
            length_m=optic.length_m,
            loss_db_per_km=optic.loss_db_per_km,
            group_index=optic.group_index,
            dispersion_ps_nm_km=optic.dispersion_ps_nm_km,
            drift_rad_per_sqrt_s=optic.drift_rad_per_sqrt_s,
            walk=(Brownian(seed, number), Brownian(seed, number + 1), Brownian(seed, number + 2)),
            ps_per_km_k=optic.ps_per_km_k,
            ambient=Ambient(optic.swing_k, self._knob(name, "warm_k")),
            asymmetry_ps=optic.asymmetry_ps,
            off_nm=off_nm,
            back=back,
            extra_ps=self._knob(name, "extra_ps.back" if back else "extra_ps.forth"),
            extra_db=self._knob(name, "extra_db"),
            schedule=fibre_schedule(optic.events, back=back),
        )
        if optic.rotation_seed is not None:
            fibre.turn = random_rotation(optic.rotation_seed)
        return fibre

    def _target(self, via: Sequence[str], to: Target, key: Key) -> Arm | None:
        here = (*key, "to")
        if not isinstance(to, str):
            last = f"its last element, {via[-1]}, is no splitter" if via else "it has no splitter"
            self._checked.complain(here, f"the path chooses between ports, but {last}")
            return None
        return self._end(to, here)

    def _splitter(self, name: str, optic: Optic, rest: Sequence[str], to: Target, key: Key) -> Arm | None:
        here = (*key, "to")
        ports = () if isinstance(to, str) else tuple(to)
        if isinstance(optic, SwitchModel):
            known = self._checked.instrument(optic.instrument, ("optics", name, "instrument"))
            fits = bool(ports) and all(port.isdecimal() and int(port) > 0 for port in ports)
            expected = 'to: {"1": ..., "2": ...}, by output number'
        else:
            first, second = ("through", "tapped") if isinstance(optic, TapModel) else ("transmitted", "reflected")
            known, fits = True, set(ports) == {first, second}
            expected = f"to: {{{first}: ..., {second}: ...}}"
        if rest or not fits:
            what = f"; {', '.join(rest)} must stand in the 'via' of a port" if rest else ""
            self._checked.complain(here, f"a {optic.kind} ends a path: expected {expected}{what}")
            return None
        arms: dict[str, Arm] = {}
        for port, target in to.items() if not isinstance(to, str) else ():
            arm = (
                self.build(target.via, target.to, (*here, port))
                if isinstance(target, BranchModel)
                else self._end(target, (*here, port))
            )
            if arm is not None:
                arms[port] = arm
        if not known or set(arms) != set(ports):
            return None
        if isinstance(optic, SwitchModel):
            outputs = {int(port): arm for port, arm in arms.items()}
            route = self._knob(optic.instrument, f"route.{optic.input}")
            return OpticalSwitch(outputs, route, optic.loss_db, optic.crosstalk_db)
        if isinstance(optic, TapModel):
            return BeamSplitter(arms["through"], arms["tapped"], 1.0 - optic.fraction)
        if isinstance(optic, SplitterModel):
            return BeamSplitter(arms["transmitted"], arms["reflected"], optic.transmittance)
        extinction_db = optic.extinction_db if isinstance(optic, PbsModel) else 0.0
        return PolarisingSplitter(arms["transmitted"], arms["reflected"], extinction_db)
