"""Heralds at a midpoint: rates, false ones, fidelity, and independence of who asks when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import WorldError
from qlab.physics.arm import Attenuator, Port
from qlab.physics.fibre import Fibre
from qlab.physics.knob import Knob
from qlab.physics.midpoint import LinkEnd, Midpoint, Result
from qlab.physics.register import BELL_KETS, QubitRegister
from qlab.physics.routing import VariableAttenuator

if TYPE_CHECKING:
    from collections.abc import Iterator

US, MS, S = 10**6, 10**9, 10**12


def make(
    loss_db: tuple[float, float] = (0.0, 0.0), length_m: tuple[float, float] = (0.0, 0.0), seed: int = 4, **kw: float
) -> tuple[Midpoint, LinkEnd, LinkEnd]:
    register = QubitRegister(seed)
    register.add(1, math.inf, math.inf)
    register.add(2, math.inf, math.inf)
    midpoint = Midpoint(seed, 77, register, **kw)
    ends = [
        LinkEnd(Fibre(Attenuator(Port(9), loss), length), node, tick_ps=10 * US, gate_ps=10 * US)
        for loss, length, node in zip(loss_db, length_m, ("a", "b"), strict=True)
    ]
    for end in ends:
        midpoint.join(end)
    return midpoint, *ends


def bursts(a: LinkEnd, b: LinkEnd, count: int) -> Iterator[tuple[Result, Result]]:
    t_ps = 0
    for _ in range(count):
        a.begin(1, t_ps, 10**6)
        b.begin(2, t_ps, 10**6)
        results = []
        for end in (a, b):
            result = None
            while result is None:
                due = end.due_ps(t_ps)
                assert due is not None
                t_ps = max(t_ps, due)
                result = end.poll(t_ps)
            results.append(result)
        yield results[0], results[1]


def test_heralds_are_as_frequent_as_losses_and_linear_optics_allow() -> None:
    midpoint, a, b = make(loss_db=(1.0, 2.0), efficiency=0.9)
    expected = 0.5 * 10 ** (-0.1) * 10 ** (-0.2) * 0.9**2
    assert midpoint.probabilities(0) == (pytest.approx(expected), 0.0)
    results = list(bursts(a, b, 4000))
    attempts = np.array([result.attempts for result, _ in results])
    # geometric: mean 1/p, variance (1 - p)/p^2
    mean = attempts.mean() * expected
    assert abs(mean - 1.0) < 4.0 * math.sqrt((1.0 - expected) / attempts.size)
    plus = sum(result.bell == 2 for result, _ in results)
    assert abs(plus - 2000) < 4.0 * math.sqrt(1000)


def test_both_ends_hear_of_the_same_pair_after_the_lights_way_back() -> None:
    _, a, b = make(length_m=(10_000.0, 25_000.0))
    (first, second), *_ = bursts(a, b, 1)
    assert (first.pair_id, first.bell) == (second.pair_id, second.bell)
    way_a, way_b = (round(length * 1.468 / 299_792_458.0 * S) for length in (10_000.0, 25_000.0))
    assert (a.delay_ps, b.delay_ps) == (way_a, way_b)
    assert a.period_ps == b.period_ps == -(-(2 * way_b + 10 * US) // (10 * US)) * 10 * US
    assert first.t_ps - first.emitted_ps == 2 * way_a + 10 * US
    assert first.emitted_ps - second.emitted_ps == way_b - way_a  # the nearer end waits
    assert second.t_ps - second.emitted_ps == 2 * way_b + 10 * US


def test_a_pair_is_as_good_as_the_interference() -> None:
    midpoint, a, b = make(visibility=0.9)
    for first, _ in bursts(a, b, 20):
        assert first.bell is not None
        ket = BELL_KETS[first.bell]
        rho = midpoint.register.state((1, 2), first.t_ps)
        assert float((ket.conj() @ rho @ ket).real) == pytest.approx(0.95)


def test_dark_counts_herald_pairs_that_are_none() -> None:
    midpoint, a, b = make(loss_db=(20.0, 20.0), dark_rate_hz=2000.0)
    a.window_ps = b.window_ps = US
    a.begin(1, 0, 10)
    b.begin(2, 0, 10)
    dark, eta = -math.expm1(-2000.0 * 1e-6), 0.01
    genuine, false = midpoint.probabilities(0)
    assert genuine == pytest.approx(eta**2 / 2.0)
    assert false == pytest.approx(2 * eta * (1 - eta) * 2 * dark + (1 - eta) ** 2 * 4 * dark**2)
    a.end(0)
    b.end(0)
    mixed = 0
    for first, _ in bursts(a, b, 400):
        assert first.bell is not None
        rho = midpoint.register.state((1, 2), first.t_ps)
        mixed += np.allclose(rho, np.eye(4) / 4.0)
    share = false / (genuine + false)
    assert abs(mixed - 400 * share) < 4.0 * math.sqrt(400 * share * (1 - share))


def test_without_the_other_end_attempts_are_in_vain() -> None:
    _, a, b = make()
    a.begin(1, 0, 50)
    assert a.poll(a.hears_ps(48)) is None
    result = a.poll(a.hears_ps(49))
    assert result is not None
    assert (result.bell, result.attempts, result.pair_id) == (None, 50, 0)
    with pytest.raises(WorldError, match="two ends"):
        b.midpoint.join(LinkEnd(Port(1), "c"))  # type: ignore[union-attr]
    b.begin(2, 0, 5)
    with pytest.raises(WorldError, match="under way"):
        b.begin(2, 0, 5)


def test_an_end_that_stops_is_not_heralded_but_the_other_may_be() -> None:
    _, a, b = make(length_m=(20_000.0, 20_000.0))
    a.begin(1, 0, 100)
    b.begin(2, 0, 100)
    t_ps = a.emits_ps(60) + 1
    assert a.attempts(t_ps) == 61
    a.end(t_ps)
    assert a.poll(S) is None
    heard = b.poll(S)
    assert heard is not None
    assert heard.bell is None or heard.attempts <= 61


def outcome(polls_ps: list[int], turned: bool) -> list[object]:
    """Run 30 ms of attempts with a loss that changes in mid-cell, looking at these times."""
    knob = Knob(3.0)
    register = QubitRegister(5)
    register.add(1, math.inf, math.inf)
    register.add(2, math.inf, math.inf)
    midpoint = Midpoint(5, 78, register)
    ends = [LinkEnd(VariableAttenuator(Port(9), knob, 0.0), node, tick_ps=10 * US) for node in "ab"]
    for number, end in enumerate(ends, 1):
        midpoint.join(end)
        end.begin(number, 0, 10**6)
    found: list[object] = []
    times = sorted({*polls_ps, 7 * MS, 200 * MS})
    for t_ps in times:
        if t_ps == 7 * MS and turned:
            knob.set(25.0, t_ps)
        for end in ends:
            end.due_ps(t_ps)
            result = end.poll(t_ps)
            if result is not None:
                found.append((end.node, result))
    return sorted(found, key=repr)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 200 * MS), max_size=12), st.booleans())
def test_it_does_not_matter_who_looks_when(polls_ps: list[int], turned: bool) -> None:
    assert outcome(polls_ps, turned) == outcome([], turned)
