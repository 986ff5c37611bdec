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
from qlab.run.clock_figures import clock_figures, clock_headline
from qlab.run.pictures import draw_pictures
from qlab.run.recovery import incomplete
from qlab.tags.files.hdf5_reader import TagReader

if TYPE_CHECKING:
    from qlab.lab.predict import Prediction
    from qlab.run.journal import RunRecord

__all__ = ["render_report"]

_CHSH_DEG = ((0.0, 22.5), (0.0, 67.5), (45.0, 22.5), (45.0, 67.5))
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}.big{font-size:1.6rem}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #dde3ea}
td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}pre{white-space:pre-wrap;font-size:.8rem}.dim{color:#667}.bad{font-size:1.2rem;color:#a32020}
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
    theory = _theory(record, results) if "chsh_s" in results else None
    if theory is not None:
        results = {**results, "theory_s": theory.s, "theory_e": theory.e}
    files: dict[str, bytes] = {}
    pictures: list[tuple[str, str]] = []
    for title, name, figure in [*draw_pictures(record, results), *clock_figures(results)]:
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


def _page(record: RunRecord, results: dict[str, Any], pictures: list[tuple[str, str]]) -> str:
    start, stop = record.start, record.stop
    parts = [
        f"<h1>{html.escape(str(start.get('plan_name', 'run')))}</h1>",
        f"<p class=dim>run {record.uid}, scan {start.get('scan_id')}, lab {html.escape(str(start.get('lab')))}, "
        f"{html.escape(str(stop.get('exit_status', 'not ended')))}</p>",
    ]
    fault = incomplete(record)
    if fault:
        parts.append(f"<p class=bad>INCOMPLETE: {html.escape(fault)}</p>{_table(_announced(record))}")
    if "chsh_s" in results:
        s, sigma = results["chsh_s"], results["chsh_s_sigma"]
        parts.append(
            f"<p class=big>S = {s:.4f} ± {sigma:.4f}</p><p>{(s - 2.0) / sigma:.0f} standard deviations above the classical "
            "bound of 2; the quantum bound is 2√2 = 2.8284.</p>"
        )
        if "theory_s" in results:
            theory = results["theory_s"]
            z = (s - theory) / sigma
            parts.append(
                f"<p>Theory from the lab file's state and splitters and the measured rates' accidentals: {theory:.4f} "
                f"(measured {z:+.1f} σ away).</p>"
            )
    headline = clock_headline(results)
    if headline is not None:
        parts.append(f"<p class=big>{html.escape(headline)}</p>")
    parts += [f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}">' for title, data in pictures]
    parts.append("<h2>Results</h2>" + _table(_flat(results)))
    by_input = _inputs(results)
    if by_input:
        parts.append("<h2>By input</h2>" + by_input)
    if "chsh_counts" in results:
        parts.append("<h2>Settings</h2>" + _settings(record, results))
    statements = [event["key_statement"] for event in record.events.get("keys", []) if "key_statement" in event]
    if statements:
        parts.append("<h2>What each key rests on</h2>" + "".join(f"<pre>{html.escape(s)}</pre>" for s in statements))
    conditions: dict[str, Any] = {
        key: start[key]
        for key in ("lab_path", "lab_overrides", "lab_sha256", "seed", "clock_mode", "data_dir")
        if start.get(key)
    }
    versions = {name.replace("_", "-"): version for name, version in start.get("versions", {}).items()}
    conditions |= {f"{name} version": version for name, version in versions.items()}
    if record.resources:
        conditions["tag file"] = urlparse(record.resources[0]["uri"]).path
    if start.get("instruments"):
        parts.append("<h2>Instruments</h2>" + _instruments(record))
    parts.append("<h2>Conditions</h2>" + _table({key: str(value) for key, value in conditions.items()}))
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>qlab report</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>'


def _announced(record: RunRecord) -> dict[str, str]:
    """Return how much there is of a run without an end: events of each stream, and rows of its tag files."""
    rows = {f"events of {stream}": str(len(events)) for stream, events in record.events.items()}
    for path in dict.fromkeys(urlparse(doc["uri"]).path for doc in record.resources):
        try:
            with TagReader(unquote(path)) as reader:
                rows[f"rows of {Path(path).name}"] = str(reader.rows)
        except QlabError as error:
            rows[f"rows of {Path(path).name}"] = f"none: {error}"
    return rows


def _theory(record: RunRecord, results: dict[str, Any]) -> Prediction | None:
    from qlab.lab.load import load_lab
    from qlab.lab.predict import predict_chsh

    try:
        loaded = load_lab(str(record.start.get("lab_path")), record.start.get("lab_overrides", ()))
    except QlabError:
        return None
    if loaded.sha256 != record.start.get("lab_sha256"):
        return None  # another file by now: its prediction would not be of this run
    counts = np.asarray(results["chsh_counts"])
    rate = float(counts.sum()) / 4.0 / results["chsh_live_s_per_setting"]
    singles = np.asarray(results["chsh_singles_hz"]).mean(axis=0)
    try:
        return predict_chsh(loaded.lab, singles, rate, int(results["chsh_window_ps"]))
    except QlabError:
        return None  # no pair source of the kind


def _flat(results: dict[str, Any]) -> dict[str, str]:
    shown = {}
    for key, value in results.items():
        if key.endswith("_sigma") or key.startswith("theory_"):
            continue
        if isinstance(value, float):
            sigma = results.get(f"{key}_sigma")
            shown[key] = f"{value:.4f} ± {sigma:.4f}" if isinstance(sigma, float) else f"{value:.4g}"
        elif isinstance(value, (int, str)):
            shown[key] = str(value)
    return shown


def _inputs(results: dict[str, Any]) -> str:
    """Return a table of all results that have one number for each of the inputs of `..._channels`."""
    key = next((k for k in results if k.endswith("_channels")), None)
    if key is None:
        return ""
    channels, prefix = np.asarray(results[key]), key.removesuffix("channels")
    rows = []
    for name, value in results.items():
        array = np.asarray(value)
        if name == key or name.endswith(("_sigma", "_low", "_high")) or array.dtype.kind not in "if":
            continue
        if array.shape != channels.shape:
            continue
        sigma = np.asarray(results.get(f"{name}_sigma", np.full(array.shape, np.nan)), dtype=np.float64)
        cells = "".join(f"<td class=n>{_number(v, s)}</td>" for v, s in zip(array.astype(float), sigma, strict=True))
        rows.append(f"<tr><td>{html.escape(name.removeprefix(prefix))}</td>{cells}</tr>")
    head = "".join(f"<th>input {int(c) + 1}</th>" for c in channels)
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>" if rows else ""


def _number(value: float, sigma: float) -> str:
    """Return a number to as many digits as its uncertainty allows, two of which are shown."""
    if np.isnan(value):
        return "-"
    if not sigma > 0 or not np.isfinite(sigma):
        return f"{value:.6g}"
    places = max(1 - int(np.floor(np.log10(sigma))), 0)
    return f"{value:.{places}f} ± {sigma:.{places}f}"


def _settings(record: RunRecord, results: dict[str, Any]) -> str:
    """Return, for each setting, where the plates stood on average, the correlation beside theory, and the counts."""
    events = record.events.get("primary", [])
    angles = [key for key in (events[0] if events else {}) if key.endswith("_linear_deg")][:2]
    plates = [f"{key.removesuffix('_linear_deg')}_{plate}_deg" for key in angles for plate in ("hwp", "qwp")]
    head = ["Alice, Bob", *(f"{key.removesuffix('_deg')}/°" for key in plates), "E", "theory", "TT", "TR", "RT", "RR"]
    rows = []
    for k, (a, b) in enumerate(_CHSH_DEG):
        here = [event for event in events if all(_near(event[key], x) for key, x in zip(angles, (a, b), strict=False))]
        stood = [f"{np.mean([event[key] for event in here]):.2f}" if here else "" for key in plates]
        e = f"{results['chsh_e'][k]:+.4f} ± {results['chsh_e_sigma'][k]:.4f}"
        theory = f"{results['theory_e'][k]:+.4f}" if "theory_e" in results else ""
        counts = [f"{n:,}" for n in np.asarray(results["chsh_counts"][k]).ravel().tolist()]
        cells = "".join(f"<td class=n>{cell}</td>" for cell in [*stood, e, theory, *counts])
        rows.append(f"<tr><td>{a:g}°, {b:g}°</td>{cells}</tr>")
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    return f"<table><tr>{titles}</tr>{''.join(rows)}</table>"


def _near(angle_deg: float, wanted_deg: float) -> bool:
    return abs((angle_deg - wanted_deg + 90.0) % 180.0 - 90.0) < 5.0


def _instruments(record: RunRecord) -> str:
    """Return who took part and how it was set: at the start, or as the points' configuration has it."""
    measured = record.descriptors.get("primary", {}).get("configuration", {})
    rows = []
    for name, what in record.start["instruments"].items():
        later = measured.get(name, {}).get("data", {})
        said = []
        for key, (first, unit) in what["settings"].items():
            value = later.get(f"{name}_{key}", first)
            said.append(f"{key} {value:g} {unit}" if isinstance(value, float) else f"{key} {value} {unit}")
        settings = ", ".join(text.strip() for text in said)
        cells = (name, what["identity"], what["address"], settings)
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    return f"<table><tr><th>name</th><th>identity</th><th>address</th><th>settings</th></tr>{''.join(rows)}</table>"


def _table(rows: dict[str, str]) -> str:
    cells = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"
