"""Switches, attenuators, squeezers and a laser's polarisation against their matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.physics.arm import Attenuator, BeamSplitter, Path, PolarisingSplitter, Port, WavePlate
from qlab.physics.beam import Beam
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob, Step
from qlab.physics.line import PairLine
from qlab.physics.routing import OpticalSwitch, Squeezer, VariableAttenuator
from qlab.physics.source import PairSource
from qlab.physics.world import World

S = 1_000_000_000_000


def share(arm: object, port: int, t_ps: int = 0) -> float:
    return Beam(Knob(1.0), arm).share(port, t_ps)  # type: ignore[arg-type]


def test_a_switch_sends_the_light_to_one_output_and_a_little_to_the_others() -> None:
    route = Knob(2.0)
    switch = OpticalSwitch({1: Port(11), 2: Port(12), 3: Port(13)}, route, loss_db=1.0, crosstalk_db=50.0)
    assert share(switch, 12) == pytest.approx(10**-0.1)
    assert share(switch, 11) == pytest.approx(10**-5.1)
    route.set(3.0, S)
    assert share(switch, 12, 2 * S) == pytest.approx(10**-5.1)
    assert share(switch, 13, 2 * S) == pytest.approx(10**-0.1)
    route.set(0.0, 3 * S)  # it switches
    assert [share(switch, port, 4 * S) for port in (11, 12, 13)] == [0.0, 0.0, 0.0]


def test_a_variable_attenuator_follows_its_knob() -> None:
    loss = Knob(0.0)
    arm = VariableAttenuator(Port(1), loss, insertion_loss_db=0.5)
    assert share(arm, 1) == pytest.approx(10**-0.05)
    loss.set(30.0, S)
    assert share(arm, 1, S) == pytest.approx(10**-3.05)


@pytest.mark.parametrize("retardance", [0.3, math.pi / 2, 2.0])
def test_a_squeezer_at_45_degrees_turns_h_towards_v(retardance: float) -> None:
    """H behind a retarder d at 45 degrees, S1 = cos d, S3 = sin d up to its sign (Born and Wolf, 1.4.2)."""
    stokes = Beam(Knob(2.0), Squeezer(Port(1), Knob(retardance), 45.0)).stokes_w(1, 0)
    assert stokes[0] == pytest.approx(2.0)
    assert stokes[1] == pytest.approx(2.0 * math.cos(retardance))
    assert abs(stokes[3]) == pytest.approx(2.0 * math.sin(retardance))
    assert stokes[2] == pytest.approx(0.0, abs=1e-12)


def test_the_stokes_vector_has_the_signs_of_the_analysers_ports() -> None:
    """A half-wave plate at 22.5 degrees makes D of H; a quarter-wave plate at -45 degrees R = (H - iV)/sqrt 2 or L."""
    diagonal = Beam(Knob(1.0), WavePlate(Port(1), math.pi, Knob(22.5))).stokes_w(1, 0)
    assert diagonal == pytest.approx([1, 0, 1, 0], abs=1e-12)
    plate = WavePlate(Port(1), math.pi / 2, Knob(45.0))
    circular = Beam(Knob(1.0), plate).stokes_w(1, 0)
    h, v = plate.jones(0)[:, 0]
    overlap = abs((np.conj([1, -1j]) / math.sqrt(2)) @ np.array([h, v])) ** 2  # with R
    assert circular[3] == pytest.approx(2 * overlap - 1)


def test_a_tap_leaves_the_rest_of_the_light() -> None:
    arm = BeamSplitter(Attenuator(Port(1), 3.0), Port(2), 0.99)
    assert share(arm, 1) == pytest.approx(0.99 * 10**-0.3)
    assert share(arm, 2) == pytest.approx(0.01)
    behind_pbs = PolarisingSplitter(Port(1), Port(2), 30.0)
    assert share(behind_pbs, 2) == pytest.approx(1e-3)


def test_switched_photons_click_at_the_detector_they_are_sent_to_from_that_picosecond_on() -> None:
    route = Knob(1.0)
    detectors = {n: Detector(efficiency=Knob(1.0)) for n in (1, 2, 3)}
    source = PairSource(1e5, pump_power_w=Knob(1.0), bandwidth_nm=0.0)
    line = PairLine(5, source, OpticalSwitch({1: Port(1), 2: Port(2)}, route), Port(3))
    world = World(7, [line], detectors)
    route.set(Step(1.0, S, 2.0), S // 2)
    first, second, partner = (world.clicks(n, 0, 2 * S) for n in (1, 2, 3))
    assert first.size == pytest.approx(1e5, abs=4 * math.sqrt(1e5))
    assert first.max() < S <= second.min()
    assert np.array_equal(np.concatenate([first, second]), partner)


def test_every_output_is_listed_even_when_it_is_dark() -> None:
    switch = OpticalSwitch({1: Port(1), 2: Port(2)}, Knob(0.0))
    assert [o.port.detector_id for o in switch.outcomes(0, Path())] == [1, 2]
    assert len(list(switch.knobs())) == 1
