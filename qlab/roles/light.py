"""Sources, and what light meets on its way: switches, attenuators, delay lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ophyd import Signal
    from ophyd.status import Status


__all__ = ["Attenuator", "DelayLine", "Oven", "PhotonSource", "PulseGenerator", "Switch"]


@runtime_checkable
class PhotonSource(Protocol):
    """Something that can be made to shine.

    Switching on takes as long as its soft start and settling, up to some ten seconds; off, a wire's round trip.
    """

    name: str

    def switch_on(self) -> Status:
        """Switch the emission on; fails with `InterlockError` where a safety circuit keeps it off."""

    def switch_off(self) -> Status:
        """Switch the emission off."""

    def make_safe(self) -> None:
        """Switch the emission off now and wait for the instrument's word."""


@runtime_checkable
class PulseGenerator(Protocol):
    """Clocks pulsed sources, gates and modulators by the outputs that the lab file names behind the dot.

    `fire` lasts a wire's round trip and the pulses; it fails with `InstrumentError` where the instrument does not wait for a
    trigger over the wire.
    """

    name: str

    def fire(self) -> Status:
        """Trigger once over the wire."""


@runtime_checkable
class Oven(Protocol):
    """Keeps something at a temperature in degC, a crystal as a rule; settling takes minutes.

    `set` raises `LimitError` at once; its status fails with `InstrumentError` where the sensor is lost or the temperature is
    not reached.
    """

    name: str
    actual_c: Signal

    def trigger(self) -> Status:
        """Fetch the temperature."""

    def set(self, temperature_c: float) -> Status:
        """Regulate to a temperature; done when it has settled."""


@runtime_checkable
class Switch(Protocol):
    """Joins inputs to outputs.  Settles within tens of milliseconds; light is dark meanwhile.

    `set` raises `LimitError` at once for ports that do not exist; its status fails with `InstrumentError` where the switch
    did not switch.
    """

    name: str

    @property
    def inputs(self) -> int:
        """How many inputs there are, numbered from 1."""

    @property
    def outputs(self) -> int:
        """How many outputs there are."""

    @property
    def routes(self) -> dict[int, int]:
        """Output by input, as last fetched."""

    def set(self, routes: Mapping[int, int]) -> Status:
        """Join inputs to outputs; connections of other ports stay."""


@runtime_checkable
class Attenuator(Protocol):
    """A loss in dB that can be set, beyond what it loses when it is open; its motor takes seconds.

    `set` raises `LimitError` outside its range; its status fails with `InstrumentError` where the motor did not arrive.
    """

    name: str
    insertion_loss_db: float

    def set(self, loss_db: float) -> Status:
        """Set the loss; done when it is there."""


@runtime_checkable
class DelayLine(Protocol):
    """A delay of the light that can be set, in ps; `delay_ps` is a signal, what was reached last.

    A move takes up to some ten seconds.  `set` raises `LimitError` at once outside `limits_ps`; its status fails with
    `InstrumentError` where the motor did not arrive.
    """

    name: str
    delay_ps: Signal

    @property
    def limits_ps(self) -> tuple[float, float]:
        """Least and largest delay."""

    def set(self, delay_ps: float) -> Status:
        """Set the delay; done when it is reached."""
