"""Pictures of photons that meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.analysis.two_photon_interference import dip_shape
from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_axes

__all__ = ["draw_dip", "draw_swapping"]


def draw_dip(results: dict[str, Any]) -> Any:
    """Draw four-folds over the delay, points at one delay together, with the fitted dip."""
    figure, axes = new_axes()
    delay, counts = np.asarray(results["hom_points_ps"]), np.asarray(results["hom_fourfolds"], dtype=np.float64)
    places, which, times = np.unique(np.round(delay, 2), return_inverse=True, return_counts=True)
    mean = np.bincount(which, weights=counts) / times
    axes.errorbar(places, mean, yerr=np.sqrt(np.maximum(mean, 1.0) / times), fmt="o", ms=4, color=BLUE, capsize=3)
    for place, number, y in zip(places, times, mean, strict=True):
        if number > 1:
            axes.annotate(f"{number}x", (place, y), xytext=(5, -10), textcoords="offset points", fontsize=8, color=DARK)
    fine = np.linspace(places[0], places[-1], 400)
    shape = dip_shape((fine - results["hom_centre_ps"]) / results["hom_fwhm_ps"], "gauss")  # as scan_hom fits it
    axes.plot(fine, results["hom_level"] * (1.0 - results["hom_visibility"] * shape), color=ORANGE, lw=1.5)
    axes.set(
        xlabel="delay (ps)",
        ylabel=f"four-folds in {results['hom_acquisition_s']:g} s",
        ylim=(0.0, None),
        title=f"visibility {results['hom_visibility']:.3f} ± {results['hom_visibility_sigma']:.3f}",
    )
    return figure


def draw_swapping(results: dict[str, Any]) -> Any:
    """Draw the correlations of what each heralded Bell state leaves."""
    figure, axes = new_axes()
    for k, (name, colour) in enumerate((("psi_minus", BLUE), ("psi_plus", ORANGE))):
        e, sigma = (np.asarray(results[f"swapping_{name}_{key}"]) for key in ("e", "e_sigma"))
        x = np.arange(3) + 0.35 * (k - 0.5)
        fidelity, error = results[f"swapping_{name}_fidelity"], results[f"swapping_{name}_fidelity_sigma"]
        target = results[f"swapping_{name}_target"]
        label = f"herald {name.replace('_', ' ')}: F({target}) = {fidelity:.3f} ± {error:.3f}"
        axes.bar(x, e, 0.35, color=colour, label=label)
        axes.errorbar(x, e, yerr=sigma, fmt="none", ecolor=DARK, capsize=4)
    axes.axhline(0.0, color=DARK, lw=0.8)
    axes.set_xticks(range(3), ["ZZ", "XX", "YY"])
    axes.set(ylabel="correlation", ylim=(-1.0, 1.6))
    axes.legend(frameon=False, loc="upper right")
    return figure
