"""From the lab file's nodes, detectors, cryostats and cables to what runs on which clock, and which pulse arrives where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.lab.arms import stable_id
from qlab.lab.node_clocks import ClockBuilder
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob
from qlab.physics.pps import PulsePerSecond

if TYPE_CHECKING:
    from qlab.lab.check import Checked
    from qlab.lab.pulsing import TrainBuilder
    from qlab.lab.source import Key
    from qlab.lab.wires import Wiring

__all__ = ["connect_cables", "connect_clocks", "connect_cold_stages", "connect_detectors"]


def connect_clocks(checked: Checked, wiring: Wiring) -> None:
    """Give every node its clock and temperature, and every instrument what it runs on."""
    built = ClockBuilder(checked, wiring.knob)
    wiring.clocks, wiring.ambients = built.nodes, built.ambients
    wiring.instrument_clocks = {name: built.instrument(name) for name in checked.lab.instruments}
    wiring.generator_clocks = {name: built.instrument(name, rate=True) for name in checked.lab.instruments}


def connect_detectors(checked: Checked, wiring: Wiring, trains: TrainBuilder) -> None:
    """Build the twins' single-photon detectors, with their gates."""
    for name, instrument in checked.lab.instruments.items():
        key: Key = ("instruments", name, "gate")
        gate = trains.train(instrument.gate, key) if instrument.gate is not None else None
        if gate is not None and name in checked.parameters and not checked.detector_channels(name):
            checked.complain(key, f"{name} detects no single photons; leave 'gate' out")
        if not instrument.is_twin:
            continue
        for channel in checked.detector_channels(name):
            wiring.detectors[f"{name}.{channel}" if channel else name] = Detector(
                efficiency=Knob(checked.number(name, "efficiency", 0.0 if channel else 0.5)),
                dark_rate_hz=Knob(checked.number(name, "dark_rate_hz", 0.0)),
                afterpulse_probability=Knob(checked.number(name, "afterpulse_probability", 0.0)),
                jitter_fwhm_ps=checked.number(name, "jitter_fwhm_ps", 0.0),
                dead_time_ps=round(checked.number(name, "dead_time_ns", 0.0) * 1000.0),
                afterpulse_tau_ps=checked.number(name, "afterpulse_tau_ns", 50.0) * 1000.0,
                gate=gate,
            )


def connect_cold_stages(checked: Checked, wiring: Wiring) -> None:
    """Let instruments in a cryostat be as cold as its stage: both have the same knob."""
    for name, instrument in checked.lab.instruments.items():
        if instrument.cold_stage is None:
            continue
        cryostat, _, stage = instrument.cold_stage.partition(".")
        if checked.instrument(cryostat, ("instruments", name, "cold_stage")):
            wiring.knobs[name, "temperature_k"] = wiring.knob(cryostat, f"temperature_k.{stage}")


def connect_cables(checked: Checked, wiring: Wiring, trains: TrainBuilder) -> None:
    """Lead clicks, triggers and seconds to the inputs of taggers."""
    lab = checked.lab
    for i, cable in enumerate(lab.cables):
        key: Key = ("cables", i)
        tagger, _, number = cable.to.partition(".")
        instrument, _, output = cable.from_.partition(".")
        if output == "pps" and instrument in wiring.clocks and instrument not in lab.instruments:
            wiring.signals.setdefault(cable.from_, PulsePerSecond(wiring.clocks[instrument]))
        known = cable.from_ in wiring.signals or checked.instrument(instrument, (*key, "from"))
        if known and trains.knows(cable.from_):
            wiring.signals.setdefault(cable.from_, trains.at(cable.from_))
        if not checked.instrument(tagger, (*key, "to")) or not known:
            continue
        if cable.from_ not in wiring.detectors and cable.from_ not in wiring.signals:
            if lab.instruments[instrument].is_twin and instrument in checked.parameters:
                text = f"{cable.from_!r} is no single-photon detector{checked.channels_text(instrument)}"
                checked.complain((*key, "from"), text)
            continue  # a real one: its clicks never come to a twin
        most = getattr(checked.devices.get(tagger), "connectors", None)
        if most is not None and int(number) > most:
            checked.complain((*key, "to"), f"found input {number}; {tagger} has inputs 1 to {most}")
        inputs = wiring.inputs.setdefault(tagger, {})
        if int(number) - 1 in inputs:
            checked.complain((*key, "to"), f"two cables end at input {number} of {tagger}")
        inputs[int(number) - 1] = (stable_id(cable.from_), cable.delay_ps)
