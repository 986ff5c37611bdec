"""Who triggers what: generators' outputs as pulse trains for sources, gates and tagger inputs, and weak pulsed sources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.lab.arms import stable_id
from qlab.lab.optic_models import GateModel, TriggerModel, WeakSourceModel
from qlab.physics.eavesdropper import PhotonNumberSplitting
from qlab.physics.keys import hash_key
from qlab.physics.knob import Knob
from qlab.physics.pulses import PulseTrain
from qlab.physics.weak import BB84_DEG, Modulation, SentSignal, WeakSource, photons_per_watt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qlab.lab.check import Checked
    from qlab.lab.source import Key
    from qlab.physics.oscillator import Oscillator
    from qlab.physics.pulses import Signal

__all__ = ["TrainBuilder", "build_weak_source", "drive_signals"]

_MODULATION = 4
_OFF = {
    "rate_hz": 0.0,
    "divide": 0.0,
    "delay_ps": 0.0,
    "width_ps": 0.0,
    "high_v": 0.0,
    "burst_count": 1.0,
    "burst_period_ps": 0.0,
}


class TrainBuilder:
    """Makes the pulses at the end of a cable from a generator's output.

    Parameters
    ----------
    checked:
        The lab file; takes the complaints.
    knob:
        Gives the knob of an instrument, a quantity and an initial value.
    clocks:
        What each instrument runs on.
    """

    def __init__(
        self, checked: Checked, knob: Callable[[str, str, float], Knob], clocks: Mapping[str, Oscillator]
    ) -> None:
        self._checked = checked
        self._knob = knob
        self._clocks = clocks

    def knows(self, place: str) -> bool:
        """Return whether a place is an output of a generator's twin."""
        name, _, output = place.partition(".")
        return output in self._checked.trigger_outputs(name)

    def train(self, trigger: TriggerModel, key: Key) -> PulseTrain | None:
        """Return the pulses of a trigger, None after a complaint."""
        name, _, output = trigger.from_.partition(".")
        place = (*key, "from")
        if not self._checked.instrument(name, place):
            return None
        outputs = self._checked.trigger_outputs(name)
        if output not in outputs and name in self._checked.parameters:
            known = f"expected {', '.join(f'{name}.{o}' for o in outputs)}" if outputs else "it sends no pulses"
            self._checked.complain(place, f"found {trigger.from_!r}; {known}")
            return None
        train = self.at(trigger.from_, trigger.threshold_v, trigger.delay_ps)
        if isinstance(trigger, GateModel) and trigger.width_ps is not None:
            train.width_ps = Knob(trigger.width_ps)
        return train

    def at(self, place: str, threshold_v: float = 1.0, cable_ps: int = 0) -> PulseTrain:
        """Return the pulses of an output: the twin sets the knobs, a real generator never does."""
        name, _, output = place.partition(".")
        knobs = {what: self._knob(name, f"{what}.{output}", initial) for what, initial in _OFF.items()}
        clock = self._clocks.get(name)
        return PulseTrain(**knobs, threshold_v=threshold_v, cable_ps=cable_ps, clock=clock)


def build_weak_source(
    checked: Checked, name: str, optic: WeakSourceModel, trains: TrainBuilder, knob: Callable[[str, str, float], Knob]
) -> WeakSource | None:
    """Return a source of weak coherent pulses, None after a complaint."""
    key: Key = ("optics", name)
    train = trains.train(optic.trigger, (*key, "trigger"))
    pattern = _pattern(checked, optic, (*key, "pattern"))
    if set(optic.levels) & set(optic.states):
        checked.complain((*key, "levels"), "a level and a state have the same name; choose another for the level")
    for what, shares in (
        ("levels", [level.share for level in optic.levels.values()]),
        ("states", [*optic.states.values()]),
    ):
        if not sum(shares) > 0.0:
            checked.complain((*key, what), "the shares add up to nothing")
            return None
    power, photons = None, optic.photons_per_pulse
    if optic.laser is not None:
        if not checked.instrument(optic.laser, (*key, "laser")):
            return None
        if optic.pulse_fwhm_ps <= 0.0:
            checked.complain(
                (*key, "pulse_fwhm_ps"), f"found {optic.pulse_fwhm_ps}; pulses cut from a laser have a length"
            )
        power, photons = knob(optic.laser, "power_w", 0.0), photons_per_watt(optic.pulse_fwhm_ps, optic.wavelength_nm)
    if optic.modulator is not None:
        checked.instrument(optic.modulator, (*key, "modulator"))
    if train is None or pattern is None:
        return None
    modulation = Modulation(
        tuple(level.transmission for level in optic.levels.values()),
        tuple(level.share for level in optic.levels.values()),
        tuple(BB84_DEG[state] for state in optic.states),
        tuple(optic.states.values()),
        math.inf if optic.level_extinction_db is None else optic.level_extinction_db,
        math.inf if optic.state_extinction_db is None else optic.state_extinction_db,
        optic.misalignment_deg,
        pattern or None,
        hash_key(checked.lab.seed, stable_id(name), _MODULATION),
    )
    splitting = None
    if optic.splitting is not None:
        splitting = PhotonNumberSplitting(
            knob(name, "fraction", optic.splitting.fraction), optic.splitting.line_db, optic.splitting.behind_db
        )
    return WeakSource(train, photons, power, optic.pulse_fwhm_ps, modulation, splitting)


def drive_signals(name: str, optic: WeakSourceModel, source: WeakSource) -> dict[str, Signal]:
    """Return, by NAME.LEVEL and NAME.STATE, the electric pulses that drive a source's modulators."""
    levels: dict[str, Signal] = {f"{name}.{level}": SentSignal(source, level=i) for i, level in enumerate(optic.levels)}
    states: dict[str, Signal] = {f"{name}.{state}": SentSignal(source, state=i) for i, state in enumerate(optic.states)}
    return levels | states


def _pattern(checked: Checked, optic: WeakSourceModel, key: Key) -> tuple[tuple[int, int], ...] | None:
    levels, states = list(optic.levels), [str(state) for state in optic.states]
    pattern = []
    for i, word in enumerate(optic.pattern):
        level, _, state = word.partition(".")
        if not checked.known("level", level, levels, (*key, i)) or not checked.known("state", state, states, (*key, i)):
            return None
        pattern.append((levels.index(level), states.index(state)))
    return tuple(pattern)
