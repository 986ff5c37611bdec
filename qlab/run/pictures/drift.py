"""Pictures of what changes in the course of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_panels

__all__ = ["draw_tracking"]


def draw_tracking(results: dict[str, Any]) -> Any:
    """Draw the error rates over the time, and below what was turned to hold them."""
    figure, (upper, lower) = new_panels(2)
    t = np.asarray(results["drift_round_time_s"])
    for basis, colour in (("z", BLUE), ("x", ORANGE)):
        rate, sigma = (100.0 * np.asarray(results[f"drift_round_qber_{basis}{end}"]) for end in ("", "_sigma"))
        mean = 100.0 * results[f"drift_qber_{basis}"]
        upper.errorbar(
            t, rate, yerr=sigma, fmt="o", ms=3, lw=1, color=colour, label=f"{basis.upper()}: {mean:.2f} % in all"
        )
    upper.set(ylabel="error rate (%)", ylim=(0.0, None), title=f"compensated by: {results['drift_compensated_by']}")
    upper.legend(frameon=False, ncols=2)
    by = "made to compensate" if results["drift_compensated_by"] != "nothing" else "seen"
    turn = np.asarray(results["drift_round_made_rad" if by != "seen" else "drift_round_turn_rad"])
    for axis, colour in zip(range(3), (ORANGE, DARK, BLUE), strict=True):
        lower.step(t, turn[:, axis], where="post", color=colour, label="xyz"[axis])
    lower.axhline(0.0, color=DARK, lw=0.6)
    lower.set(xlabel="time (s)", ylabel=f"turn {by} (rad)")
    lower.legend(frameon=False, ncols=3)
    return figure
