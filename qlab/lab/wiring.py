"""From the lab file's optics, paths and cables to the world, and to the handles on it that twins get."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.errors import BadRequestError
from qlab.lab.arms import ArmBuilder, stable_id
from qlab.lab.electrics import connect_cables, connect_clocks, connect_cold_stages, connect_detectors
from qlab.lab.meetings import MeetingBuilder, meeting_outputs
from qlab.lab.optic_models import (
    EavesdropperModel,
    InterferometerModel,
    MidpointModel,
    PairSourceModel,
    WeakSourceModel,
)
from qlab.lab.pulsing import TrainBuilder, build_weak_source, drive_signals
from qlab.lab.source import nearest
from qlab.lab.wires import Wiring
from qlab.physics.arm import Path, Port
from qlab.physics.beam import Beam
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.midpoint import LinkEnd, Midpoint
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.register import QubitRegister
from qlab.physics.source import PairSource
from qlab.physics.states import dephased, werner
from qlab.physics.weak_line import WeakLine
from qlab.physics.world import World

if TYPE_CHECKING:
    from qlab.lab.check import Checked
    from qlab.lab.models import LabFile
    from qlab.lab.source import Key
    from qlab.physics.arm import Arm

__all__ = ["ambient_c", "build_wiring"]

ROOM_C = 22.0
LONGEST_PS = 50_000_000_000
"""The world looks for arrivals in the cell of emission and the next one, of 69 ms each."""
_PHOTONS = ("signal", "idler")


def build_wiring(checked: Checked) -> Wiring:
    """Build the world of a lab file; complaints go to `checked`, and there is no world after one."""
    wiring = Wiring(register=QubitRegister(checked.lab.seed))
    connect_clocks(checked, wiring)
    trains = TrainBuilder(checked, wiring.knob, wiring.generator_clocks)
    connect_detectors(checked, wiring, trains)
    connect_cold_stages(checked, wiring)
    begins = _begins(checked)
    _beams(checked, wiring, begins)
    _midpoints(checked, wiring, begins)
    meetings = MeetingBuilder(checked)
    arms = _photon_arms(checked, wiring, meetings)
    for name, optic in checked.lab.optics.items():
        if isinstance(optic, PairSourceModel):
            colours = (optic.signal_nm, optic.idler_nm)
            two = {p: _arm(checked, arms, begins, f"{name}.{p}", nm) for p, nm in zip(_PHOTONS, colours, strict=True)}
            meetings.enter(name, two)
            line = _source(checked, wiring, name, optic, two, trains)
            if line is not None:
                meetings.add(name, optic, line)
        if isinstance(optic, WeakSourceModel):
            _weak_source(checked, wiring, name, optic, _arm(checked, arms, begins, name, optic.wavelength_nm), trains)
    exits = _photon_arms(checked, wiring, None)
    ways = {start: _arm(checked, exits, begins, start) for start in meeting_outputs(checked.lab)}
    wiring.lines += meetings.lines(ways)
    wiring.used |= arms.used | exits.used | meetings.used
    for name in wiring.ends:
        wiring.detectors.setdefault(name, Detector(efficiency=Knob(0.0)))  # a real one: the world's light ends there
    connect_cables(checked, wiring, trains)
    _eavesdroppers(checked)
    if not checked.problems:
        by_id = {stable_id(name): detector for name, detector in wiring.detectors.items()}
        signals = {stable_id(place): signal for place, signal in wiring.signals.items()}
        try:
            wiring.world = World(
                checked.lab.seed, wiring.lines, by_id, signals=signals, engine=checked.lab.world.engine
            )
        except BadRequestError as error:
            checked.complain(("world", "engine"), str(error))
    return wiring


def ambient_c(lab: LabFile, instrument: str | None) -> float:
    """Return the room temperature where an instrument stands."""
    node = lab.instruments[instrument].node if instrument in lab.instruments else None
    return lab.nodes[node].ambient_c if node in lab.nodes else ROOM_C


def _begins(checked: Checked) -> dict[str, int]:
    """Return for each start the number of its path."""
    lab = checked.lab
    crystals = [name for name, optic in lab.optics.items() if isinstance(optic, PairSourceModel)]
    photons = [f"{name}.{photon}" for name in crystals for photon in _PHOTONS]
    weak = [name for name, optic in lab.optics.items() if isinstance(optic, WeakSourceModel)]
    starts = [*lab.instruments, *photons, *weak, *_links(checked), *meeting_outputs(lab)]
    begins: dict[str, int] = {}
    for i, path in enumerate(lab.paths):
        if path.from_ not in starts:
            hint = nearest(path.from_, starts)
            expected = "a path begins at a laser, a crystal, a weak source, an interferometer or a repeater's link"
            checked.complain(("paths", i, "from"), f"found {path.from_!r}; {expected}; {hint}")
        elif path.from_ in begins:
            text = f"path {begins[path.from_]} begins at {path.from_} as well; split the light by a beam splitter"
            checked.complain(("paths", i, "from"), text)
        else:
            begins[path.from_] = i
    return begins


def _beams(checked: Checked, wiring: Wiring, begins: dict[str, int]) -> None:
    """Build the lasers' light, which ends at power meters, polarimeters and crystals."""
    lab = checked.lab
    crystals = {name: optic for name, optic in lab.optics.items() if isinstance(optic, PairSourceModel)}
    for laser, i in begins.items():
        if laser not in lab.instruments:
            continue
        lit: set[str] = set()

        def end(target: str, key: Key, laser: str = laser, lit: set[str] = lit) -> Port | None:
            if not checked.known("pair source or instrument", target, [*crystals, *lab.instruments], key):
                return None
            if target in crystals and crystals[target].pump != laser:
                pump = crystals[target].pump
                checked.complain(key, f"the path begins at {laser}, but {target} says that its pump is {pump}")
            elif target in checked.parameters and checked.is_detector(target):
                checked.complain(key, f"{target!r} detects single photons; a laser's light would blind it")
            lit.add(target)
            return Port(stable_id(target))

        arms = ArmBuilder(checked, wiring.knob, end)
        arm = arms.build(lab.paths[i].via, lab.paths[i].to, ("paths", i))
        wiring.used |= arms.used
        if arm is None:
            continue
        beam = Beam(wiring.knob(laser, "power_w"), arm)
        for target in lit:
            wiring.beams.setdefault(target, []).append(beam)


def _links(checked: Checked) -> list[str]:
    return [f"{name}.{link}" for name in checked.lab.instruments for link in checked.entanglement_links(name)]


def _midpoints(checked: Checked, wiring: Wiring, begins: dict[str, int]) -> None:
    """Build the stations in which photons of two repeater modules meet."""
    lab = checked.lab
    stations = {
        name: Midpoint(lab.seed, stable_id(name), wiring.register, o.efficiency, o.dark_rate_hz, o.visibility)
        for name, o in lab.optics.items()
        if isinstance(o, MidpointModel)
    }
    for start in _links(checked):
        if start not in begins:
            continue
        met: list[str] = []

        def end(target: str, key: Key, met: list[str] = met) -> Port | None:
            if not checked.known("midpoint", target, stations, key):
                return None
            met.append(target)
            return Port(stable_id(target))

        arms = ArmBuilder(checked, wiring.knob, end)
        path = lab.paths[begins[start]]
        arm = arms.build(path.via, path.to, ("paths", begins[start]))
        wiring.used |= {*arms.used, *met}
        if arm is None or len(set(met)) != 1:
            continue
        station = stations[met[0]]
        if len(station.ends) == 2:
            checked.complain(("paths", begins[start], "to"), f"a third path ends at {met[0]}; a midpoint joins two")
            continue
        wiring.links[start] = LinkEnd(arm, start)
        station.join(wiring.links[start])
    for name, station in stations.items():
        if len(station.ends) < 2 and not checked.problems:
            checked.complain(("optics", name), f"{len(station.ends)} paths end here; a midpoint joins two")


def _photon_arms(checked: Checked, wiring: Wiring, meetings: MeetingBuilder | None) -> ArmBuilder:
    def end(target: str, key: Key) -> Arm | None:
        name, _, channel = target.partition(".")
        if isinstance(checked.lab.optics.get(name), InterferometerModel):
            if meetings is not None:
                return meetings.entrance(name, channel, key)
            checked.complain(key, f"found {target!r}; what leaves an interferometer ends at detectors")
            return None
        if not checked.instrument(name, key):
            return None
        if name in checked.parameters and not checked.is_detector(name, channel):
            kind = checked.devices[name].__name__
            what = f"which has no detector {channel!r}" if channel else "which detects no single photons"
            checked.complain(key, f"{target!r} is a {kind}, {what}{checked.channels_text(name)}")
            return None
        wiring.ends.setdefault(target, key)
        return Port(stable_id(target))

    return ArmBuilder(checked, wiring.knob, end)


def _arm(
    checked: Checked, arms: ArmBuilder, begins: dict[str, int], start: str, light_nm: float | None = None
) -> Arm | None:
    if start not in begins:
        checked.complain(("optics", start.partition(".")[0]), f"no path begins at {start}")
        return None
    key: Key = ("paths", begins[start])
    path = checked.lab.paths[begins[start]]
    arms.light_nm = light_nm
    arm = arms.build(path.via, path.to, key)
    slowest_ps = max((outcome.delay_ps for outcome in arm.outcomes(0, Path())), default=0) if arm is not None else 0
    if slowest_ps > LONGEST_PS:
        text = (
            f"the light needs {slowest_ps * 1e-9:.1f} ms; expected at most {LONGEST_PS * 1e-9:g} ms, 10,000 km of fibre"
        )
        checked.complain(key, text)
    return arm


def _source(
    checked: Checked,
    wiring: Wiring,
    name: str,
    optic: PairSourceModel,
    arms: dict[str, Arm | None],
    trains: TrainBuilder,
) -> PairLine | None:
    """Return a crystal with its arms, None after a complaint."""
    key: Key = ("optics", name)
    known = [checked.instrument(optic.pump, (*key, "pump"))]
    if optic.oven is not None:
        known.append(checked.instrument(optic.oven, (*key, "oven")))
    signal, idler = arms["signal"], arms["idler"]
    if not all(known) or signal is None or idler is None:
        return None
    oven = Knob(optic.phase_match_c)
    if optic.oven is not None:
        oven = wiring.knob(optic.oven, "temperature_c", ambient_c(checked.lab, optic.oven))
    source = PairSource(
        brightness_hz_per_w=optic.brightness_hz_per_mw * 1000.0,
        state=dephased(werner(optic.state.bell, optic.state.visibility), optic.state.coherence),
        pump_power_w=wiring.knob(optic.pump, "power_w"),
        temperature_c=oven,
        pump_way=next(iter(wiring.beams.get(name, ())), None),
        port=stable_id(name),
        phase_match_c=optic.phase_match_c,
        phase_match_fwhm_c=optic.phase_match_fwhm_c,
        pump_colour=None if optic.pump_nm is None else wiring.knob(optic.pump, "wavelength_nm", optic.pump_nm),
        pump_nm=optic.pump_nm or 0.0,
        phase_match_c_per_nm=optic.phase_match_c_per_nm,
        signal_nm=optic.signal_nm,
        idler_nm=optic.idler_nm,
        bandwidth_nm=optic.bandwidth_nm,
    )
    if optic.pulsed is None:
        return PairLine(stable_id(name), source, signal, idler)
    train = trains.train(optic.pulsed.trigger, (*key, "pulsed", "trigger"))
    if train is None:
        return None
    modes = math.inf if optic.pulsed.modes is None else optic.pulsed.modes
    return PulsedPairLine(stable_id(name), source, signal, idler, train, modes, optic.pulsed.pulse_fwhm_ps)


def _weak_source(
    checked: Checked, wiring: Wiring, name: str, optic: WeakSourceModel, arm: Arm | None, trains: TrainBuilder
) -> None:
    source = build_weak_source(checked, name, optic, trains, wiring.knob)
    wiring.used.add(name)
    if source is None or arm is None:
        return
    wiring.lines.append(WeakLine(stable_id(name), source, arm))
    wiring.signals |= drive_signals(name, optic, source)
    wiring.sent[name] = source
    if optic.modulator is not None:
        if optic.modulator in wiring.sent:
            checked.complain(("optics", name, "modulator"), f"{optic.modulator} drives another source as well")
        wiring.sent[optic.modulator] = source


def _eavesdroppers(checked: Checked) -> None:
    """Complain of an eavesdropper where photons interfere: that what she sends on has lost its phase is not followed."""
    optics = checked.lab.optics
    meets = any(
        isinstance(one, InterferometerModel)
        or (isinstance(one, PairSourceModel) and one.pulsed and one.pulsed.stimulated)
        for one in optics.values()
    )
    for name, optic in optics.items():
        if meets and isinstance(optic, EavesdropperModel):
            checked.complain(("optics", name), "an eavesdropper cannot stand in a lab whose photons interfere")
