"""A run as one self-contained page with pictures, from its documents and tag files."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np

from qlab.errors import BadRequestError, QlabError
from qlab.run.pictures import draw_pictures
from qlab.run.recovery import incomplete
from qlab.tags.files.hdf5_reader import TagReader

if TYPE_CHECKING:
    from qlab.run.journal import RunRecord

__all__ = ["render_report"]

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}.big{font-size:1.6rem}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #dde3ea}
td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.dim{color:#667}.bad{font-size:1.2rem;color:#a32020}
"""


def render_report(record: RunRecord, folder: Path) -> Path:
    """Write `report.html` and its pictures as PNG into a folder; returns the page's path."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        msg = "reports need matplotlib: pip install 'qlab[lab]'"
        raise BadRequestError(msg) from error
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    results = record.events.get("analysis", [{}])[-1]
    pictures: list[tuple[str, str]] = []
    for title, name, figure in draw_pictures(record, results):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130)
        (folder / f"{name}.png").write_bytes(buffer.getvalue())
        pictures.append((title, base64.b64encode(buffer.getvalue()).decode()))
    page = folder / "report.html"
    page.write_text(_page(record, results, pictures), encoding="utf-8")
    return page


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
