"""A run of both parties into a catalogue: no key, authentication key or sifted bit is in anything that it leaves behind."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest

from plans.keys import qkd_bbm92
from qlab.lab.build import open_lab
from qlab.qkd.bits import SecretBits
from qlab.run.catalogue import EMBEDDED
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report
from tests.run.secret_hunt import SecretHunt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bluesky.utils import Msg
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]

NEEDED = ("tiled.server", "bluesky_tiled_plugins", "adbc_driver_sqlite", "obstore", "hdf5plugin")
OURS = (".key", ".bin")
"""What ledgers keep secrets in."""

SPELLINGS = {
    "bytes": lambda bits: np.packbits(bits).tobytes(),
    "bytes, lowest bit first": lambda bits: np.packbits(bits, bitorder="little").tobytes(),
    "hex": lambda bits: np.packbits(bits).tobytes().hex().encode(),
    "HEX": lambda bits: np.packbits(bits).tobytes().hex(" ").upper().encode(),
    "base64": lambda bits: base64.b64encode(np.packbits(bits).tobytes()),
    "base64 for addresses": lambda bits: base64.urlsafe_b64encode(np.packbits(bits).tobytes()),
    "digits": lambda bits: "".join(map(str, bits.tolist())).encode(),
    "list": lambda bits: str(bits.tolist()).encode(),
    "list of floats": lambda bits: str(bits.astype(float).tolist()).encode(),
    "lines": lambda bits: "\n".join(map(str, bits.tolist())).encode(),
    "words": lambda bits: str((bits > 0).tolist()).lower().encode(),
    "list of bytes": lambda bits: str(list(np.packbits(bits).tobytes())).encode(),
    "uint8": lambda bits: bits.tobytes(),
    "int16, big": lambda bits: bits.astype(">i2").tobytes(),
    "int32": lambda bits: bits.astype("<i4").tobytes(),
    "int64": lambda bits: bits.astype("<i8").tobytes(),
    "float64": lambda bits: bits.astype("<f8").tobytes(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("skipped", [0, 3])
def test_a_secret_that_was_planted_is_found(spelling: str, skipped: int, tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    secret, other = (rng.integers(0, 2, 2000, dtype=np.uint8) for _ in range(2))
    hunt, written = SecretHunt([secret]), tmp_path / "file"
    for bits, found in ((secret[160 + skipped :][:256], True), (other[:256], False)):
        written.write_bytes(b"something else " + SPELLINGS[spelling](bits) + b" and more")
        assert hunt.finds_in(written) == found


def test_databases_tables_and_arrays_are_looked_into(tmp_path: Path) -> None:
    import sqlite3

    h5py, parquet, arrow = (pytest.importorskip(name) for name in ("h5py", "pyarrow.parquet", "pyarrow"))
    rng = np.random.Generator(np.random.PCG64(6))
    secret, other = (rng.integers(0, 2, 4000, dtype=np.uint8) for _ in range(2))
    hunt = SecretHunt([secret])
    for bits, found in ((secret[9:], True), (1 - secret[9:], True), (other, False)):
        base, table, array = (tmp_path / f"{bits[:9]}.{kind}" for kind in ("db", "parquet", "h5"))
        with sqlite3.connect(base) as one:
            one.execute("create table t (a int, b blob)")
            one.execute("insert into t values (1, ?)", (np.packbits(bits).tobytes(),))
        one.close()
        parquet.write_table(arrow.table({"bit": bits}), table, compression="zstd")
        with h5py.File(array, "w") as file:
            file.create_dataset("deep/bits", data=bits, compression="gzip")
        assert [hunt.finds_in(path) for path in (base, table, array)] == [found] * 3


def from_ledgers(folder: Path) -> list[Bits]:
    """Return what the ledgers keep secret, as bits."""
    files = [path for path in folder.rglob("*") if path.suffix in OURS]
    assert len(files) == 6  # of each party: one key, its pool, its channel's key
    return [np.unpackbits(np.frombuffer(path.read_bytes(), dtype=np.uint8)) for path in files]


def planting(note: str) -> Iterator[Msg]:
    yield from bps.open_run({"plan_name": "planting", "note": note})
    yield from bps.close_run()


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix not in OURS]


@pytest.mark.slow
def test_no_secret_is_in_catalogue_documents_logs_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in NEEDED:
        pytest.importorskip(module, exc_type=ImportError)
    import dask

    secrets: list[Bits] = []
    build = SecretBits.__init__

    def kept(self: SecretBits, bits: Any) -> None:
        build(self, bits)
        secrets.append(self.reveal())  # detections, sifted bits, frames, corrected and final keys, of both parties

    monkeypatch.setattr(SecretBits, "__init__", kept)
    caplog.set_level(logging.DEBUG)
    rules = ("qkd.key_bits=20000", "qkd.test_bits=1500", "qkd.piece_s=0.1", "optics.crystal.brightness_hz_per_mw=20000")
    options = RunOptions(data_dir=tmp_path, catalogue_uri=EMBEDDED)
    with (
        dask.config.set(scheduler="synchronous"),  # else its pool of threads outlives the test
        open_lab("bbm92", overrides=rules, data_dir=tmp_path) as lab,
        Session(lab, options) as session,
    ):
        result = session.run(qkd_bbm92(lab.devices["parties"]))
        assert result["secret_bits"] > 0
        streams = read_run(find_run(tmp_path / "runs", "-1")).events
        run = session.catalogue.get(-1)
        texts = [repr(run.metadata).encode()]
        for stream in streams:
            table = run[stream].read()
            texts += [np.asarray(table[name]).tobytes() + repr(table[name].values.tolist()).encode() for name in table]
        secrets += from_ledgers(tmp_path / "keys")
        hunt = SecretHunt(secrets)
        said = capfd.readouterr()
        texts += [text.encode() for text in (repr(result), str(result["text"]), caplog.text, said.out, said.err)]
        # The control: the same catalogue does keep a secret, where somebody writes one into it.
        session.run(planting(np.packbits(secrets[-1]).tobytes().hex()))
    assert len(hunt) > 100_000
    assert streams
    assert len(texts) > 20
    assert not any(hunt.finds(text) for text in texts)

    runs = [find_run(tmp_path / "runs", name) for name in ("-2", "-1")]
    render_report(read_run(runs[0]), tmp_path / "report")
    clean, dirty = [], []
    for path in left_behind(tmp_path):
        (dirty if hunt.finds_in(path) else clean).append(path)
    kinds = {path.suffix for path in clean} | {path.suffix for path in dirty}
    assert kinds >= {".db", ".html", ".png"}, kinds
    # Nothing but what the control wrote: its own documents, and its entry in the catalogue's database.
    assert [path for path in dirty if path.suffix != ".db" and not path.is_relative_to(runs[1])] == []
    assert any(path.suffix == ".db" for path in dirty)
    assert any(path.is_relative_to(runs[1]) for path in dirty)
