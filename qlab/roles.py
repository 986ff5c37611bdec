"""What plans ask of instruments: one `Protocol` a role, so that a plan never names a class.

Every method that moves or measures returns an Ophyd status at once and does its work in a thread; `make_safe` blocks, and may
be called at any time, any number of times, from a finaliser.  What holds for all of them, beside what a role says itself:

==================  ================================================================================================
raised at once      `LimitError` for a value outside the device's limits, `BadRequestError` for what it does not have
status fails with   `LinkError` where nobody answers or the answer makes no sense, after the link's retries;
                    `InstrumentError` where the instrument refuses or does not do what it was told
lasts               lab time, as each role says, and for a lost instrument the link's time-out times its attempts
                    (3 s by default) more
reading a property  asks nobody: it is what was fetched last
==================  ================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from ophyd import Signal
    from ophyd.status import Status

    from qlab.lab.qkd_model import QkdModel
    from qlab.tags.stream import TagBlock

__all__ = [
    "Attenuator",
    "BiasedDetector",
    "Clock",
    "Counter",
    "Cryostat",
    "DelayLine",
    "Detector",
    "HoldingClock",
    "KeyParties",
    "Monitored",
    "NanowireSystem",
    "Oven",
    "PairClock",
    "PhotonSource",
    "PolarisationAnalyser",
    "PolarisationController",
    "PowerMeter",
    "PulseGenerator",
    "RepeaterModule",
    "Rotator",
    "SteeredClock",
    "Switch",
    "TagRecorder",
    "TimeTagger",
]


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
class Rotator(Protocol):
    """An axis of rotation in degrees; `repeatability_deg` is the standard deviation of where it stops.

    A turn takes up to some seconds; its status fails with `InstrumentError` where the motor is stuck or did not arrive.
    """

    name: str
    repeatability_deg: float

    def set(self, angle_deg: float) -> Status:
        """Turn to `angle_deg`; done when the mount has arrived."""


@runtime_checkable
class PolarisationAnalyser(Protocol):
    """Projects one photon of a pair on a polarisation and its orthogonal.

    `transmitted` and `reflected` are the tagger's input numbers, from 1, behind the two ports.  A setting takes as long as
    the slower of its motors, and fails as a `Rotator` does; `set_frame` raises `BadRequestError` for what is no rotation.
    """

    name: str
    transmitted: int
    reflected: int

    def set(self, setting: float | Sequence[float]) -> Status:
        """Analyse linear polarisation at an angle in degrees, or a Bloch vector (Z, X, Y), in the aligned frame."""

    def set_bloch(self, vector: Sequence[float]) -> Status:
        """Analyse the state with this unit Bloch vector (Z = H/V, X = D/A, Y = R/L) in the aligned frame."""

    @property
    def plate_angles_deg(self) -> tuple[float, float] | None:
        """Where quarter- and half-wave plate were sent to last; None for an analyser of another kind."""

    @property
    def plate_repeatability_deg(self) -> float:
        """The standard deviation of where the plates stop; 0 for an analyser of another kind."""

    @property
    def frame_rotation(self) -> NDArray[np.float64]:
        """The aligned frame, shape (3, 3)."""

    def bloch_covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the analysed Bloch vector at the last setting, shape (3, 3), in the aligned frame."""

    def set_frame(self, rotation: NDArray[np.float64]) -> None:
        """Define the aligned frame by a proper 3x3 rotation of the Bloch sphere; identity is the bare analyser."""


@runtime_checkable
class PolarisationController(Protocol):
    """Turns any polarisation into any other by several controls whose effect on the fibre only trying tells.

    Squeezers follow in milliseconds, paddles in seconds.  `set` raises `LimitError` at once outside the controls' limits; its
    status fails with `InstrumentError` where a motor is stuck.
    """

    name: str

    @property
    def controls(self) -> Sequence[Signal]:
        """The controls, each with its `limits` and what it was set to last."""

    def set(self, values: Sequence[float]) -> Status:
        """Set all controls, each in its own unit; done when they have settled."""


class TagRecorder(Protocol):
    """Where a tagger's tags go; announces them to the run engine as stream documents."""

    name: str


@runtime_checkable
class TimeTagger(Protocol):
    """Records detection times on numbered inputs.

    One `trigger` is one acquisition of `acquisition_s` (a settable signal) on all enabled inputs and lasts that long
    plus the download.  `last_block` then has the tags (channels count from 0: input n is channel n - 1).  Tags that were
    lost are gaps of the block, no failure; `StorageError` where the disk is full: what was recorded before is kept.
    """

    name: str
    recorder: TagRecorder
    last_block: TagBlock

    def trigger(self) -> Status:
        """Take one acquisition."""


@runtime_checkable
class KeyParties(Protocol):
    """Two parties of a lab that make keys: the lab file's section `qkd` with the devices that it names.

    `alice_tagger`, `bob_tagger` and `level_tagger` are `TimeTagger`s, the last or None; `light` is a `PhotonSource` or None;
    `rules` is the section, `folder` where both ledgers are.
    """

    name: str
    rules: QkdModel
    alice_tagger: TimeTagger
    bob_tagger: TimeTagger
    light: PhotonSource | None
    folder: Path
    level_tagger: TimeTagger | None


@runtime_checkable
class PowerMeter(Protocol):
    """Measures optical power in watts, a signal; `trigger` takes one averaged sample, in milliseconds to a second."""

    name: str
    power_w: Signal

    def trigger(self) -> Status:
        """Take one sample; fails with `InstrumentError` when over range."""


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


@runtime_checkable
class RepeaterModule(Protocol):
    """Memory qubits, numbered from 1, that are entangled with a neighbour's over links, numbered from 1.

    Local operations take microseconds to milliseconds of lab time and fail with `InstrumentError` where the module refuses
    them (a qubit that is busy or not initialised, no pair).  All raise `BadRequestError` at once for numbers that there are
    not.
    """

    name: str

    @property
    def pairs(self) -> Mapping[int, EntangledHalf]:
        """What is stored, by qubit, as last heard; reading a qubit out or swapping takes it away."""

    @property
    def outcomes(self) -> Mapping[int, int]:
        """The last outcome, 0 or 1, by qubit."""

    @property
    def last_swap(self) -> SwapResult | None:
        """What the last swap said."""

    def generate(self, link: int, qubit: int = 1, timeout_s: float = 60.0) -> Status:
        """Try for a pair until one is heralded and stored; both ends must try at the same time.

        Fails with `InstrumentError` after `timeout_s` of lab time, after the most attempts, or where the link is not ready.
        """

    def read_out(self, qubit: int, axis: Literal["X", "Y", "Z"] = "Z") -> Status:
        """Measure a qubit, which destroys its state."""

    def swap(self, a: int, b: int) -> Status:
        """Join the pairs on two qubits into one between their far ends."""

    def distil(self, kept: int, spent: int) -> Status:
        """Spend the pair on one qubit to test that on another; the far end does the same."""

    @property
    def last_distillation(self) -> DistillationResult | None:
        """What the last purification said."""

    def free(self, qubit: int) -> Status:
        """Give a qubit up."""

    def make_safe(self) -> None:
        """End all attempts; what is stored stays."""


class EntangledHalf(Protocol):
    """One end's half of a pair: `id` is the same at both ends, `bell` is 0 Phi+, 1 Phi-, 2 Psi+, 3 Psi-."""

    @property
    def id(self) -> int: ...
    @property
    def bell(self) -> int: ...
    @property
    def fidelity(self) -> float:
        """What the module believes."""


class DistillationResult(Protocol):
    """One end's outcome, to be compared with the far end's, and the pairs' identities."""

    @property
    def outcome(self) -> int:
        """0 or 1."""

    @property
    def kept_id(self) -> int:
        """Of the pair that is kept."""

    @property
    def spent_id(self) -> int:
        """Of the pair that was measured."""


class SwapResult(Protocol):
    """The joined pair has the Bell label `left ^ right ^ bell` of the two pairs' labels."""

    @property
    def bell(self) -> int: ...


class Wellness(Protocol):
    """Signals `ok` (1 or 0), `reason` and `since` of an instrument; reading them asks nobody."""

    name: str
    ok: Signal
    reason: Signal


@runtime_checkable
class Monitored(Protocol):
    """Any instrument that tells whether it is well.

    `trigger` fetches its state, `health` says what is wrong; a status that fails has told it to `health` before.
    """

    name: str
    health: Wellness

    def trigger(self) -> Status:
        """Fetch what there is to see."""


@runtime_checkable
class Detector(Protocol):
    """An instrument with single-photon detectors, whose clicks others count.

    `trigger` fetches its state, in some tenths of a second: what is wrong is no failure, `health` says it.
    """

    name: str
    health: Wellness

    @property
    def detector_channels(self) -> Sequence[str]:
        """Its detectors, as the lab file calls them behind the dot; "" where it is one itself."""

    def trigger(self) -> Status:
        """Fetch what there is to see."""

    def make_safe(self) -> None:
        """Bring it into a state in which nothing is harmed; detectors stay biased."""


@runtime_checkable
class Counter(Protocol):
    """Counts events on its inputs by itself: a detector module, a frequency counter, a tagger.

    `count` lasts its gate and some wire round trips, a download beside them for taggers.  Dead time and afterpulses are
    counted as they come.
    """

    name: str

    @property
    def rates_hz(self) -> Mapping[str, float]:
        """Events a second by input, "1", "2", ..., as counted last; empty before."""

    def count(self, gate_s: float) -> Status:
        """Count all inputs for a time."""


class BiasedDetector(Protocol):
    """One superconducting detector and its bias current in uA, a signal `bias_ua`.

    `recover` takes some tenths of a second and fails with `InstrumentError` where the bias did not come back.
    """

    name: str

    @property
    def latched(self) -> bool | None:
        """Whether it was seen to be normal; None where the instrument cannot tell."""

    def set(self, bias_ua: float) -> Status:
        """Set the bias."""

    def recover(self) -> Status:
        """Clear a latch: bias to zero and back."""


@runtime_checkable
class NanowireSystem(Protocol):
    """Detectors that share one bias instrument; `trigger` fetches biases and voltages."""

    name: str

    @property
    def detectors(self) -> Mapping[str, BiasedDetector]:
        """Detectors by channel, as the lab file calls them behind the dot."""

    def trigger(self) -> Status:
        """Fetch what there is to see."""


@runtime_checkable
class Cryostat(Protocol):
    """A cold stage that is watched and can be warmed; settling takes minutes to hours.

    `set` raises `LimitError` at once; its status fails with `InstrumentError` where a heater goes off by itself.
    """

    name: str

    def trigger(self) -> Status:
        """Fetch all temperatures."""

    def set(self, kelvin: float) -> Status:
        """Regulate the first stage to a temperature."""

    def switch_heaters_off(self) -> Status:
        """Let all stages cool down."""


@runtime_checkable
class Clock(Protocol):
    """A node's source of time and frequency, as a rule following a better one.

    `trigger` fetches lock and offset, and the health at times; it takes some wire time-outs at most, and fails with
    `LinkError` where nobody answers.  To have lost the lock is no failure: `health` and `locked` say so.

    Attributes
    ----------
    lock_timeout_s:
        Lab seconds that `wait_for_lock` takes at most: warming up, finding the reference, settling.
    """

    name: str
    health: Wellness
    lock_timeout_s: float

    @property
    def locked(self) -> bool:
        """Whether it followed its reference when it was asked last."""

    @property
    def offset_s(self) -> float | None:
        """Its time minus its reference's in seconds, as last fetched; None where it has none or cannot tell."""

    def trigger(self) -> Status:
        """Fetch lock and offset."""

    def wait_for_lock(self) -> Status:
        """Wait for the lock; fails with `InstrumentError`, which says what is in the way, after `lock_timeout_s`."""


@runtime_checkable
class PairClock(Protocol):
    """A node's clock against another's by photon pairs, two taggers in one; the second less the first.

    `trigger` compares the taggers' last acquisitions, which the plan has triggered, within seconds of computing and no lab
    time; to find no pairs is no failure: `lock`, `health` and `sigma_ps` say so.

    Attributes
    ----------
    offset_ps, sigma_ps, frequency, sigma_frequency, lock, at_s, pair_rate_hz:
        What is known, as signals; NaN and infinite where nothing is.  `at_s` is on the first clock.
    error_ps, foreseen_sigma_ps:
        How far the last comparison found the clock from what had been foreseen of it, and how well that was thought known.
    """

    name: str
    health: Wellness
    taggers: tuple[TimeTagger, TimeTagger]
    offset_ps: Signal
    sigma_ps: Signal
    frequency: Signal
    sigma_frequency: Signal
    lock: Signal
    error_ps: Signal
    foreseen_sigma_ps: Signal
    at_s: Signal
    pair_rate_hz: Signal

    def trigger(self) -> Status:
        """Compare the taggers' last acquisitions."""

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of a pair's time difference; NaN where nothing is known."""

    def predict(self, at_s: float) -> tuple[float, float, float]:
        """Return offset and its standard error in ps, and frequency, at a later time of the first clock."""

    def note_steering(self, frequency: float) -> None:
        """Take note that the second clock's frequency was just changed by a fraction."""

    def forget(self) -> None:
        """Forget what is known, so that the next comparison searches."""


@runtime_checkable
class HoldingClock(Clock, Protocol):
    """A clock whose reference can be taken from it, to see what it does without."""

    def hold_over(self, *, on: bool = True) -> Status:
        """Let it run free, or follow its reference again; `wait_for_lock` then waits until it does."""


@runtime_checkable
class SteeredClock(Protocol):
    """An oscillator whose frequency can be set, as a fraction off its own; a wire's round trip.

    Attributes
    ----------
    steering_step:
        Smallest change of the frequency.
    """

    name: str
    steering_step: float

    @property
    def steering(self) -> float:
        """What it was set to last."""

    @property
    def steering_limits(self) -> tuple[float, float]:
        """What it can be set to."""

    def steer(self, fraction: float) -> Status:
        """Set the frequency; raises `LimitError` at once outside the limits."""
