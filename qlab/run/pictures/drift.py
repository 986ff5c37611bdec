"""Pictures of what changes in the course of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_panels

__all__ = ["draw_stability", "draw_tracking"]


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


def draw_stability(results: dict[str, Any]) -> Any:
    """Draw rate and error rates over the time, with the incidents behind them."""
    figure, (upper, lower) = new_panels(2)
    unit, word = (3600.0, "h") if results["stability_duration_s"] > 2 * 3600 else (60.0, "min")
    t = np.asarray(results["stability_point_time_s"]) / unit
    good = np.asarray(results["stability_point_good"]).astype(bool)
    in_x = np.asarray(results["stability_point_x_basis"]).astype(bool)
    rate, wrong = (np.asarray(results[f"stability_point_{name}"]) for name in ("pairs_hz", "error_rate"))
    upper.plot(t[good], rate[good], "o", ms=3, color=BLUE)
    upper.plot(t[~good], rate[~good], "x", ms=5, color=DARK, label="spoilt")
    for chosen, name, colour in ((~in_x, "Z", BLUE), (in_x, "X", ORANGE)):
        lower.plot(t[good & chosen], 100.0 * wrong[good & chosen], "o", ms=3, color=colour, label=name)
    names = [line.partition(":")[0] for line in str(results["stability_incident_what"]).splitlines()]
    begins = np.asarray(results["stability_incident_begin_s"]) / unit
    lasts = np.asarray(results["stability_incident_lasts_s"]) / unit
    for name, begin, long in zip(names, begins, lasts, strict=True):
        for axes in (upper, lower):
            axes.axvspan(begin, begin + long, color=ORANGE, alpha=0.2, lw=0)
        place = (begin, 0.03)
        upper.annotate(name, place, xycoords=("data", "axes fraction"), rotation=90, fontsize=8, color=DARK)
    upper.set(ylabel="coincidences a second", ylim=(0.0, None))
    lower.set(xlabel=f"time ({word})", ylabel="error rate (%)", ylim=(0.0, None))
    if not good.all():
        upper.legend(frameon=False, loc="lower right")
    lower.legend(frameon=False, ncols=2)
    return figure
