"""Pictures of clocks' stability: the measured deviation with its interval, and every mask where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qlab.run.clock_figures import clock_figures
from qlab.timing.masks import MASKS
from qlab.timing.stability import stability


def test_stability_is_drawn_with_every_mask_and_the_bound() -> None:
    x = np.random.default_rng(1).normal(size=256) * 1e-9
    results: dict[str, Any] = {"oscillator_every_s": 2.0, "oscillator_bound_ps": 900.0}
    for kind in ("tdev", "mtie"):
        found = stability(x, 2.0, kind)  # type: ignore[arg-type]
        values = {"tau_s": found.tau_s, "low": found.low, "high": found.high}
        results |= {f"oscillator_{kind}": found.deviation}
        results |= {f"oscillator_{kind}_{name}": value for name, value in values.items()}
    ((title, name, figure),) = clock_figures(results)
    assert (title.split(",")[0], name) == ("Stability", "stability")
    for axes, kind in zip(figure.axes, ("tdev", "mtie"), strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        masks = {mask for mask, limit in MASKS.items() if limit.kind == kind}
        assert masks < set(lines)
        for mask in masks:
            tau, limit = lines[mask].get_data()
            assert limit == pytest.approx(MASKS[mask].limit_ns(np.asarray(tau)), nan_ok=True)
    figure.canvas.draw()
