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

from qlab.roles.clocks import Clock, HoldingClock, PairClock, SteeredClock
from qlab.roles.detection import (
    BiasedDetector,
    Counter,
    Cryostat,
    Detector,
    NanowireSystem,
    PowerMeter,
    TagRecorder,
    TimeTagger,
)
from qlab.roles.light import Attenuator, DelayLine, Oven, PhotonSource, PulseGenerator, Switch
from qlab.roles.network import KeyParties, RepeaterModule
from qlab.roles.polarisation import PolarisationAnalyser, PolarisationController, Rotator
from qlab.roles.wellness import Monitored

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
