"""The bench as twins see it; implements `qlab.twin.bench.Bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import WorldError
from qlab.lab.arms import stable_id
from qlab.lab.wiring import ambient_c
from qlab.physics.arm import Port
from qlab.physics.detector import Detector
from qlab.physics.keys import generator
from qlab.physics.midpoint import LinkEnd
from qlab.physics.oscillator import Oscillator
from qlab.physics.tagger import Tagger, WorldFeed
from qlab.physics.weak import SentPulses
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qlab.clock import Clock
    from qlab.lab.check import Checked
    from qlab.lab.wires import Wiring
    from qlab.physics.knob import Knob
    from qlab.physics.register import QubitRegister
    from qlab.physics.world import World
    from qlab.tags.stream import TagFeed

__all__ = ["LabBench"]

_NOISE = 3


class LabBench:
    """What each twin may ask, by its own name; names on no path get free-floating objects.

    Parameters
    ----------
    checked, wiring, clock:
        The lab file, what was built from it, and the lab's clock.
    replay:
        Makes a feed for a tagger where a recording takes the world's place.
    """

    def __init__(
        self, checked: Checked, wiring: Wiring, clock: Clock, replay: Callable[[str], TagFeed] | None = None
    ) -> None:
        self._checked = checked
        self._lab = checked.lab
        self._wiring = wiring
        self._replay = replay
        self.clock = clock

    @property
    def world(self) -> World:
        """The world."""
        if self._wiring.world is None:
            msg = "this lab has no world"
            raise WorldError(msg)
        return self._wiring.world

    def rng(self, name: str, *key: int) -> np.random.Generator:
        """Return the generator of this key."""
        return generator(self._lab.seed, stable_id(name), _NOISE, *key)

    def knob(self, name: str, quantity: str, initial: float = 0.0) -> Knob:
        """Return the knob of a quantity that an instrument sets."""
        return self._wiring.knob(name, quantity, initial)

    def pump_power(self, name: str) -> Knob:
        """Return the knob of a laser's power."""
        return self.knob(name, "power_w")

    def oven_temperature(self, name: str) -> Knob:
        """Return the knob of an oven's temperature."""
        return self.knob(name, "temperature_c", self.ambient_c(name))

    def plate_angle(self, name: str) -> Knob:
        """Return the knob of a mount's angle."""
        return self.knob(name, "angle_deg")

    def detector(self, name: str) -> Detector:
        """Return the detector inside an instrument."""
        return self._wiring.detectors.setdefault(name, Detector())

    def detector_id(self, name: str) -> int:
        """Return the world's number of a detector."""
        return stable_id(name)

    def tag_feed(self, name: str) -> TagFeed:
        """Return what a tagger's inputs see."""
        if self._replay is not None:
            return self._replay(name)
        inputs = self._wiring.inputs.get(name)
        if inputs is None:
            return _Nothing()
        number = self._checked.number
        tagger = Tagger(
            resolution_ps=round(number(name, "resolution_ps", 1)),
            dead_time_ps=round(number(name, "dead_time_ps", 0)),
            max_rate_hz=number(name, "max_rate_hz", 1e9),
            oscillator=self.oscillator(name),
        )
        return WorldFeed(self.world, tagger, inputs)

    def sent_pulses(self, name: str, start_ps: int, stop_ps: int) -> SentPulses:
        """Return what the modulators that an instrument drives have sent."""
        source = self._wiring.sent.get(name)
        if source is None:
            nothing = np.empty(0, np.uint8)
            return SentPulses(np.empty(0, np.int64), nothing, nothing)
        return source.sent(start_ps, stop_ps)

    def qubit(self, name: str, number: int, t1_s: float, t2_s: float) -> int:
        """Put a memory qubit into the world and return its number there."""
        qubit = stable_id(f"{name}.qubit{number}")
        self.register.add(qubit, t1_s, t2_s)
        return qubit

    @property
    def register(self) -> QubitRegister:
        """The memories of all modules."""
        return self._wiring.register

    def oscillator(self, name: str) -> Oscillator:
        """Return the clock that an instrument runs on."""
        return self._wiring.instrument_clocks.get(name, Oscillator())

    def entanglement_link(self, name: str, number: int) -> LinkEnd:
        """Return a module's side of a midpoint; on no path it has no other end."""
        start = f"{name}.{number}"
        return self._wiring.links.setdefault(start, LinkEnd(Port(0), start))

    def optical_power_w(self, name: str, t_ps: int) -> float:
        """Return the light on a power meter's sensor."""
        return float(self.stokes_w(name, t_ps)[0])

    def stokes_w(self, name: str, t_ps: int) -> NDArray[np.float64]:
        """Return the Stokes vector of the light on a sensor."""
        port = stable_id(name)
        return sum((beam.stokes_w(port, t_ps) for beam in self._wiring.beams.get(name, ())), np.zeros(4))

    def ambient_c(self, name: str) -> float:
        """Return the room temperature where an instrument stands."""
        return ambient_c(self._lab, name)

    def write_bytes(self, path: str, data: bytes) -> None:
        """Append to a file of the instrument's own software."""
        with Path(path).open("ab") as file:
            file.write(data)


class _Nothing:
    """A tagger with nothing on its inputs."""

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Return no tags."""
        return TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), start_ps, max(stop_ps, start_ps))
