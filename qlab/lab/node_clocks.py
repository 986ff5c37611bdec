"""The nodes' clocks: their noise, what steers them, and which follows which."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.lab.arms import stable_id
from qlab.physics.clock_kinds import CLOCK_KINDS
from qlab.physics.oscillator import Oscillator
from qlab.physics.steering import Steering
from qlab.physics.wander import NoiseLevels, Wander

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.check import Checked
    from qlab.lab.models import NoiseModel, OscillatorModel
    from qlab.physics.knob import Knob

__all__ = ["clock_text", "node_clocks"]


def node_clocks(checked: Checked, knob: Callable[[str, str], Knob]) -> dict[str, Oscillator]:
    """Build each node's clock; complaints go to `checked`.

    Parameters
    ----------
    knob:
        Returns an instrument's knob of a quantity.
    """
    clocks: dict[str, Oscillator] = {}
    nodes = checked.lab.nodes

    def build(name: str, waiting: tuple[str, ...]) -> Oscillator | None:
        if name in clocks:
            return clocks[name]
        model = nodes[name].clock
        key = ("nodes", name, "clock", "follows")
        master = None
        if model.follows is not None:
            if model.follows in (*waiting, name):
                circle = " follows ".join((*waiting, name, model.follows))
                checked.complain(key, f"{circle}; expected a node whose clock does not depend on this one")
                return None
            if not checked.known("node", model.follows, nodes, key):
                return None
            master = build(model.follows, (*waiting, name))
        clocks[name] = _oscillator(checked, name, model, knob, master)
        return clocks[name]

    for name in nodes:
        build(name, ())
    return clocks


def clock_text(model: OscillatorModel) -> str:
    """Say in a line what a node's clock is."""
    text = f"offset {model.offset_ps} ps, frequency error {model.drift:g}"
    if model.kind != "ideal" or model.noise is not None:
        text += f", noise {'as given' if model.noise is not None else f'of a typical {model.kind} clock'}"
    if model.source is not None:
        text += f", steered by {model.source}"
    return f"{text}, against node {model.follows}" if model.follows is not None else text


def _oscillator(
    checked: Checked, name: str, model: OscillatorModel, knob: Callable[[str, str], Knob], master: Oscillator | None
) -> Oscillator:
    kind = CLOCK_KINDS[model.kind]
    levels = kind.noise if model.noise is None else _levels(model.noise)
    return Oscillator(
        model.offset_ps,
        model.drift,
        kind.ageing_per_day if model.ageing_per_day is None else model.ageing_per_day,
        None if levels.silent else Wander(levels, checked.lab.seed, stable_id(f"{name}.clock")),
        _steering(checked, name, model, knob),
        master,
    )


def _levels(noise: NoiseModel) -> NoiseLevels:
    return NoiseLevels(**{**noise.model_dump(), "loop_s": math.inf if noise.loop_s is None else noise.loop_s})


def _steering(checked: Checked, name: str, model: OscillatorModel, knob: Callable[[str, str], Knob]) -> Steering | None:
    if model.source is None:
        return None
    key = ("nodes", name, "clock", "source")
    if not checked.instrument(model.source, key):
        return None
    device = checked.devices.get(model.source)
    if device is not None and not hasattr(device, "wait_for_lock"):
        checked.complain(
            key, f"{model.source} is a {device.__name__}; expected a clock, for example an FS740 or a PRS10"
        )
    return Steering(knob(model.source, "frequency"), knob(model.source, "phase_ps"))
