"""One detector's clicks: fitted figures against what they were drawn from, and against the world's detector."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.analysis.click_intervals import ClickFigures, click_figures
from qlab.errors import BadRequestError
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob
from qlab.physics.world import World


def draw(rng: np.random.Generator, clicks: int, rate_hz: float, dead_ps: float, p: float, tau_ps: float) -> np.ndarray:
    light = rng.exponential(1e12 / rate_hz, clicks)
    after = np.where(rng.random(clicks) < p, rng.exponential(tau_ps, clicks), np.inf)
    return np.cumsum(np.rint(dead_ps + np.minimum(light, after))).astype(np.int64)


@pytest.mark.parametrize(("rate_hz", "p"), [(500.0, 0.01), (1e5, 0.03), (1e6, 0.05)])
def test_figures_come_back_with_honest_uncertainties(rate_hz: float, p: float) -> None:
    """Of 60 runs the spread is what each says of itself, and the mean is right within three of its errors."""
    rng = np.random.default_rng(1)
    found: list[ClickFigures] = []
    for _ in range(60):
        t = draw(rng, 20_000, rate_hz, 50_000.0, p, 40_000.0)
        found.append(click_figures(t, float(t[-1]) * 1e-12))
    for name, truth in (("rate_hz", rate_hz), ("afterpulse_probability", p), ("dead_time_ps", 50_000.0)):
        values = np.array([getattr(one, name) for one in found])
        said = np.mean([getattr(one, f"{name}_sigma") for one in found])
        assert abs(values.mean() - truth) < 3 * values.std() / 60**0.5 + 0.002 * truth, name
        assert values.std() == pytest.approx(said, rel=0.4), name


def test_without_afterpulses_there_are_none() -> None:
    t = draw(np.random.default_rng(2), 50_000, 1000.0, 50_000.0, 0.0, 1.0)
    found = click_figures(t, float(t[-1]) * 1e-12)
    assert found.afterpulse_probability < 3 * max(found.afterpulse_probability_sigma, 1e-3)
    assert found.rate_hz == pytest.approx(1000.0, rel=0.02)


def test_the_worlds_detector_is_what_its_parameters_say() -> None:
    """Two independent ways: the world draws clicks by a master process, the fit knows only their intervals."""
    detector = Detector(
        efficiency=Knob(0.5),
        dark_rate_hz=Knob(40_000.0),
        afterpulse_probability=Knob(0.04),
        dead_time_ps=60_000,
        afterpulse_tau_ps=30_000.0,
    )
    t = World(5, [], {1: detector}).clicks(1, 0, 8 * 10**12)
    found = click_figures(t, 8.0)
    assert abs(found.rate_hz - 40_000.0) < 3 * found.rate_hz_sigma
    assert abs(found.afterpulse_probability - 0.04) < 3 * found.afterpulse_probability_sigma
    assert abs(found.afterpulse_tau_ps - 30_000.0) < 3 * found.afterpulse_tau_ps_sigma
    assert abs(found.dead_time_ps - 60_000.0) < 5 * found.dead_time_ps_sigma + 1.0
    assert found.rate_hz_sigma < 100
    assert found.afterpulse_probability_sigma < 0.001


@pytest.mark.parametrize(
    ("t", "text"),
    [(range(10), "at least 100"), (np.zeros(200), "two at the same time"), (np.arange(200)[::-1], "not sorted")],
)
def test_bad_input_is_named(t: object, text: str) -> None:
    with pytest.raises(BadRequestError, match=text):
        click_figures(t, 1.0)  # type: ignore[arg-type]
