"""A run as one self-contained page with pictures, from its documents and tag files."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np

from qlab.errors import BadRequestError, QlabError, StorageError

if TYPE_CHECKING:
    from qlab.run.journal import RunRecord

__all__ = ["render_report"]

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}.big{font-size:1.6rem}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #dde3ea}
td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.dim{color:#667}
"""


def render_report(record: RunRecord, folder: Path) -> Path:
    """Write `report.html` and its pictures as PNG into a folder; returns the page's path."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        msg = "reports need matplotlib: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    mpl.use("Agg")
    results = record.events.get("analysis", [{}])[-1]
    files: dict[str, bytes] = {}
    pictures: list[tuple[str, str]] = []
    for title, name, figure in _figures(record, results):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
        files[f"{name}.png"] = buffer.getvalue()
        pictures.append((title, base64.b64encode(buffer.getvalue()).decode()))
    files["report.html"] = _page(record, results, pictures).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        msg = f"cannot write the report to {folder}: {error.strerror or error}; name another folder with --output"
        raise StorageError(msg) from error
    return folder / "report.html"


def _figures(record: RunRecord, results: dict[str, Any]) -> list[tuple[str, str, Any]]:
    figures = []
    histogram = _histogram(record, results)
    if histogram is not None:
        figures.append(("Coincidences", "coincidences", histogram))
    if "chsh_e" in results:
        figures.append(("Correlations", "correlations", _correlations(results)))
    if "visibility_fringes" in results:
        figures.append(("Fringes", "fringes", _fringes(results)))
    if "tomography_rho_real" in results:
        figures.append(("The density matrix of the largest likelihood", "state", _state(results)))
    if "alignment_t" in results:
        figures.append(("Correlation matrix before alignment", "matrix", _matrix(results)))
    return figures


def _axes(width: float = 7.0, height: float = 3.4) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _histogram(record: RunRecord, results: dict[str, Any]) -> Any:
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
    figure, axes = _axes()
    axes.stairs(total, np.append(edges, 5_000) / 1000.0, fill=True, color="#3b6ea5")
    window = results.get("chsh_window_ps", 2000) / 2000.0
    axes.axvspan(-window, window, color="#e8a33d", alpha=0.25, label=f"window {2 * window:g} ns")
    axes.set(xlabel="Bob's click after Alice's, delays removed (ns)", ylabel="pairs in 50 ps", yscale="log")
    axes.set_ylim(bottom=0.8)
    axes.legend(frameon=False)
    return figure


def _correlations(results: dict[str, Any]) -> Any:
    figure, axes = _axes()
    e, sigma = np.asarray(results["chsh_e"]), np.asarray(results["chsh_e_sigma"])
    ideal = np.array([1, -1, 1, 1]) / np.sqrt(2.0)
    axes.bar(range(4), e, color="#3b6ea5", width=0.6)
    axes.errorbar(range(4), e, yerr=sigma, fmt="none", ecolor="#1c2430", capsize=5)
    axes.hlines(ideal, np.arange(4) - 0.4, np.arange(4) + 0.4, color="#e8a33d", lw=2, label="perfect state")
    axes.axhline(0.0, color="#1c2430", lw=0.8)
    axes.set_xticks(range(4), ["E(0°, 22.5°)", "E(0°, 67.5°)", "E(45°, 22.5°)", "E(45°, 67.5°)"])
    axes.set(ylabel="correlation", ylim=(-1, 1), title=f"S = {results['chsh_s']:.4f} ± {results['chsh_s_sigma']:.4f}")
    axes.legend(frameon=False, loc="upper right")
    return figure


def _fringes(results: dict[str, Any]) -> Any:
    figure, axes = _axes()
    angles = np.asarray(results["visibility_angles_deg"])
    for fringe, basis, colour in zip(
        np.asarray(results["visibility_fringes"]), ("hv", "da"), ("#3b6ea5", "#e8a33d"), strict=True
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


def _matrix(results: dict[str, Any]) -> Any:
    figure, axes = _axes(4.4, 3.6)
    t = np.asarray(results["alignment_t"])
    picture = axes.imshow(t, cmap="RdBu", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(t):
        axes.text(j, i, f"{value:+.3f}", ha="center", va="center", color="white" if abs(value) > 0.6 else "#1c2430")
    axes.set_xticks(range(3), ["X", "Y", "Z"])
    axes.set_yticks(range(3), ["X", "Y", "Z"])
    axes.set(xlabel="Bob", ylabel="Alice")
    figure.colorbar(picture, ax=axes, label="correlation")
    return figure


def _state(results: dict[str, Any]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    names = ["HH", "HV", "VH", "VV"]
    for axes, part in zip(figure.subplots(1, 2), ("real", "imag"), strict=True):
        rho = np.asarray(results[f"tomography_rho_{part}"])
        picture = axes.imshow(rho, cmap="RdBu", vmin=-0.5, vmax=0.5)
        for (i, j), value in np.ndenumerate(rho):
            dark = "white" if abs(value) > 0.3 else "#1c2430"
            axes.text(j, i, f"{value:+.3f}", ha="center", va="center", color=dark, fontsize=9)
        axes.set_xticks(range(4), names)
        axes.set_yticks(range(4), names)
        axes.set_title("real part" if part == "real" else "imaginary part")
    figure.colorbar(picture, ax=figure.axes)
    return figure


def _page(record: RunRecord, results: dict[str, Any], pictures: list[tuple[str, str]]) -> str:
    start, stop = record.start, record.stop
    parts = [
        f"<h1>{html.escape(str(start.get('plan_name', 'run')))}</h1>",
        f"<p class=dim>run {record.uid}, scan {start.get('scan_id')}, lab {html.escape(str(start.get('lab')))}, "
        f"{html.escape(str(stop.get('exit_status', 'not ended')))}</p>",
    ]
    if "chsh_s" in results:
        s, sigma = results["chsh_s"], results["chsh_s_sigma"]
        parts.append(
            f"<p class=big>S = {s:.4f} ± {sigma:.4f}</p><p>{(s - 2.0) / sigma:.0f} standard deviations above the classical "
            "bound of 2; the quantum bound is 2√2 = 2.8284.</p>"
        )
        theory = _theory(record, results)
        if theory is not None:
            z = (s - theory) / sigma
            parts.append(f"<p>Theory from the lab file, with accidentals: {theory:.4f} (measured {z:+.1f} σ away).</p>")
    parts += [f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}">' for title, data in pictures]
    parts.append("<h2>Results</h2>" + _table(_flat(results)))
    if "chsh_counts" in results:
        parts.append("<h2>Counts</h2>" + _counts(results))
    conditions: dict[str, Any] = {
        key: start[key] for key in ("lab_file", "lab_sha256", "seed", "clock_mode", "data_dir") if key in start
    }
    conditions |= {f"{name} version": version for name, version in start.get("versions", {}).items()}
    if record.resources:
        conditions["tag file"] = urlparse(record.resources[0]["uri"]).path
    parts.append("<h2>Conditions</h2>" + _table({key: str(value) for key, value in conditions.items()}))
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>qlab report</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>'


def _theory(record: RunRecord, results: dict[str, Any]) -> float | None:
    from qlab.lab.load import load_lab
    from qlab.lab.predict import predict_chsh

    try:
        loaded = load_lab(str(record.start.get("lab")))
    except QlabError:
        return None
    if loaded.sha256 != record.start.get("lab_sha256"):
        return None  # another file by now: its prediction would not be of this run
    counts = np.asarray(results["chsh_counts"])
    rate = float(counts.sum()) / 4.0 / results["chsh_live_s_per_setting"]
    singles = np.asarray(results["chsh_singles_hz"]).mean(axis=0)
    return predict_chsh(loaded.lab, singles, rate, int(results["chsh_window_ps"])).s


def _flat(results: dict[str, Any]) -> dict[str, str]:
    shown = {}
    for key, value in results.items():
        if key.endswith("_sigma"):
            continue
        if isinstance(value, float):
            sigma = results.get(f"{key}_sigma")
            shown[key] = f"{value:.4f} ± {sigma:.4f}" if isinstance(sigma, float) else f"{value:.4g}"
        elif isinstance(value, (int, str)):
            shown[key] = str(value)
    return shown


def _counts(results: dict[str, Any]) -> str:
    settings = ["0°, 22.5°", "0°, 67.5°", "45°, 22.5°", "45°, 67.5°"]
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f"<td class=n>{n:,}</td>" for n in np.asarray(counts).ravel().tolist())
        + "</tr>"
        for name, counts in zip(settings, results["chsh_counts"], strict=True)
    )
    head = "<tr><th>Alice, Bob</th><th>T T</th><th>T R</th><th>R T</th><th>R R</th></tr>"
    return f"<table>{head}{rows}</table>"


def _table(rows: dict[str, str]) -> str:
    cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"
