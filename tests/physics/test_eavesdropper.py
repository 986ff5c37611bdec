"""What Eve does to correlations and rates, against the textbook."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qlab.physics.arm import BeamSplitter, Path, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.eavesdropper import AfterGate, FakedStates, InterceptResend, PhotonNumberSplitting, TimeShift
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine, categories
from qlab.physics.pulses import PulseTrain
from qlab.physics.source import PairSource
from qlab.physics.states import werner
from qlab.physics.world import World

ETA = 0.5


def receiver(first: int) -> BeamSplitter:
    """H, V, D and A at the detectors `first` to `first` + 3; the basis is chosen by a splitter."""
    ports = [Port(first + k) for k in range(4)]
    diagonal = WavePlate(PolarisingSplitter(ports[2], ports[3], 300.0), math.pi, Knob(22.5))
    return BeamSplitter(PolarisingSplitter(ports[0], ports[1], 300.0), diagonal, 0.5)


def table(eve: type[InterceptResend], fraction: float, bases: tuple[float, ...] = (0.0, 45.0)) -> np.ndarray:
    """Return the probabilities of coincidences of Alice's detectors with Bob's, shape (4, 4)."""
    source = PairSource(1.0, werner("phi+", 1.0), Knob(1.0), Knob(25.0))
    line = PairLine(1, source, receiver(0), eve(receiver(4), Knob(fraction), bases))
    found = np.zeros((4, 4))
    for one in categories(line, {i: Detector(efficiency=Knob(ETA)) for i in range(8)}, 0):
        if one.signal is not None and one.idler is not None:
            found[one.signal.port.detector_id, one.idler.port.detector_id - 4] += one.probability
    return found


def error_rates(found: np.ndarray) -> list[float]:
    bases = (found[:2, :2], found[2:, 2:])
    return [float((same[0, 1] + same[1, 0]) / same.sum()) for same in bases]


@pytest.mark.parametrize("fraction", [0.0, 0.2, 1.0])
def test_intercept_resend_makes_a_quarter_of_what_it_touches_wrong(fraction: float) -> None:
    # C. H. Bennett, F. Bessette, G. Brassard, L. Salvail, J. Smolin, J. Cryptology 5, 3 (1992): 25 % of intercepted bits.
    found = table(InterceptResend, fraction)
    assert error_rates(found) == pytest.approx([fraction / 4] * 2, abs=1e-12)
    assert found.sum() == pytest.approx(ETA**2)


def test_the_breidbart_basis_makes_as_many_errors_and_one_basis_shows_in_the_other() -> None:
    assert error_rates(table(InterceptResend, 1.0, (22.5,))) == pytest.approx([0.25, 0.25])
    assert error_rates(table(InterceptResend, 1.0, (0.0,))) == pytest.approx([0.0, 0.5])


def test_faked_states_make_no_errors_and_no_cross_basis_surprise() -> None:
    found = table(FakedStates, 1.0)
    assert error_rates(found) == pytest.approx([0.0, 0.0], abs=1e-12)
    # Bob clicks in Eve's basis alone, as often as his detectors are efficient; half of the time it is Alice's basis too.
    assert found.sum() == pytest.approx(ETA**2)
    assert found[:2, :2].sum() == pytest.approx(ETA**2 / 4)


def test_splitting_lets_through_what_is_left_of_pulses_with_several_photons() -> None:
    mu = 0.6
    expected = sum((n - 1) * math.exp(-mu) * mu**n / math.factorial(n) for n in range(2, 40))
    eve = PhotonNumberSplitting(Knob(1.0), 3.0)
    assert eve.forwarded(mu, 0) == pytest.approx(expected * 10**0.3)
    strong = PhotonNumberSplitting(Knob(1.0), 3.0, 30.0)  # the same pulse before its attenuator
    assert strong.forwarded(1000 * mu, 0) == pytest.approx(1000 * expected * 10**0.3)
    assert PhotonNumberSplitting(Knob(0.0)).forwarded(mu, 0) == mu


def arrivals(eve: object) -> list[tuple[int, int, float]]:
    """Return detector, delay and probability of each way on of an H photon, detectors as good as can be."""
    outcomes = eve.outcomes(0, Path(delay_ps=100.0))  # type: ignore[attr-defined]
    return [
        (o.arrives_at, o.delay_ps, round(float(o.effect[0, 0].real), 12))
        for o in outcomes
        if o.effect[0, 0].real > 1e-9
    ]


def test_a_time_shift_changes_when_light_arrives_and_nothing_else() -> None:
    analyser = PolarisingSplitter(Port(0), Port(1), 300.0)
    assert arrivals(TimeShift(analyser, Knob(0.4), 50.0)) == [(0, 100, 0.6), (0, 50, 0.2), (0, 150, 0.2)]
    assert arrivals(TimeShift(analyser, Knob(0.0), 50.0)) == [(0, 100, 1.0)]


def test_after_the_gate_clicks_are_bright_late_and_in_eves_basis_only() -> None:
    eve = AfterGate(receiver(0), Knob(1.0), later_ps=4000.0)
    # She measures H/V half of the time and finds H; in D/A she finds D or A, at random.  Each makes one detector click.
    assert sorted(arrivals(eve)) == sorted([(~0, 4100, 0.5), (~2, 4100, 0.25), (~3, 4100, 0.25)])


def test_bright_light_passes_a_closed_gate_and_faint_light_does_not() -> None:
    """A gate that is never open: without a trigger there is no edge."""
    shut = PulseTrain(Knob(0.0))
    source = PairSource(2e5, werner("phi+", 1.0), Knob(1.0), Knob(25.0))
    counts = {}
    for kind in (FakedStates, AfterGate):
        gated = {i: Detector(efficiency=Knob(ETA), gate=shut if i >= 4 else None) for i in range(8)}
        line = PairLine(1, source, receiver(0), kind(receiver(4), Knob(1.0), later_ps=4000.0))
        world = World(3, [line], gated)
        counts[kind] = [world.clicks(i, 0, 10**11).size for i in range(8)]
    assert sum(counts[FakedStates][4:]) == 0
    expected = 2e5 * 0.1 * ETA
    assert sum(counts[AfterGate][4:]) == pytest.approx(expected, abs=5 * math.sqrt(expected))
    assert counts[FakedStates][:4] == pytest.approx(counts[AfterGate][:4], abs=5 * math.sqrt(2 * expected / 4))
