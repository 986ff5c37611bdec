"""Pictures of the plans about clocks, from their results, for a run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["clock_figures", "clock_headline"]

BLUE, AMBER, DARK, RED = "#3b6ea5", "#e8a33d", "#1c2430", "#b5382f"
Figures = list[tuple[str, str, Any]]


def clock_figures(results: Mapping[str, Any]) -> Figures:
    """Return titles, file names and figures of what the results have."""
    found: Figures = []
    if "clocks_offset_ps" in results:
        found.append(("The second clock less the first", "clocks", _clocks(results)))
    if "transfer_round_trip_ps" in results:
        found.append(("Offset and round trip", "transfer", _transfer(results)))
    if "towers_exposures" in results:
        found.append(("Time error that each exposure found", "towers", _towers(results)))
        found.append(("Share of the time below a time error", "service", _service(results)))
    if "oscillator_tdev" in results:
        found.append(("Stability, telecom masks, and what pairs can tell at best", "stability", _stability(results)))
    if "holdover_error_ps" in results:
        found.append(("Time error without a reference", "holdover", _holdover(results)))
    if "comparison_tdev_s" in results:
        found.append(("Ways of time transfer", "comparison", _comparison(results)))
    return found


def clock_headline(results: Mapping[str, Any]) -> str | None:
    """Return the sentence that a run about clocks comes to."""
    if "towers_text" in results:
        return str(results["towers_text"])
    if "clocks_locked_share" in results:
        return f"locked for {results['clocks_locked_share']:.1%} of {results['clocks_points']} acquisitions"
    if "transfer_alarms" in results:
        n = int(results["transfer_alarms"])
        return "the round trip moved no faster than it may" if not n else f"{n} alarms: the way was changed"
    return None


def _axes(rows: int, height: float, *, share: bool = True) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, 1, sharex=share))
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _clocks(r: Mapping[str, Any]) -> Any:
    figure, (upper, lower) = _axes(2, 4.6)
    t = np.asarray(r["clocks_at_s"])
    zero = r.get("clocks_target_ps", np.nanmean(r["clocks_offset_ps"]))
    x, sigma = np.asarray(r["clocks_offset_ps"]) - zero, np.asarray(r["clocks_offset_ps_sigma"])
    upper.fill_between(t, x - 2 * sigma, x + 2 * sigma, color=BLUE, alpha=0.25, lw=0, label="±2σ")
    upper.plot(t, x, "o-", ms=3, lw=1, color=BLUE)
    against = "the target" if "clocks_target_ps" in r else "its mean"
    upper.set(ylabel=f"offset less {against} (ps)")
    upper.legend(frameon=False)
    lower.plot(t, np.asarray(r["clocks_frequency"]) * 1e12, "o-", ms=3, lw=1, color=AMBER)
    lower.axhline(0.0, color=DARK, lw=0.6)
    lower.set(xlabel="time of the first clock (s)", ylabel="frequency (1e-12)")
    return figure


def _transfer(r: Mapping[str, Any]) -> Any:
    figure, (upper, lower) = _axes(2, 4.8)
    t, x, sigma = (np.asarray(r[f"transfer_{key}"]) for key in ("at_s", "offset_ps", "sigma_ps"))
    line = np.polyval(np.polyfit(t, x, 1), t) if t.size > 2 and np.isfinite(x).all() else np.nanmean(x)
    upper.errorbar(t, x - line, yerr=sigma, fmt="o", ms=3, color=BLUE)
    upper.set(ylabel="offset less a line (ps)")
    trip, limit = np.asarray(r["transfer_round_trip_ps"]), np.asarray(r["transfer_limit_ps"])
    first = trip[np.isfinite(trip)][0] if np.isfinite(trip).any() else 0.0
    limit = np.where(np.isfinite(limit), limit, np.nan)
    before = np.concatenate([[np.nan], trip[:-1]]) - first
    lower.fill_between(t, before - limit, before + limit, color=AMBER, alpha=0.3, lw=0, label="where it may be")
    lower.plot(t, trip - first, "o", ms=3, color=BLUE)
    alarm = np.asarray(r["transfer_alarm"]) > 0
    if alarm.any():
        lower.plot(t[alarm], (trip - first)[alarm], "o", ms=9, mfc="none", color=RED, label="alarm")
    lower.set(xlabel="time of the near clock (s)", ylabel="round trip less the first (ps)")
    lower.legend(frameon=False)
    return figure


def _towers(r: Mapping[str, Any]) -> Any:
    figure, (upper, lower) = _axes(2, 6.0)
    rows, names = np.asarray(r["towers_exposures"]), [str(name) for name in r["towers_names"]]
    hours = (rows[:, 1] - rows[0, 1]) / 3600.0
    limit_ns = float(r["towers_limit_ps"]) / 1e3
    for k, name in enumerate(names):
        mine = rows[:, 0] == k
        upper.plot(hours[mine], rows[mine, 3] / 1e3, "o-", ms=3, lw=0.6, label=name, color=_colour(k, len(names)))
        lower.plot(hours[mine], rows[mine, 4] / 1e3, "o-", ms=3, lw=0.6, color=_colour(k, len(names)))
    for sign in (-1, 1):
        upper.axhline(sign * limit_ns, color=DARK, lw=0.8, ls="--")
    reach = max(3.0 * limit_ns, float(np.nanpercentile(np.abs(rows[:, 3]), 98)) / 1e3)
    upper.set(ylabel="time error found (ns)", ylim=(-reach, reach))
    upper.legend(frameon=False, ncols=5, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.22))
    lower.set(xlabel="hours", ylabel="foreseen uncertainty (ns)", yscale="log")
    return figure


def _service(r: Mapping[str, Any]) -> Any:
    figure, (axes,) = _axes(1, 3.6)
    names = [str(name) for name in r["towers_names"]]
    limits = np.asarray(r["towers_curve_ps"]) / 1e3
    for k, name in enumerate(names):
        axes.plot(limits, np.asarray(r["towers_tower_curves"])[k], lw=0.9, color=_colour(k, len(names)), label=name)
    axes.plot(limits, np.asarray(r["towers_curve"]), lw=2.4, color=DARK, label="all")
    axes.axvline(float(r["towers_limit_ps"]) / 1e3, color=RED, lw=0.8, ls="--")
    axes.axhline(float(r["towers_promised"]), color=RED, lw=0.8, ls="--")
    axes.set(xlabel="time error (ns)", ylabel="share of the time below", xscale="log", ylim=(0.0, 1.02))
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def _stability(r: Mapping[str, Any]) -> Any:
    from qlab.timing.masks import MASKS

    figure, pair = _axes(2, 7.0, share=False)
    for axes, kind in zip(pair, ("tdev", "mtie"), strict=True):
        tau, value = np.asarray(r[f"oscillator_{kind}_tau_s"]), np.asarray(r[f"oscillator_{kind}"]) * 1e9
        if kind == "tdev":
            low, high = (np.asarray(r[f"oscillator_tdev_{end}"]) * 1e9 for end in ("low", "high"))
            axes.errorbar(tau, value, yerr=[value - low, high - value], fmt="o", ms=4, color=BLUE, label="measured")
            bound = float(r["oscillator_bound_ps"]) / 1e3
            wide = np.geomspace(tau[0], tau[-1], 50)
            axes.plot(
                wide,
                bound * (wide / r["oscillator_every_s"]) ** -0.5,
                color=AMBER,
                label="Cramér-Rao bound of the pairs",
            )
        else:
            axes.plot(tau, value, "o", ms=4, color=BLUE, label="measured")
        reach = np.geomspace(max(tau[0] / 3.0, 0.1), tau[-1] * 3.0, 200)
        for (name, mask), style in zip(
            [(n, m) for n, m in MASKS.items() if m.kind == kind], ("-", "-.", "--", ":", (0, (1, 4))), strict=True
        ):
            axes.plot(reach, mask.limit_ns(reach), ls=style, color=DARK, lw=1.0, label=name)
        axes.set(xscale="log", yscale="log", ylabel=f"{kind.upper()} (ns)", xlabel="averaging time (s)")
        axes.legend(frameon=False, fontsize=8)
    return figure


def _holdover(r: Mapping[str, Any]) -> Any:
    figure, (axes,) = _axes(1, 3.6)
    t, x = np.asarray(r["holdover_since_s"]), np.asarray(r["holdover_error_ps"]) / 1e3
    axes.plot(t / 60.0, x, "o", ms=4, color=BLUE, label="by photon pairs")
    y, a = float(r["holdover_frequency"]), float(r["holdover_ageing_per_day"]) / 86_400.0
    axes.plot(t / 60.0, (y * t + a * t * t / 2.0) * 1e9, color=AMBER, label=f"{y:.2e} and {a * 86_400.0:.1e} a day")
    axes.axhline(np.sign(y) * float(r["holdover_limit_ns"]), color=RED, lw=0.8, ls="--")
    axes.set(xlabel="minutes without reference", ylabel="time error (ns)")
    axes.legend(frameon=False)
    return figure


def _comparison(r: Mapping[str, Any]) -> Any:
    figure, (upper, lower) = _axes(2, 6.4, share=False)
    names = [str(name) for name in r["comparison_names"]]
    table, tau = np.asarray(r["comparison_offset_ps"]), np.asarray(r["comparison_tau_s"])
    for k, name in enumerate(names):
        colour = _colour(k, len(names))
        t = np.arange(table.shape[1]) * float(r["comparison_every_s"])
        upper.plot(t, (table[k] - table[k].mean()) / 1e3, "o-", ms=3, lw=0.7, color=colour, label=name)
        value = np.asarray(r["comparison_tdev_s"])[k] * 1e9
        ends = [np.asarray(r[f"comparison_tdev_{end}_s"])[k] * 1e9 for end in ("low", "high")]
        lower.errorbar(tau, value, yerr=[value - ends[0], ends[1] - value], fmt="o-", ms=3, lw=0.7, color=colour)
    upper.set(xlabel="time (s)", ylabel="offset less its mean (ns)", yscale="symlog")
    upper.set_yscale("symlog", linthresh=0.02)
    upper.legend(frameon=False, fontsize=8, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, 1.16))
    lower.set(xlabel="averaging time (s)", ylabel="TDEV (ns)", xscale="log", yscale="log")
    return figure


def _colour(k: int, n: int) -> Any:
    import matplotlib as mpl

    return mpl.colormaps["tab10"](k) if n <= 10 else mpl.colormaps["viridis"](k / (n - 1) * 0.9)
