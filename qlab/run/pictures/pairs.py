"""Pictures of measurements with two analysers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np

from qlab.errors import QlabError
from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_axes

if TYPE_CHECKING:
    from qlab.run.journal import RunRecord

__all__ = ["draw_correlations", "draw_fringes", "draw_histogram", "draw_matrix", "draw_process", "draw_state"]


def draw_histogram(record: RunRecord, results: dict[str, Any]) -> Any:
    """Draw the coincidences of both parties over their lag; None without delays, or tags of these channels."""
    from qlab.tags.coincidence import histogram
    from qlab.tags.files.hdf5_reader import read_tags

    path = next((Path(unquote(urlparse(doc["uri"]).path)) for doc in record.resources), None)
    delays = next((v for k, v in results.items() if k.endswith("delays_ps")), None)
    if path is None or delays is None or not path.exists():
        return None
    try:
        block = read_tags(path, 0, 8)
    except QlabError:
        return None
    channels = next((list(v) for k, v in results.items() if k.endswith("_channels")), list(range(len(delays))))
    named = {int(channel): int(delay) for channel, delay in zip(channels, delays, strict=True)}
    total = None
    half = len(channels) // 2  # Alice's come first
    for a in channels[:half]:
        for b in channels[half:]:
            edges, counts = histogram(block, a, b, 5_000, 50, named)
            total = counts if total is None else total + counts
    if total is None or not total.any():  # the channels are on another tagger
        return None
    figure, axes = new_axes()
    axes.stairs(total, np.append(edges, 5_000) / 1000.0, fill=True, color=BLUE)
    window = results.get("chsh_window_ps", 2000) / 2000.0
    axes.axvspan(-window, window, color=ORANGE, alpha=0.25, label=f"window {2 * window:g} ns")
    # Less than the rates' product: the partner of a click keeps its detector dead for other pairs' photons.
    wings = total[np.abs(edges + 25) > 1500.0 * window]
    if wings.size:
        axes.axhline(wings.mean(), color=DARK, lw=1, ls="--", label=f"accidentals, {wings.mean():.1f} in 50 ps")
    axes.set(xlabel="Bob's click after Alice's, delays removed (ns)", ylabel="pairs in 50 ps", yscale="log")
    axes.set_ylim(bottom=0.8)
    axes.legend(frameon=False)
    return figure


def draw_correlations(results: dict[str, Any]) -> Any:
    """Draw the correlations of a CHSH test, what they differ from theory by, and S between its bounds.

    Theory is what the report adds to the results where it knows the lab file, `theory_e` and `theory_s`; or a perfect state.
    """
    from matplotlib.figure import Figure

    e, sigma = np.asarray(results["chsh_e"]), np.asarray(results["chsh_e_sigma"])
    known = "theory_e" in results
    theory = np.asarray(results["theory_e"]) if known else np.array([1, -1, 1, 1]) / np.sqrt(2.0)
    name = "theory of the lab file" if known else "perfect state"
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(3.2, 1), height_ratios=(1.7, 1))
    above, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    beside = figure.add_subplot(grid[:, 1])
    above.bar(range(4), e, color=BLUE, width=0.6, label="measured")
    above.errorbar(range(4), e, yerr=sigma, fmt="none", ecolor=DARK, capsize=5)
    above.hlines(theory, np.arange(4) - 0.4, np.arange(4) + 0.4, color=ORANGE, lw=2, label=name)
    above.axhline(0.0, color=DARK, lw=0.8)
    above.set_xticks(range(4), [])
    above.set(ylabel="E", ylim=(-1, 1))
    above.legend(frameon=False, loc="lower right")
    below.errorbar(range(4), 1e3 * (e - theory), yerr=1e3 * sigma, fmt="o", color=BLUE, capsize=5)
    below.axhline(0.0, color=ORANGE, lw=2)
    below.set_xticks(range(4), ["0°, 22.5°", "0°, 67.5°", "45°, 22.5°", "45°, 67.5°"])
    below.set(ylabel="(E - theory) / $10^{-3}$", xlabel="Alice's and Bob's angle", xlim=above.get_xlim())
    s, s_sigma = results["chsh_s"], results["chsh_s_sigma"]
    beside.errorbar([0], [s], yerr=[s_sigma], fmt="o", color=BLUE, capsize=5, label="measured")
    if known:
        beside.axhline(results["theory_s"], color=ORANGE, lw=2, label="theory")
    beside.axhline(2.0, color=DARK, ls="--", lw=1)
    beside.axhline(2.0 * np.sqrt(2.0), color=DARK, ls=":", lw=1)
    beside.annotate(
        "local realism", (0.97, 2.0), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
    )
    beside.annotate(
        "$2\\sqrt{2}$", (0.97, 8**0.5), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
    )
    beside.set(xlim=(-1, 1), ylim=(min(1.9, s - 3 * s_sigma), 2.95))
    beside.set_title(f"S = {s:.4f} ± {s_sigma:.4f}", fontsize=11)
    beside.set_xticks([])
    beside.legend(frameon=False, loc="center right")
    for axes in (above, below, beside):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_fringes(results: dict[str, Any]) -> Any:
    """Draw both fringes with their fits."""
    figure, axes = new_axes()
    angles = np.asarray(results["visibility_angles_deg"])
    for fringe, basis, colour in zip(
        np.asarray(results["visibility_fringes"]), ("hv", "da"), (BLUE, ORANGE), strict=True
    ):
        label = f"Alice in {basis.upper()}: V = {results[f'visibility_visibility_{basis}']:.4f}"
        axes.errorbar(angles, fringe, yerr=np.sqrt(fringe), fmt="o", color=colour, label=label)
        phase = np.exp(2j * np.radians(angles))
        amplitude = 2.0 * (fringe * phase).mean()
        fine = np.linspace(0.0, 180.0 + angles[0], 300)
        axes.plot(fine, fringe.mean() + (amplitude * np.exp(-2j * np.radians(fine))).real, color=colour, lw=1)
    axes.set(xlabel="Bob's angle (degrees)", ylabel="coincidences")
    axes.legend(frameon=False)
    return figure


def draw_matrix(results: dict[str, Any]) -> Any:
    """Draw the correlations of all axes."""
    figure, axes = new_axes(4.4, 3.6)
    t = np.asarray(results["alignment_t"])
    picture = axes.imshow(t, cmap="RdBu", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(t):
        axes.text(j, i, f"{value:+.3f}", ha="center", va="center", color="white" if abs(value) > 0.6 else DARK)
    axes.set_xticks(range(3), ["X", "Y", "Z"])
    axes.set_yticks(range(3), ["X", "Y", "Z"])
    axes.set(xlabel="Bob", ylabel="Alice")
    figure.colorbar(picture, ax=axes, label="correlation")
    return figure


def draw_process(results: dict[str, Any]) -> Any:
    """Draw the Mueller matrix of a link."""
    figure, axes = new_axes(4.8, 4.0)
    mueller = np.asarray(results["process_mueller"])
    picture = axes.imshow(mueller, cmap="RdBu", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(mueller):
        axes.text(j, i, f"{value:+.3f}", ha="center", va="center", color="white" if abs(value) > 0.6 else DARK)
    names = ["S0", "H/V", "D/A", "R/L"]
    axes.set_xticks(range(4), names)
    axes.set_yticks(range(4), names)
    fidelity, sigma = results["process_fidelity"], results["process_fidelity_sigma"]
    axes.set(xlabel="in", ylabel="out", title=f"fidelity with a unitary: {fidelity:.4f} ± {sigma:.4f}")
    figure.colorbar(picture, ax=axes)
    return figure


def draw_state(results: dict[str, Any]) -> Any:
    """Draw a density matrix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    names = ["HH", "HV", "VH", "VV"]
    for axes, part in zip(figure.subplots(1, 2), ("real", "imag"), strict=True):
        rho = np.asarray(results[f"tomography_rho_{part}"])
        picture = axes.imshow(rho, cmap="RdBu", vmin=-0.5, vmax=0.5)
        for (i, j), value in np.ndenumerate(rho):
            dark = "white" if abs(value) > 0.3 else DARK
            axes.text(j, i, f"{value:+.3f}", ha="center", va="center", color=dark, fontsize=9)
        axes.set_xticks(range(4), names)
        axes.set_yticks(range(4), names)
        axes.set_title("real part" if part == "real" else "imaginary part")
    figure.colorbar(picture, ax=figure.axes)
    return figure
