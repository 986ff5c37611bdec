"""Both engines draw the same bits, and what they draw is what one event after the other would give."""

from __future__ import annotations

import heapq
import itertools
import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.physics.arm import Arm, BeamSplitter, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.engine import OutcomeTable, engine_of
from qlab.physics.fibre import Fibre
from qlab.physics.keys import mix
from qlab.physics.knob import CELL_PS, Knob
from qlab.physics.line import PairLine
from qlab.physics.settle import AfterpulseLaw, Candidates
from qlab.physics.source import PairSource
from qlab.physics.states import werner
from qlab.physics.world import World

ENGINES = ["numpy", pytest.param("numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="needs numba"))]


def tree(numbers: list[int], dispersion_ps_nm_km: float) -> Arm:
    """Return an arm that ends at so many detectors."""
    ports: list[Arm] = [Port(number) for number in numbers]
    while len(ports) > 2:
        ports = [BeamSplitter(a, b) for a, b in zip(ports[::2], ports[1::2], strict=True)]
    split = PolarisingSplitter(ports[0], ports[1])
    return Fibre(WavePlate(split, math.pi, Knob(10.0)), length_m=5000.0, dispersion_ps_nm_km=dispersion_ps_nm_km)


def world(engine: str, *, rate_hz: float, ports: int, afterpulse: float, dead_ps: int, dispersion: float) -> World:
    numbers = list(range(1, 2 * ports + 1))
    detectors = {n: Detector(Knob(0.4), Knob(2e3), Knob(afterpulse), 150.0, dead_ps, 20_000.0) for n in numbers}
    source = PairSource(rate_hz, werner("psi-", 0.9), Knob(1.0), Knob(25.0), bandwidth_nm=3.0)
    line = PairLine(3, source, tree(numbers[:ports], dispersion), tree(numbers[ports:], -dispersion))
    return World(11, [line], detectors, engine=engine)


@pytest.mark.skipif(find_spec("numba") is None, reason="needs numba")
@settings(max_examples=12)
@given(
    rate_hz=st.sampled_from([0.0, 1e3, 1e5, 1e6]),
    ports=st.sampled_from([2, 4, 8]),
    afterpulse=st.sampled_from([0.0, 0.01, 0.5]),
    dead_ps=st.sampled_from([0, 1, 20_000, 10_000_000]),
    dispersion=st.sampled_from([0.0, 18.0]),
    step_ps=st.integers(10**9, 10**12),
)
def test_both_engines_draw_the_same_bits(
    rate_hz: float, ports: int, afterpulse: float, dead_ps: int, dispersion: float, step_ps: int
) -> None:
    kind = {"rate_hz": rate_hz, "ports": ports, "afterpulse": afterpulse, "dead_ps": dead_ps, "dispersion": dispersion}
    stop = 2 * CELL_PS
    whole = world("numpy", **kind)  # type: ignore[arg-type]
    polled = world("numba", **kind)  # type: ignore[arg-type]
    edges = [*range(0, stop, step_ps), stop]
    for number in range(1, 2 * ports + 1):
        parts = [polled.clicks(number, a, b) for a, b in itertools.pairwise(edges)]
        assert np.array_equal(np.concatenate(parts), whole.clicks(number, 0, stop))


def one_by_one(t: list[int], dead: int, last: int, law: AfterpulseLaw) -> list[int]:
    """Simulate the detector event by event, afterpulses waiting in a heap."""
    waiting: list[tuple[int, int]] = [(time, 0) for time in t]
    heapq.heapify(waiting)
    clicks = []
    while waiting:
        now, _ = heapq.heappop(waiting)
        if now - last < max(dead, 1):
            continue
        last = now
        clicks.append(now)
        bits = int(mix(np.array([now]), law.key)[0])
        if bits & 0xFFFFFFFF < law.limit:
            heapq.heappush(waiting, (now + int(law.delay_ps[bits >> 48]), 1))
    return clicks


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=150)
@given(
    streams=st.lists(st.lists(st.integers(0, 20_000), max_size=60), min_size=1, max_size=4),
    dead=st.integers(0, 300),
    probability=st.sampled_from([0.05, 0.5, 0.9]),
    tau=st.sampled_from([3.0, 200.0]),
    key=st.integers(0, 2**64 - 1),
    origin=st.integers(-(2**58), 2**58),
)
def test_clicks_are_those_of_detectors_simulated_event_by_event(
    engine: str, streams: list[list[int]], dead: int, probability: float, tau: float, key: int, origin: int
) -> None:
    detectors, expected = [], []
    for n, times in enumerate(streams):
        # The third differs from the others, so that it cannot be settled together with them.
        detector = Detector(dead_time_ps=dead + (n == 2), afterpulse_tau_ps=tau)
        law = detector.law(probability, key ^ n)
        assert law is not None
        t = [origin + time for time in sorted(times)]
        last = origin - 50 * n
        detectors.append(Candidates(np.array(t, np.int64), detector.dead_time_ps, last, law))
        expected.append(one_by_one(t, detector.dead_time_ps, last, law))
    found = engine_of(engine).clicks(detectors)
    assert [clicks.tolist() for clicks in found] == expected


@settings(max_examples=50)
@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=20), st.integers(0, 2**32))
def test_an_outcome_is_decided_by_all_32_bits(weights: list[float], seed: int) -> None:
    table = OutcomeTable.build(weights, [n + 1 for n in range(len(weights))])
    edges = np.minimum(table.bounds, 2**32 - 1).astype(np.int64)
    words = np.concatenate([np.random.default_rng(seed).integers(0, 2**32, 200), edges, np.maximum(edges - 1, 0)])
    expected = table.of_outcome[np.searchsorted(table.bounds, words.astype(np.uint64), side="right")]
    found = table.masks[words >> 16]
    undecided = found == table.undecided
    assert np.array_equal(found[~undecided], expected[~undecided])
    assert undecided.mean() < 0.5
    # the shares are the weights to 1 in 2^32
    shares = np.diff(np.concatenate([[0.0], table.bounds.astype(float)])) / 2.0**32
    assert shares == pytest.approx(np.array(weights) / sum(weights), abs=2.0**-31)


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(BadRequestError, match="no engine 'cuda'; expected numpy or numba"):
        engine_of("cuda")
