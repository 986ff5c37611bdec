"""The embedded catalogue keeps a run of the Bell lab: events, arrays, tags in HDF5, analysis; and gives them back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import bluesky.plan_stubs as bps
import numpy as np
import pytest

from plans.recording import record_tags
from qlab.errors import BadRequestError, LinkClosedError
from qlab.lab.build import open_lab
from qlab.run.catalogue import EMBEDDED, EmbeddedCatalogue, choose_catalogue, open_catalogue
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.recovery import mark_killed_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bluesky.utils import Msg

NEEDED = ("tiled.server", "bluesky_tiled_plugins", "adbc_driver_sqlite", "obstore", "hdf5plugin")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, EmbeddedCatalogue]]:
    for module in NEEDED:
        pytest.importorskip(module, exc_type=ImportError)
    import dask
    from zarr.core.sync import cleanup_resources

    folder = tmp_path_factory.mktemp("kept")
    options = RunOptions(data_dir=folder, catalogue_uri=EMBEDDED)
    try:
        with (
            dask.config.set(scheduler="synchronous"),  # else its pool of threads outlives the test
            open_lab("bell", data_dir=folder) as lab,
            Session(lab, options) as session,
        ):
            for _ in range(2):
                session.run(record_tags([lab.devices["tagger"]], duration_s=0.2))
            yield session, session.catalogue
    finally:
        cleanup_resources()


def align_nothing() -> Iterator[Msg]:
    yield from bps.open_run({"plan_name": "align_nothing"})
    yield from bps.close_run()


def test_tags_come_back_as_they_were_written(kept: tuple[Session, EmbeddedCatalogue]) -> None:
    session, catalogue = kept
    block = session.lab.devices["tagger"].last_block

    tags = catalogue.get(-1)["tagger_tags"]

    valid = int(np.asarray(tags["tagger_tags_valid"][:]).sum())
    # the writer may add filler entries on channel 255 where a gap is too long for 32 bits
    channels = np.asarray(tags["tagger_tags_channel"][:]).ravel()[:valid]
    assert np.count_nonzero(channels != 255) == block.n > 0


def test_arrays_and_scalars_of_events_come_back(kept: tuple[Session, EmbeddedCatalogue]) -> None:
    session, catalogue = kept
    event = read_run(find_run(session.data_dir / "runs", "-1")).events["primary"][0]

    primary = catalogue.get(-1)["primary"].read()

    assert primary["tagger_counts"].to_numpy()[0].tolist() == event["tagger_counts"]
    assert float(primary["tagger_live_s"].to_numpy()[0]) == event["tagger_live_s"] == pytest.approx(0.2)


def test_a_run_is_found_by_uid_beginning_scan_id_and_from_the_end(kept: tuple[Session, EmbeddedCatalogue]) -> None:
    _, catalogue = kept
    first, last = catalogue.runs()

    found = [catalogue.get(name).metadata["start"]["uid"] for name in (first, first[:8], 1, -2, 2, "-1")]

    assert found == [first, first, first, first, last, last]
    with pytest.raises(BadRequestError, match="names no run of the 2"):
        catalogue.get("-3")


def test_everything_is_in_one_folder_and_nothing_was_refused(kept: tuple[Session, EmbeddedCatalogue]) -> None:
    session, catalogue = kept

    assert {path.name for path in catalogue.folder.iterdir()} >= {"catalog.db", "data", "tables.db"}
    assert not list(session.data_dir.glob("unsent/*"))


def test_ctrl_c_and_a_closing_terminal_do_not_reach_the_server(kept: tuple[Session, EmbeddedCatalogue]) -> None:
    _, catalogue = kept
    assert os.getsid(catalogue._server.pid) != os.getsid(0)


def test_a_served_catalogue_takes_the_documents_too(kept: tuple[Session, EmbeddedCatalogue], tmp_path: Path) -> None:
    _, served = kept  # our own server is a Tiled server like any other
    before = len(served.runs())
    with (
        open_lab("bell", data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path, catalogue_uri=served.uri)) as session,
    ):
        session.run(align_nothing())
    assert len(served.runs()) == before + 1
    assert served.get(-1).metadata["stop"]["exit_status"] == "success"


def test_a_run_whose_process_died_is_marked_and_has_its_events_and_tags(
    kept: tuple[Session, EmbeddedCatalogue], tmp_path: Path
) -> None:
    """The catalogue got the documents of a run up to a kill, as it keeps them then: without events and without an end."""
    session, served = kept
    record = read_run(find_run(session.data_dir / "runs", "-1"))
    uid, place = "0dead" + record.uid[5:], tmp_path / "runs"
    place.mkdir()
    documents = json.loads(json.dumps(record.documents[:-1]).replace(record.uid, uid))
    (place / f"{uid}.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    (tags,) = {Path(urlparse(doc["uri"]).path) for doc in record.resources}
    for name, doc in documents:
        served.writer(name, doc)
    assert served.get(uid).metadata.get("stop") is None

    (killed,) = mark_killed_runs(place, served)

    run = served.get(uid)
    assert killed.uid == uid
    assert (run.metadata["stop"]["exit_status"], run.metadata["stop"]["killed"]) == ("fail", True)
    assert run["primary"].read()["tagger_counts"].to_numpy()[0].tolist() == record.events["primary"][0]["tagger_counts"]
    assert np.asarray(run["tagger_tags"]["tagger_tags_valid"][:]).sum() > 0
    assert tags.exists()
    assert mark_killed_runs(place, served) == []
    served.client.delete_contents(uid, recursive=True, external_only=False)  # the next tests count runs


@pytest.mark.parametrize(
    ("said", "lab_says", "chosen"),
    [
        ("none", "http://somewhere", None),
        ("default", "http://somewhere", "http://somewhere"),
        ("default", "none", None),
    ],
)
def test_the_command_line_goes_before_the_lab_file(said: str, lab_says: str, chosen: str | None) -> None:
    assert choose_catalogue(said, lab_says) == chosen


def test_without_tiled_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlab.run.catalogue.find_spec", lambda name: None)
    with pytest.raises(BadRequestError, match=r"pip install 'qlab\[lab\]'"):
        open_catalogue(EMBEDDED, tmp_path)


def test_an_address_where_nobody_serves_is_named_without_its_key(tmp_path: Path) -> None:
    pytest.importorskip("bluesky_tiled_plugins", exc_type=ImportError)
    with pytest.raises(LinkClosedError, match=r"http://127\.0\.0\.1:9 cannot be reached") as caught:
        open_catalogue("http://127.0.0.1:9?api_key=hush", tmp_path)
    assert "hush" not in str(caught.value)


def test_a_run_that_the_server_does_not_take_is_told_at_the_end_and_the_next_is_kept(tmp_path: Path) -> None:
    for module in NEEDED:
        pytest.importorskip(module, exc_type=ImportError)
    told: list[str] = []
    with EmbeddedCatalogue(tmp_path, told.append) as catalogue:
        start = {"time": 1.0, "scan_id": 1}
        catalogue.writer("start", {**start, "uid": "bad", "time": "never"})
        catalogue.writer("stop", {"uid": "bad2", "run_start": "bad", "time": 2.0, "exit_status": "success"})
        catalogue.writer("start", {**start, "uid": "good"})
        catalogue.writer("stop", {"uid": "good2", "run_start": "good", "time": 2.0, "exit_status": "success"})
    assert len(told) == 1
    assert told[0].startswith("catalogue: run bad was not kept (")
    assert str(tmp_path / "runs") in told[0]


def test_a_server_that_cannot_start_is_told_at_the_end(tmp_path: Path) -> None:
    for module in NEEDED:
        pytest.importorskip(module, exc_type=ImportError)
    (tmp_path / "catalogue").touch()  # where its folder should be
    told: list[str] = []
    with EmbeddedCatalogue(tmp_path, told.append) as catalogue:
        catalogue.writer("start", {"uid": "one", "time": 1.0})
    assert len(told) == 1
    assert "the server failed, see" in told[0]
