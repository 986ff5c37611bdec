"""What a twin may ask of the world: always by its own instrument name, never of another instrument.

The lab's bench gives each twin the knob that its front panel turns and the light that falls on it; a twin whose name
is on no optical path gets free-floating objects, so that it can be tested on a table by itself.

What `knob` knows by quantity; a part of several channels has `.1`, `.2`, ... behind it, as the instrument numbers them:

====================  =====================================================================================
`power_w`             light that a laser sends out (`pump_power`)
`wavelength_nm`       its wavelength
`temperature_c`       temperature that a heater keeps (`oven_temperature`)
`temperature_k`       temperature of a cold stage
`angle_deg`           angle of a rotation mount (`plate_angle`) or of a fibre paddle
`position_mm`         where a stage stands
`retardance_rad`      retardance of a fibre squeezer
`loss_db`             loss of an attenuator
`route`               for an input of a switch, the output that its light leaves by; 0: none
`frequency`           fractional frequency error of a clock
`rate_hz`             triggers of a pulse generator; this and the next six by output: `rate_hz.AB`
`divide`              every so many-th trigger makes a pulse; 0: none
`delay_ps`            from trigger to leading edge
`width_ps`            from leading to trailing edge
`high_v`              upper level of the pulse
`burst_count`         pulses that each trigger makes
`burst_period_ps`     from each of them to the next
`phase_ps`            time error of a clock, that of its frequency not included
====================  =====================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from qlab.clock import Clock
    from qlab.physics.detector import Detector
    from qlab.physics.knob import Knob
    from qlab.physics.midpoint import LinkEnd
    from qlab.physics.oscillator import Oscillator
    from qlab.physics.register import QubitRegister
    from qlab.physics.weak import SentPulses
    from qlab.physics.world import World
    from qlab.tags.stream import TagFeed
    from qlab.twin.conversation import Twin

__all__ = ["Bench", "TwinClass"]


class Bench(Protocol):
    """The bench as one twin sees it."""

    @property
    def clock(self) -> Clock:
        """The lab's clock."""
        ...

    @property
    def world(self) -> World:
        """The world, for clicks of a detector by its number."""
        ...

    def rng(self, name: str, *key: int) -> np.random.Generator:
        """Return the generator of this key; the same key draws the same numbers, however often others draw."""
        ...

    def knob(self, name: str, quantity: str, initial: float = 0.0) -> Knob:
        """Return the knob of a quantity that the instrument `name` sets; `initial` holds until it is set first."""
        ...

    def pump_power(self, name: str) -> Knob:
        """Return the knob of the light power in W that the laser `name` sends out."""
        ...

    def oven_temperature(self, name: str) -> Knob:
        """Return the knob of the temperature in deg C that the heater `name` keeps."""
        ...

    def plate_angle(self, name: str) -> Knob:
        """Return the knob of the angle in degrees at which the mount `name` stands."""
        ...

    def detector(self, name: str) -> Detector:
        """Return the detector inside the instrument `name`."""
        ...

    def detector_id(self, name: str) -> int:
        """Return the world's number of that detector."""
        ...

    def tag_feed(self, name: str) -> TagFeed:
        """Return what the inputs of the tagger `name` see; channels are input numbers from 0."""
        ...

    def sent_pulses(self, name: str, start_ps: int, stop_ps: int) -> SentPulses:
        """Return what the modulators that the instrument `name` drives have sent in a half-open interval of lab time."""
        ...

    def qubit(self, name: str, number: int, t1_s: float, t2_s: float) -> int:
        """Put a memory qubit of the module `name` into the world and return its number in `register`."""
        ...

    @property
    def register(self) -> QubitRegister:
        """The memories of all modules; who uses it answers for the order in time."""
        ...

    def oscillator(self, name: str) -> Oscillator:
        """Return the clock that the instrument `name` runs on: its node's."""
        ...

    def entanglement_link(self, name: str, number: int) -> LinkEnd:
        """Return the side of the module `name` of the midpoint that its link `number` leads to."""
        ...

    def optical_power_w(self, name: str, t_ps: int) -> float:
        """Return the light power in W on the sensor `name` at a lab time."""
        ...

    def stokes_w(self, name: str, t_ps: int) -> NDArray[np.float64]:
        """Return the Stokes vector in W of the light on the sensor `name`, shape (4,): power, H-V, D-A, R-L."""
        ...

    def ambient_c(self, name: str) -> float:
        """Return the room temperature in deg C where the instrument stands."""
        ...

    def write_bytes(self, path: str, data: bytes) -> None:
        """Append to a file that the instrument's own software writes; raises `OSError` as a disk does."""
        ...


class TwinClass(Protocol):
    """What the lab file's `class` leads to: a twin class that can be built from a `twin:` section."""

    wire: ClassVar[Literal["tcp", "serial", "zmq", "udp"]]

    def build(self, name: str, bench: Bench, parameters: Mapping[str, object]) -> Twin:
        """Build the twin called `name` (a class method); raises a validation error for wrong parameters."""
        ...
