"""Pictures of detectors and of a tagger's inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_axes

__all__ = ["draw_calibration", "draw_darks", "draw_efficiencies", "draw_intervals", "draw_responses"]


def _inputs(channels: Any) -> list[str]:
    return [f"input {int(c) + 1}" for c in channels]


def draw_darks(results: dict[str, Any]) -> Any:
    """Draw what each input counts in the dark, and what of it is left without afterpulses."""
    figure, axes = new_axes()
    names = _inputs(results["darks_channels"])
    counted, low, high, rate, sigma = (
        np.asarray(results[f"darks_{name}"], dtype=np.float64)
        for name in ("counted_hz", "counted_hz_low", "counted_hz_high", "rate_hz", "rate_hz_sigma")
    )
    x = np.arange(len(names))
    axes.bar(x - 0.2, counted, 0.4, color=BLUE, label="counted")
    axes.errorbar(x - 0.2, counted, yerr=[counted - low, high - counted], fmt="none", ecolor=DARK, capsize=4)
    axes.bar(x + 0.2, np.nan_to_num(rate), 0.4, color=ORANGE, label="without afterpulses and dead time")
    axes.errorbar(x + 0.2, rate, yerr=sigma, fmt="none", ecolor=DARK, capsize=4)
    axes.set_xticks(x, names)
    axes.set(ylabel="dark clicks a second", ylim=(0.0, 1.25 * high.max()))
    axes.legend(frameon=False, loc="upper right", ncols=2)
    return figure


def draw_efficiencies(results: dict[str, Any]) -> Any:
    """Draw the efficiency of each input of both arms."""
    figure, axes = new_axes()
    names = _inputs(results["klyshko_channels"])
    eta = np.concatenate([np.asarray(results[f"klyshko_inputs_{arm}"], dtype=np.float64) for arm in "ab"])
    sigma = np.concatenate([np.asarray(results[f"klyshko_inputs_{arm}_sigma"], dtype=np.float64) for arm in "ab"])
    of_a = len(results["klyshko_inputs_a"])
    axes.bar(np.arange(eta.size), 100 * eta, color=[BLUE] * of_a + [ORANGE] * (eta.size - of_a), width=0.6)
    axes.errorbar(np.arange(eta.size), 100 * eta, yerr=100 * sigma, fmt="none", ecolor=DARK, capsize=5)
    axes.set_xticks(np.arange(eta.size), names)
    arms = (f"arm {arm}: {100 * results[f'klyshko_arm_{arm}']:.2f} %" for arm in "ab")
    axes.set(ylabel="efficiency (%)", title=", ".join(arms))
    return figure


def draw_responses(results: dict[str, Any]) -> Any:
    """Draw the coincidence peaks of all pairs of inputs, each around its middle."""
    figure, axes = new_axes()
    prefix = "jitter" if "jitter_responses" in results else "sheet"
    keys = ("pairs", "responses", "response_starts_ps", "lags_ps")
    rows = zip(*(results[f"{prefix}_{key}"] for key in keys), strict=True)
    widths, sigmas = results[f"{prefix}_pair_fwhm_ps"], results[f"{prefix}_pair_fwhm_ps_sigma"]
    for (pair, response, start, lag), width, sigma in zip(rows, widths, sigmas, strict=True):
        counts = np.asarray(response, dtype=np.float64)
        bin_ps = max(counts.size // 250, 1)
        kept = counts.size // bin_ps * bin_ps
        binned = counts[:kept].reshape(-1, bin_ps).sum(axis=1)
        lags = start - lag + bin_ps * (np.arange(binned.size) + 0.5)
        label = f"{int(pair[0]) + 1} and {int(pair[1]) + 1}: {width:.0f} ± {sigma:.1f} ps"
        axes.plot(lags, binned / max(binned.max(), 1.0), lw=1, drawstyle="steps-mid", label=label)
    reach = 2.5 * max(widths)
    axes.set(xlabel="lag from the peak (ps)", ylabel="pairs, highest bin is 1", xlim=(-reach, reach))
    axes.legend(frameon=False, title="inputs: full width at half maximum", fontsize=8, title_fontsize=8)
    return figure


def draw_intervals(results: dict[str, Any]) -> Any:
    """Draw dead time and afterpulse probability of each input."""
    figure, axes = new_axes()
    names = _inputs(results["detectors_channels"])
    share, share_sigma, dead = (
        np.asarray(results[f"detectors_{name}"], dtype=np.float64)
        for name in ("afterpulse_probability", "afterpulse_probability_sigma", "dead_time_ps")
    )
    axes.errorbar(dead / 1000.0, 100 * share, yerr=100 * share_sigma, fmt="o", color=BLUE, ecolor=DARK, capsize=4)
    for name, x, y in zip(names, dead / 1000.0, 100 * share, strict=True):
        axes.annotate(name, (x, y), xytext=(8, 4), textcoords="offset points", fontsize=9)
    axes.set(xlabel="dead time (ns)", ylabel="afterpulse probability (%)", ylim=(0.0, None))
    axes.margins(x=0.2)
    return figure


def draw_calibration(results: dict[str, Any]) -> Any:
    """Draw the delays that were found, and what was left once they were taken out."""
    figure, axes = new_axes()
    names = _inputs(results["calibration_channels"])
    left = "calibration_residual_ps" in results
    key = "calibration_residual_ps" if left else "calibration_delays_ps"
    values, sigmas = (np.asarray(results[k], dtype=np.float64) for k in (key, f"{key}_sigma"))
    axes.errorbar(np.arange(values.size), values, yerr=sigmas, fmt="o", color=BLUE, ecolor=DARK, capsize=5)
    axes.axhline(0.0, color=DARK, lw=0.6)
    axes.set_xticks(np.arange(values.size), names)
    axes.set(ylabel="delay left after the calibration (ps)" if left else "delay (ps)")
    axes.margins(x=0.2)
    return figure
