"""The time controller: one record window, four files, one block of tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from event_model import DocumentNames, schema_validators

from devices.taggers.datalink import DataLink
from devices.taggers.idquantique_id900 import ID900
from qlab import roles
from qlab.errors import BadReplyError, BadRequestError, InstrumentError, LimitError, StorageError
from qlab.lab.build import open_lab
from qlab.tags.files.hdf5_reader import read_tags
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bluesky import RunEngine

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def _window(spool: Path, n: int, states: list[dict]) -> list[tuple[bytes, bytes]]:
    """Return the service's side of one job."""
    path = spool / f"input{n}.bin"
    start = f"start-save --address script --channel {n} --filename {path} --format bin"
    return [
        (start.encode(), json.dumps({"id": f"job{n}"}).encode() + b"\n"),
        *((f"status --id job{n}".encode(), json.dumps(state).encode() + b"\n") for state in states[:-1]),
        (f"stop --id job{n}".encode(), json.dumps(states[-1]).encode() + b"\n"),
    ]


@pytest.mark.parametrize(
    "reply", ["ENAB SCPI_ERR_INVALID_CMD", "DUR 5 SCPI_ERR_PARAM_TYPE", "Error: No connection to the core"]
)
def test_an_error_at_the_end_of_a_reply_is_the_instruments(scripted: Callable, clock: SteppedClock, reply: str) -> None:
    link, _ = scripted((b"REC:PLAY", reply.encode() + b"\n"), command_terminator=b"")
    tagger = ID900(name="tagger", link=link, clock=clock)

    with pytest.raises(InstrumentError, match=r"tagger: the controller refused.*REC:PLAY"):
        tagger.tell("REC:PLAY")


def test_replies_with_units_and_echoes_are_read(scripted: Callable, clock: SteppedClock) -> None:
    # Replies as in sheet 10: the DAC's step makes 0.499712 V of 0.5 V, times end in TB
    link, port = scripted(
        (b"INPU2:THRE 0.5V", b"INPUT2:THRESHOLD 0.499712V\n"),
        (b"INPU2:THRE?", b"0.499712V\n"),
        (b"INPU2:ENAB ON", b"INPUT2:ENABLE ON\n"),
        (b"INPU2:ENAB?", b"ON\n"),
        (b"INPU2:DELA?", b"1000TB\n"),
        (b"INPU2:COUN:INTE 500", b"INTE 500\n"),
        (b"INPU2:COUN:INTE?", b"500\n"),
        command_terminator=b"",
    )
    tagger = ID900(name="tagger", link=link, clock=clock)

    tagger.in2.threshold_v.set(0.5).wait(10)
    tagger.in2.enable.set(1).wait(10)
    assert tagger.in2.delay_ps.fetch() == 1000
    tagger.in2.integration_ms.set(500).wait(10)

    assert tagger.in2.threshold_v.get() == 0.499712
    assert tagger.in2.enable.get() == 1
    assert port.script == []
    with pytest.raises(LimitError, match=r"in2: threshold_v = 5"):
        tagger.in2.threshold_v.set(5)


def test_a_service_that_counts_other_than_its_file_is_not_believed(
    scripted: Callable, clock: SteppedClock, tmp_path: Path
) -> None:
    link, _ = scripted()
    path = tmp_path / "input1.bin"
    path.write_bytes(np.array([1, 2, 3], dtype="<u8").tobytes())

    with pytest.raises(BadReplyError, match=r"24 bytes in .*; expected 4 tags"):
        DataLink(link, "tagger").read(path, 4)
    assert DataLink(link, "tagger").read(path, None).tolist() == [1, 2, 3]
    assert DataLink(link, "tagger").read(path, 0).size == 0  # the file is gone: an input without a click


def test_replies_of_the_service_that_make_no_sense_are_bad_replies(
    scripted: Callable, clock: SteppedClock, tmp_path: Path
) -> None:
    link, _ = scripted((b"status --id 1", b"{not json\n"), command_terminator=b"")
    with pytest.raises(BadReplyError, match="not JSON"):
        DataLink(link, "tagger").flush("1")
    link, _ = scripted((b"status --id 1", b'{"error": "no such job"}\n'), command_terminator=b"")
    with pytest.raises(InstrumentError, match="no such job"):
        DataLink(link, "tagger").flush("1")
    with pytest.raises(BadRequestError, match="blanks"):
        DataLink(link, "tagger").start("1.2.3.4", 1, tmp_path / "my file")


def test_one_acquisition_is_one_window_on_all_inputs(table: Callable[..., Lab]) -> None:
    lab = table("tagger")
    tagger = lab.devices["tagger"]
    assert isinstance(tagger, roles.TimeTagger)
    tagger.acquisition_s.set(0.25).wait(5)
    begin_ps = lab.clock.now_ps()

    tagger.trigger().wait(60)

    block = tagger.last_block
    reading = tagger.read()
    assert block.start_ps == begin_ps == reading["tagger_epoch_ps"]["value"]
    assert block.stop_ps - block.start_ps == 250_000_000_000
    assert reading["tagger_live_s"]["value"] == pytest.approx(0.25)
    assert reading["tagger_counts"]["value"].sum() == block.n
    assert np.all((block.t >= block.start_ps) & (block.t < block.stop_ps))
    assert tagger.check_health() == []


def test_the_acquisition_time_has_limits(table: Callable[..., Lab]) -> None:
    tagger = table("tagger", connect=False).devices["tagger"]

    with pytest.raises(LimitError, match=r"tagger: acquisition_s = 0"):
        tagger.acquisition_s.set(0)


def test_without_a_download_service_the_hint_names_the_setting(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted()
    tagger = ID900(name="tagger", link=link, clock=clock)

    with pytest.raises(InstrumentError, match=r"no tag download service.*settings\.datalink"):
        tagger.trigger().wait(10)


def test_a_full_disk_stops_the_hardware_and_leaves_what_was_taken_readable(
    table: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = table("tagger")
    tagger = lab.devices["tagger"]
    tagger.acquisition_s.set(0.05).wait(5)
    tagger.stage()
    tagger.trigger().wait(60)
    rows = tagger.recorder.get_index()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qlab.tags.files.reserve.Reserve.need", full)
    with pytest.raises(StorageError, match="No space left"):
        tagger.trigger().wait(60)
    monkeypatch.undo()
    tagger.unstage().wait(10)

    assert lab.twins["tagger"].peek()["record"] == "IDLE"
    assert rows == 1
    assert tagger.recorder.path is not None
    read_tags(tagger.recorder.path, 0, rows)


def test_a_service_that_cannot_write_stops_the_window_too(scripted: Callable, clock: SteppedClock, spool: Path) -> None:
    link, port = scripted(
        (b"REC:ENAB ON;NUM 1", b"ON;1\n"),
        (b"REC:DUR 1000000000TB", b"1000000000TB\n"),
        *((b"RAW%d:SEND ON" % n, b"ON\n") for n in (1, 2, 3, 4)),
        (b"REC:PLAY", b"PLAY\n"),
        (b"REC:STAG?", b"IDLE\n"),
        (b"RAW1:SEND?", b"ON\n"),
        *((b"RAW%d:SEND OFF" % n, b"OFF\n") for n in (4, 3, 2, 1)),
        command_terminator=b"",
    )
    jobs = [
        _window(spool, n, [{"timestamps_count": 0}] * 2 + [{"error": {"description": "disk full"}}])
        for n in (1, 2, 3, 4)
    ]
    lines = [job[0] for job in jobs] + [line for job in jobs for line in job[1:3]] + [job[3] for job in reversed(jobs)]
    service, jobs_port = scripted(*lines, command_terminator=b"")
    tagger = ID900(name="tagger", link=link, clock=clock, datalink=service, settings={"spool": str(spool)})
    tagger.acquisition_s.set(0.001).wait(5)

    with pytest.raises(StorageError, match=r"tagger: the download service failed: disk full.*spool"):
        tagger.trigger().wait(10)
    assert port.script == []
    assert jobs_port.script == []  # all four jobs were ended


@pytest.mark.parametrize("kind", ["silent", "garble", "truncate", "late", "error", "drop"])
@pytest.mark.parametrize("match", ["REC:PLAY", "STAG"])
def test_a_wire_fault_in_an_acquisition_is_an_error_or_nothing_and_the_next_one_is_whole(
    table: Callable[..., Lab], kind: str, match: str
) -> None:
    lab = table("tagger")
    tagger = lab.devices["tagger"]
    tagger.acquisition_s.set(0.01).wait(5)
    delay_s = 4.0 if kind == "late" else None
    lab.mounts["tagger"].faults.arm(WireFault(kind, count=1, match=match, delay_s=delay_s))

    tagger.trigger().exception(60)
    lab.clock.sleep(10.0)
    tagger.trigger().wait(60)

    assert tagger.live_s.get() == pytest.approx(0.01)
    assert lab.twins["tagger"].peek()["record"] == "IDLE"


def test_tags_are_announced_in_rows_and_every_document_is_valid(table: Callable[..., Lab], engine: RunEngine) -> None:
    lab = table("tagger")
    tagger = lab.devices["tagger"]
    tagger.recorder.folder = lab.data_dir / "my tags"  # a blank must survive the URI
    documents: list[tuple[str, dict]] = []
    engine.subscribe(lambda name, doc: documents.append((name, doc)))

    @bpp.stage_decorator([tagger])
    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(tagger.recorder, name="tags", collect=True)
        yield from bps.abs_set(tagger.acquisition_s, 0.05, wait=True)
        for _ in range(3):
            yield from bps.trigger_and_read([tagger])
            yield from bps.collect(tagger.recorder, name="tags")

    engine(plan())

    for name, doc in documents:
        if name not in ("bulk_events", "bulk_datum"):
            schema_validators[DocumentNames[name]].validate(doc)
    names = [name for name, _ in documents]
    assert names.count("stream_resource") == 4
    assert names.count("stream_datum") == 12  # four datasets, three rows
    resource = next(doc for name, doc in documents if name == "stream_resource")
    assert resource["uri"].startswith("file://localhost/")
    assert "my%20tags" in resource["uri"]
    assert resource["parameters"]["join_method"] == "stack"
    indices = [(d["indices"]["start"], d["indices"]["stop"]) for n, d in documents if n == "stream_datum"]
    assert indices == [(0, 1)] * 4 + [(1, 2)] * 4 + [(2, 3)] * 4
    events = [doc["data"] for name, doc in documents if name == "event"]
    assert [(e["tagger_row_start"], e["tagger_row_stop"]) for e in events] == [(0, 1), (1, 2), (2, 3)]
    descriptor = next(d for n, d in documents if n == "descriptor" and d["name"] == "primary")
    assert descriptor["configuration"]["tagger"]["data"]["tagger_acquisition_s"] == 0.05
    assert descriptor["data_keys"]["tagger_live_s"]["units"] == "s"
    assert not tagger.recorder.is_open  # unstaging closed it


def test_tags_come_where_the_controller_sends_only_what_it_was_told_to(tmp_path: Path) -> None:
    with open_lab("bell", overrides=["instruments.tagger.twin={needs_send: true}"], data_dir=tmp_path) as lab:
        tagger = lab.devices["tagger"]
        tagger.acquisition_s.set(0.5).wait(5)
        tagger.trigger().wait(60)
        # four inputs with 500 dark clicks a second each, 5 sigma
        assert tagger.last_block.n == pytest.approx(1000, abs=5 * 1000**0.5)


@pytest.mark.parametrize(("code", "words"), [(1, "calibrat"), (1001, "1001"), (1002, "1002"), (1003, "1003")])
def test_an_error_of_high_resolution_is_a_matter_of_health(table: Callable[..., Lab], code: int, words: str) -> None:
    lab = table("tagger")
    tagger = lab.devices["tagger"]
    assert tagger.check_health() == []
    lab.twins["tagger"].signals.hires_errors["INPU2"] = code
    (complaint,) = tagger.check_health()
    assert complaint.startswith("input 2 ")
    assert words in complaint
