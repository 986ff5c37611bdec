"""Pictures of what a pair source is worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_axes, new_panels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw_bandwidth", "draw_joint", "draw_pump"]


def draw_pump(results: dict[str, Any]) -> Any:
    """Draw pair rates with their line, and ratios to accidentals with what is expected, over the pump power."""
    figure, (upper, lower) = new_panels(2)
    power, rate, sigma = (
        np.asarray(results[f"pump_point_{n}"]) for n in ("power", "pair_rate_hz", "pair_rate_hz_sigma")
    )
    order = np.argsort(power)
    line = results["pump_brightness"] * (power - results["pump_threshold"])
    upper.plot(power[order], line[order] / 1e3, color=ORANGE, lw=1.5, label="line")
    upper.errorbar(power, rate / 1e3, yerr=sigma / 1e3, fmt="o", ms=4, color=BLUE, capsize=3, label="measured")
    upper.set(ylabel="pairs made (1000 a second)", ylim=(0.0, None))
    chi2, freedom = results["pump_chi2"], results["pump_degrees_of_freedom"]
    upper.set_title(f"{results['pump_brightness']:.4g} pairs a second and unit; chi² = {chi2:.1f} of {freedom}")
    upper.legend(frameon=False)
    car, low, high = (np.asarray(results[f"pump_point_{n}"]) for n in ("car", "car_low", "car_high"))
    lower.plot(
        power[order], np.asarray(results["pump_point_car_expected"])[order], color=ORANGE, lw=1.5, label="expected"
    )
    lower.errorbar(power, car, yerr=[car - low, high - car], fmt="o", ms=4, color=BLUE, capsize=3, label="counted")
    lower.set(xlabel=f"pump ({results['pump_power_is']})", ylabel="(C - A) / A", yscale="log")
    lower.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    lower.axvline(0.0, color=DARK, lw=0.5)
    lower.legend(frameon=False)
    return figure


def draw_bandwidth(results: dict[str, Any]) -> Any:
    """Draw the dispersed coincidence peak, and how wide it is without dispersion."""
    figure, axes = new_axes()
    counts = np.asarray(results["spectrum_response"], dtype=np.float64)
    bin_ps = max(counts.size // 200, 1)
    kept = counts.size // bin_ps * bin_ps
    lag = results["spectrum_response_start_ps"] + np.arange(kept + 1, step=bin_ps) - results["spectrum_lag_ps"]
    binned = counts[:kept].reshape(-1, bin_ps).sum(axis=1)
    axes.stairs(binned, lag, fill=True, color=BLUE, label=f"{results['spectrum_fwhm_ps']:.0f} ps wide")
    narrow = results["spectrum_reference_fwhm_ps"]
    if narrow:
        axes.axvspan(-narrow / 2, narrow / 2, color=ORANGE, alpha=0.3, label=f"{narrow:.0f} ps without dispersion")
    nm, sigma = results["spectrum_bandwidth_signal_nm"], results["spectrum_bandwidth_signal_nm_sigma"]
    axes.set(xlabel="lag from the peak (ps)", ylabel=f"pairs in {bin_ps} ps", title=f"{nm:.3f} ± {sigma:.3f} nm")
    axes.legend(frameon=False)
    return figure


def draw_joint(results: dict[str, Any]) -> Any:
    """Draw how often both photons of a pair arrive when; by wavelength where the dispersions are known."""
    figure, axes = new_axes()
    counts = np.asarray(results["joint_histogram"], dtype=np.float64)
    edges = np.asarray(results["joint_edges_ps"], dtype=np.float64)
    by_arm, unit = [edges, edges], "late by (ps)"
    if "joint_purity" in results:
        by_arm, unit = [edges / d for d in np.asarray(results["joint_dispersions_ps_nm"])], "off its middle by (nm)"
        k, sigma = results["joint_schmidt_number"], results["joint_schmidt_number_sigma"]
        axes.set_title(f"Schmidt number {k:.3f} ± {sigma:.3f}, purity {results['joint_purity']:.3f}")
    mesh = axes.pcolormesh(*by_arm, counts.T.clip(min=0.0), cmap="Blues")
    figure.colorbar(mesh, ax=axes, label="pairs")
    limits = [_filled(counts.sum(axis=1 - arm), each) for arm, each in enumerate(by_arm)]
    axes.set(xlabel=f"signal {unit}", ylabel=f"idler {unit}", xlim=limits[0], ylim=limits[1])
    return figure


def _filled(counts: NDArray[np.float64], edges: NDArray[np.float64]) -> tuple[float, float]:
    """Return from where to where a picture goes: four standard deviations either side of the middle, or all there is."""
    weights, places = counts.clip(min=0.0), (edges[1:] + edges[:-1]) / 2
    core = weights > 0.05 * weights.max()  # without the flat ground, whose far ends weigh most
    if not core.any():
        return float(edges.min()), float(edges.max())
    middle = np.average(places[core], weights=weights[core])
    spread = math.sqrt(np.average((places[core] - middle) ** 2, weights=weights[core]))
    reach = 4.0 * max(spread, float(np.abs(np.diff(edges)).max()))
    return max(middle - reach, float(edges.min())), min(middle + reach, float(edges.max()))
