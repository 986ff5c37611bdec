"""The nodes' clocks and what instruments get of them: noise, temperature, what steers them, and which follows which."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qlab.lab.arms import stable_id
from qlab.lab.clock_models import FrequencyJumpModel, GpsOutageModel, LeapModel, OscillatorModel, StepModel
from qlab.physics.ambient import Ambient, WarmDelay, Warmth
from qlab.physics.clock_kinds import CLOCK_KINDS
from qlab.physics.holdover import Holdover
from qlab.physics.keys import hash_key
from qlab.physics.knob import Knob
from qlab.physics.oscillator import Oscillator, TimeError
from qlab.physics.steering import Steering
from qlab.physics.wander import NoiseLevels, Wander

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.check import Checked
    from qlab.lab.clock_models import NoiseModel
    from qlab.lab.source import Key

__all__ = ["ClockBuilder", "clock_text", "is_disciplined", "of_node"]

SECOND_PS = 10**12
CYCLE_PS = 100_000
"""Of 10 MHz: an instrument without 1 pps has its zero anywhere in a cycle."""
_ZERO = 5


def of_node(name: str) -> str:
    """Return under what name the knobs of a node are kept, which no instrument can have."""
    return f"node {name}"


@dataclass(slots=True)
class ClockBuilder:
    """Builds clocks; complaints go to `checked`.

    Parameters
    ----------
    checked:
        The lab file.
    knob:
        Returns an instrument's knob of a quantity; or a node's, by the name that `of_node` gives: `warm_k` (kelvin above
        the average), and what faults turn: `frequency`, `phase_ps`, `gps_lost`.

    Attributes
    ----------
    nodes, ambients:
        Clock and temperature of each node.
    rates:
        The same clocks for who follows their 10 MHz alone: without steps of the time of day.
    """

    checked: Checked
    knob: Callable[[str, str], Knob]
    nodes: dict[str, Oscillator] = field(default_factory=dict)
    rates: dict[str, Oscillator] = field(default_factory=dict)
    ambients: dict[str, Ambient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the nodes' clocks."""
        for name, node in self.checked.lab.nodes.items():
            self.ambients[name] = Ambient(node.swing_k, self.knob(of_node(name), "warm_k"))
        for name in self.checked.lab.nodes:
            self._node(name, ())

    def instrument(self, name: str, *, rate: bool = False) -> Oscillator:
        """Return the clock that an instrument runs on; without a node, the lab's time.

        Parameters
        ----------
        name:
            The instrument.
        rate:
            Whether it only counts periods, as a pulse generator, so that a step of the time of day does not move it.
        """
        instrument = self.checked.lab.instruments[name]
        model, node = instrument.reference, instrument.node
        key: Key = ("instruments", name, "reference")
        if model.signal == "none":
            where = Ambient() if node not in self.ambients else self.ambients[node]
            return self._oscillator(f"{name}.own", model.clock, where, (*key, "clock"))[rate]
        if model.clock != OscillatorModel():
            self.checked.complain((*key, "clock"), f"{name} has an own clock and a signal; expected signal: none")
        masters = self.rates if rate or model.signal == "10mhz" else self.nodes
        master = masters.get(node or "", Oscillator())
        zero = 0
        if model.signal == "10mhz":
            number = hash_key(self.checked.lab.seed, stable_id(name), _ZERO)
            zero = number % CYCLE_PS - CYCLE_PS // 2
        elif model == type(model)():
            return master
        levels = NoiseLevels() if model.noise is None else _levels(model.noise)
        wander = None if levels.silent else Wander(levels, self.checked.lab.seed, stable_id(f"{name}.reference"))
        warm: tuple[TimeError, ...] = ()
        if model.ps_per_k and node in self.ambients:
            warm = (WarmDelay(model.ps_per_k, self.ambients[node]),)
        return Oscillator(zero - model.delay_ps, wander=wander, further=warm, master=master)

    def _node(self, name: str, waiting: tuple[str, ...]) -> None:
        if name in self.nodes:
            return
        nodes = self.checked.lab.nodes
        model = nodes[name].clock
        key: Key = ("nodes", name, "clock")
        masters: tuple[Oscillator | None, Oscillator | None] = (None, None)
        if model.follows is not None:
            if model.follows in (*waiting, name):
                circle = " follows ".join((*waiting, name, model.follows))
                text = f"{circle}; expected a node whose clock does not depend on this one"
                self.checked.complain((*key, "follows"), text)
                return
            if not self.checked.known("node", model.follows, nodes, (*key, "follows")):
                return
            self._node(model.follows, (*waiting, name))
            masters = self.nodes.get(model.follows), self.rates.get(model.follows)
        both = self._oscillator(f"{name}.clock", model, self.ambients[name], key, masters, of_node(name))
        self.nodes[name], self.rates[name] = both

    def _oscillator(
        self,
        name: str,
        model: OscillatorModel,
        ambient: Ambient,
        key: Key,
        masters: tuple[Oscillator | None, Oscillator | None] = (None, None),
        faults: str | None = None,
    ) -> tuple[Oscillator, Oscillator]:
        """Return a clock, and the same without steps; `faults` is under what name the knobs are that faults turn."""
        kind, seed, number = CLOCK_KINDS[model.kind], self.checked.lab.seed, stable_id(name)
        levels = kind.noise if model.noise is None else _levels(model.noise)
        ageing = kind.ageing_per_day if model.ageing_per_day is None else model.ageing_per_day
        per_k = kind.per_k if model.per_k is None else model.per_k
        frequency, phase, lost = _schedule(model)
        turned, outages = [(frequency, phase)], [lost]
        if faults is not None:
            turned.append((self.knob(faults, "frequency"), self.knob(faults, "phase_ps")))
            outages.append(self.knob(faults, "gps_lost"))
        further: list[TimeError] = []
        if math.isfinite(levels.loop_s):
            further.append(Holdover(levels, seed, number, outages, ageing, per_k, ambient))
            levels, ageing = NoiseLevels(white_pm_ps=levels.white_pm_ps), 0.0
        else:
            for i, event in enumerate(model.events):
                if isinstance(event, GpsOutageModel):
                    text = f"a {model.kind} clock runs free; expected kind gps_disciplined, or a noise with loop_s"
                    self.checked.complain((*key, "events", i, "kind"), text)
            if per_k:
                further.append(Warmth(per_k, ambient))
        wander = None if levels.silent else Wander(levels, seed, number)
        steps: list[TimeError] = [Steering(*knobs) for knobs in turned]
        jumps: list[TimeError] = [Steering(knobs[0], Knob(0.0)) for knobs in turned]
        clock = Oscillator(model.offset_ps, model.drift, ageing, wander, self._steering(model, key))
        return (
            replace(clock, further=(*further, *steps), master=masters[0]),
            replace(clock, further=(*further, *jumps), master=masters[1]),
        )

    def _steering(self, model: OscillatorModel, key: Key) -> Steering | None:
        if model.source is None:
            return None
        here = (*key, "source")
        if not self.checked.instrument(model.source, here):
            return None
        device = self.checked.devices.get(model.source)
        if device is not None and not hasattr(device, "wait_for_lock"):
            text = f"{model.source} is a {device.__name__}; expected a clock, for example an FS740 or a PRS10"
            self.checked.complain(here, text)
        return Steering(self.knob(model.source, "frequency"), self.knob(model.source, "phase_ps"))


def is_disciplined(model: OscillatorModel) -> bool:
    """Return whether a clock's own loop holds it to a reference that can be lost."""
    levels = CLOCK_KINDS[model.kind].noise if model.noise is None else _levels(model.noise)
    return math.isfinite(levels.loop_s)


def clock_text(model: OscillatorModel) -> str:
    """Say in a line what a node's clock is."""
    text = f"offset {model.offset_ps} ps, frequency error {model.drift:g}"
    if model.kind != "ideal" or model.noise is not None:
        text += f", noise {'as given' if model.noise is not None else f'of a typical {model.kind} clock'}"
    if model.source is not None:
        text += f", steered by {model.source}"
    if model.events:
        text += ", " + ", ".join(f"{e.kind.replace('_', ' ')} at {e.at_s:g} s" for e in model.events)
    return f"{text}, against node {model.follows}" if model.follows is not None else text


def _levels(noise: NoiseModel) -> NoiseLevels:
    return NoiseLevels(**{**noise.model_dump(), "loop_s": math.inf if noise.loop_s is None else noise.loop_s})


def _schedule(model: OscillatorModel) -> tuple[Knob, Knob, Knob]:
    """Return what the events turn: frequency, phase in ps, and whether the reference is lost."""
    frequency, phase, lost = Knob(0.0), Knob(0.0), Knob(0.0)
    jumped, turned, back_ps = 0.0, 0, -1
    for event in sorted(model.events, key=lambda event: event.at_s):
        at = round(event.at_s * SECOND_PS)
        if isinstance(event, FrequencyJumpModel):
            jumped += event.by
            frequency.set(jumped, at)
        elif isinstance(event, (StepModel, LeapModel)):
            turned += event.by_ps if isinstance(event, StepModel) else event.by_s * SECOND_PS
            phase.set(float(turned), at)
        else:
            if back_ps < at:
                if back_ps >= 0:
                    lost.set(0.0, back_ps)
                lost.set(1.0, at)
            back_ps = max(back_ps, at + round(event.for_s * SECOND_PS))
    if back_ps >= 0:
        lost.set(0.0, back_ps)
    return frequency, phase, lost
