"""The world and the handles on it that twins get, by instrument name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qlab.physics.knob import Knob
from qlab.physics.register import QubitRegister

if TYPE_CHECKING:
    from qlab.lab.source import Key
    from qlab.physics.ambient import Ambient
    from qlab.physics.beam import Beam
    from qlab.physics.detector import Detector
    from qlab.physics.line import Line
    from qlab.physics.midpoint import LinkEnd
    from qlab.physics.oscillator import Oscillator
    from qlab.physics.pulses import Signal
    from qlab.physics.weak import WeakSource
    from qlab.physics.world import World

__all__ = ["Wiring"]


@dataclass(slots=True)
class Wiring:
    """The world and the handles that twins get, by instrument name.

    Attributes
    ----------
    knobs:
        What instruments turn, by instrument and quantity (`qlab.twin.bench`).
    beams:
        For a power meter or a crystal, the lasers' light that may reach it.
    signals:
        Electric pulses that may go to a tagger: outputs of generators, drives of modulators.
    sent:
        Weak sources by their own name and that of the instrument that drives their modulators.
    inputs:
        For a tagger, by channel (from 0), the detector's or signal's number in the world and the cable's delay in ps.
    links:
        Ends of entanglement links, by repeater module and number.
    clocks, ambients:
        Clock and temperature, by node.
    instrument_clocks, generator_clocks:
        What each instrument runs on, and what it runs on if it is a pulse generator.
    ends, used:
        Instruments that light reaches, with the place in the file; optics that light passes.
    """

    knobs: dict[tuple[str, str], Knob] = field(default_factory=dict)
    detectors: dict[str, Detector] = field(default_factory=dict)
    beams: dict[str, list[Beam]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    sent: dict[str, WeakSource] = field(default_factory=dict)
    inputs: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    links: dict[str, LinkEnd] = field(default_factory=dict)
    clocks: dict[str, Oscillator] = field(default_factory=dict)
    ambients: dict[str, Ambient] = field(default_factory=dict)
    instrument_clocks: dict[str, Oscillator] = field(default_factory=dict)
    generator_clocks: dict[str, Oscillator] = field(default_factory=dict)
    register: QubitRegister = field(default_factory=lambda: QubitRegister(0))
    ends: dict[str, Key] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    world: World | None = None

    def knob(self, instrument: str, quantity: str, initial: float = 0.0) -> Knob:
        """Return an instrument's knob."""
        return self.knobs.setdefault((instrument, quantity), Knob(initial))
