"""From the lab file's optics, paths and cables to the world: sources, arms, detectors, feeds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from qlab.errors import LabFileError
from qlab.lab import models
from qlab.physics.arm import (
    Arm,
    Attenuator,
    BeamSplitter,
    Fibre,
    PolarisingSplitter,
    Port,
    WavePlate,
)
from qlab.physics.detector import Detector
from qlab.physics.jones import random_rotation
from qlab.physics.keys import Brownian
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.oscillator import Oscillator
from qlab.physics.source import PairSource
from qlab.physics.states import dephased, werner
from qlab.physics.world import World

if TYPE_CHECKING:
    from qlab.lab.load import Key, Loaded

__all__ = ["Wiring", "build_wiring", "oscillator_of", "stable_id"]


def stable_id(name: str) -> int:
    """Return a 63-bit number that depends on the name alone: adding an instrument reshuffles nothing."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(slots=True)
class Wiring:
    """The world and the handles that twins get, by instrument name."""

    pumps: dict[str, Knob] = field(default_factory=dict)
    ovens: dict[str, Knob] = field(default_factory=dict)
    plates: dict[str, Knob] = field(default_factory=dict)
    detectors: dict[str, Detector] = field(default_factory=dict)
    meters: dict[str, tuple[str, float]] = field(default_factory=dict)
    lines: list[PairLine] = field(default_factory=list)
    inputs: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    world: World | None = None


class _Builder:
    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.lab = loaded.lab
        self.wiring = Wiring()
        self.problems: list[str] = []
        self.pump_share: dict[str, float] = {}

    def complain(self, key: Key, text: str) -> None:
        self.problems.append(self.loaded.source.complain(key, text))

    def instrument(self, name: str, key: Key) -> bool:
        if name not in self.lab.instruments:
            known = ", ".join(self.lab.instruments)
            self.complain(key, f"there is no instrument {name!r}; known are {known}")
            return False
        return True

    def build(self) -> Wiring:
        self._detectors()
        for i, path in enumerate(self.lab.paths):
            start = path.from_.partition(".")[0]
            if start in self.lab.instruments:
                self._pump_path(path, ("paths", i))
        for name, optic in self.lab.optics.items():
            if isinstance(optic, models.PairSourceModel):
                self._source(name, optic)
        self._cables()
        if self.problems:
            raise LabFileError("\n".join(self.problems))
        by_id = {stable_id(name): detector for name, detector in self.wiring.detectors.items()}
        self.wiring.world = World(self.lab.seed, self.wiring.lines, by_id)
        return self.wiring

    def _detectors(self) -> None:
        for name, instrument in self.lab.instruments.items():
            p = instrument.twin
            if not instrument.is_twin or ("SPD" not in instrument.class_.rpartition(".")[2] and "efficiency" not in p):
                continue
            self.wiring.detectors[name] = Detector(
                efficiency=Knob(float(p.get("efficiency", 0.5))),
                dark_rate_hz=Knob(float(p.get("dark_rate_hz", 500.0))),
                afterpulse_probability=Knob(float(p.get("afterpulse_probability", 0.01))),
                jitter_fwhm_ps=float(p.get("jitter_fwhm_ps", 350.0)),
                dead_time_ps=round(float(p.get("dead_time_ns", 50.0)) * 1000),
                afterpulse_tau_ps=float(p.get("afterpulse_tau_ns", 50.0)) * 1000,
            )

    def _pump_path(self, path: models.PathModel, key: Key) -> None:
        share = 1.0
        for j, name in enumerate(path.via):
            optic = self.lab.optics.get(name)
            if isinstance(optic, models.AttenuatorModel):
                share *= 10.0 ** (-optic.loss_db / 10.0)
            elif isinstance(optic, models.TapModel):
                targets = path.to if isinstance(path.to, dict) else {}
                meter = str(targets.get("tapped", ""))
                if meter and self.instrument(meter, (*key, "to")):
                    self.wiring.meters[meter] = (path.from_, share * optic.fraction)
                share *= 1.0 - optic.fraction
            else:
                self.complain(
                    (*key, "via", j), f"{name!r} cannot stand in a pump's path; expected a tap or an attenuator"
                )
        target = str(path.to.get("through", "")) if isinstance(path.to, dict) else path.to
        if not target:
            return
        if target in self.lab.instruments:
            self.wiring.meters[target] = (path.from_, share)
        elif isinstance(self.lab.optics.get(target), models.PairSourceModel):
            self.pump_share[target] = share
        else:
            self.complain(
                (*key, "to"), f"the path leads to {target!r}, which is neither a pair source nor an instrument"
            )

    def _source(self, name: str, optic: models.PairSourceModel) -> None:
        key: Key = ("optics", name)
        if not self.instrument(optic.pump, (*key, "pump")):
            return
        if optic.oven is not None and not self.instrument(optic.oven, (*key, "oven")):
            return
        arms = {port: self._arm_of(f"{name}.{port}") for port in ("signal", "idler")}
        if arms["signal"] is None or arms["idler"] is None:
            for port, arm in arms.items():
                if arm is None:
                    self.complain(key, f"no path begins at {name}.{port}")
            return
        pump = self.wiring.pumps.setdefault(optic.pump, Knob(0.0))
        ambient = self._ambient(optic.oven)
        oven = self.wiring.ovens.setdefault(optic.oven, Knob(ambient)) if optic.oven else Knob(optic.phase_match_c)
        source = PairSource(
            brightness_hz_per_w=optic.brightness_hz_per_mw * 1000.0,
            state=dephased(werner(optic.state.bell, optic.state.visibility), optic.state.coherence),
            pump_power_w=pump,
            temperature_c=oven,
            transmission=self.pump_share.get(name, 1.0),
            phase_match_c=optic.phase_match_c,
            phase_match_fwhm_c=optic.phase_match_fwhm_c,
            signal_nm=optic.signal_nm,
            idler_nm=optic.idler_nm,
            bandwidth_nm=optic.bandwidth_nm,
        )
        self.wiring.lines.append(PairLine(stable_id(name), source, arms["signal"], arms["idler"]))

    def _ambient(self, instrument: str | None) -> float:
        node = self.lab.instruments[instrument].node if instrument else None
        return self.lab.nodes[node].ambient_c if node in self.lab.nodes else 22.0

    def _arm_of(self, start: str) -> Arm | None:
        for i, path in enumerate(self.lab.paths):
            if path.from_ == start:
                return self._arm(path.via, path.to, ("paths", i))
        return None

    def _arm(self, via: list[str], to: str | dict[str, Any], key: Key) -> Arm | None:
        if not via:
            if not isinstance(to, str):
                self.complain((*key, "to"), "there is no splitter before this choice of ports")
                return None
            if not self.instrument(to, (*key, "to")):
                return None
            if to not in self.wiring.detectors:
                self.wiring.detectors[to] = Detector(efficiency=Knob(0.0))
            return Port(stable_id(to))
        name, *rest = via
        optic = self.lab.optics.get(name)
        if optic is None:
            self.complain((*key, "via"), f"there is no optic {name!r}; known are {', '.join(self.lab.optics)}")
            return None
        if isinstance(optic, (models.PbsModel, models.SplitterModel)):
            return self._splitter(optic, rest, to, key)
        then = self._arm(rest, to, key)
        if then is None:
            return None
        if isinstance(optic, models.FibreModel):
            seed = stable_id(name)
            walk = tuple(Brownian(self.lab.seed, seed + axis) for axis in range(3))
            return Fibre(
                then,
                length_m=optic.length_m,
                loss_db_per_km=optic.loss_db_per_km,
                group_index=optic.group_index,
                dispersion_ps_nm_km=optic.dispersion_ps_nm_km,
                **({} if optic.rotation_seed is None else {"turn": random_rotation(optic.rotation_seed)}),
                drift_rad_per_sqrt_s=optic.drift_rad_per_sqrt_s,
                walk=(walk[0], walk[1], walk[2]),
            )
        if isinstance(optic, models.AttenuatorModel):
            return Attenuator(then, optic.loss_db)
        if isinstance(optic, models.WavePlateModel):
            if not self.instrument(optic.mount, ("optics", name, "mount")):
                return None
            knob = self.wiring.plates.setdefault(optic.mount, Knob(0.0))
            retardance = {"half": math.pi, "quarter": math.pi / 2}.get(str(optic.retardance))
            return WavePlate(
                then, float(optic.retardance) if retardance is None else retardance, knob, optic.offset_deg
            )
        self.complain((*key, "via"), f"{name!r} ({optic.kind}) cannot stand in a photon's path")
        return None

    def _splitter(
        self, optic: models.PbsModel | models.SplitterModel, rest: list[str], to: str | dict[str, Any], key: Key
    ) -> Arm | None:
        if rest or not isinstance(to, dict) or set(to) != {"transmitted", "reflected"}:
            self.complain((*key, "to"), "a splitter ends a path: expected to: {transmitted: ..., reflected: ...}")
            return None
        arms = []
        for port in ("transmitted", "reflected"):
            target = to[port]
            if isinstance(target, dict):
                arms.append(self._arm(list(target.get("via", [])), target.get("to", ""), (*key, "to", port)))
            else:
                arms.append(self._arm([], str(target), (*key, "to", port)))
        if arms[0] is None or arms[1] is None:
            return None
        if isinstance(optic, models.PbsModel):
            return PolarisingSplitter(arms[0], arms[1], optic.extinction_db)
        return BeamSplitter(arms[0], arms[1], optic.transmittance)

    def _cables(self) -> None:
        for i, cable in enumerate(self.lab.cables):
            key: Key = ("cables", i)
            tagger, _, number = cable.to.partition(".")
            if not self.instrument(cable.from_, (*key, "from")) or not self.instrument(tagger, (*key, "to")):
                continue
            if not number.isdigit() or int(number) < 1:
                self.complain((*key, "to"), f"found {cable.to!r}; expected TAGGER.INPUT with inputs from 1")
                continue
            if cable.from_ not in self.wiring.detectors:
                if self.lab.instruments[cable.from_].is_twin:
                    self.complain((*key, "from"), f"{cable.from_!r} is not a detector")
                continue
            inputs = self.wiring.inputs.setdefault(tagger, {})
            if int(number) - 1 in inputs:
                self.complain((*key, "to"), f"two cables end at input {number} of {tagger}")
            inputs[int(number) - 1] = (stable_id(cable.from_), cable.delay_ps)


def build_wiring(loaded: Loaded) -> Wiring:
    """Build the world of a lab file; raises `LabFileError` with every complaint at once."""
    return _Builder(loaded).build()


def oscillator_of(lab: models.LabFile, instrument: str) -> Oscillator:
    """Return the clock of the node at which an instrument stands."""
    node = lab.nodes.get(lab.instruments[instrument].node or "")
    return Oscillator(node.clock.offset_ps, node.clock.drift) if node is not None else Oscillator()
