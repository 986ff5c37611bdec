"""A process is killed in the middle of an acquisition: what it had is kept, and everybody says that the run is incomplete."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qlab.cli import main
from qlab.errors import BadRequestError
from qlab.run.journal import Journal, find_run, read_run
from qlab.run.recovery import incomplete, mark_killed_runs
from qlab.tags.files.hdf5_reader import TagReader, iterate_tags, left_open

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = ["run", "record_tags", "duration_s=100000", "block_s=0.05"]


class Shelf:
    """A catalogue that keeps documents in lists, with a run of which only the beginning has come."""

    def __init__(self, begun: str) -> None:
        self.client: Any = {begun: Node({})}
        self.documents: list[tuple[str, dict[str, Any]]] = []

    def replace(self, documents: list[tuple[str, dict[str, Any]]]) -> None:
        self.documents += documents
        self.client[documents[0][1]["uid"]] = Node({"stop": documents[-1][1]})


class Node:
    def __init__(self, metadata: dict[str, Any]) -> None:
        self.metadata = metadata


def test_a_killed_run_keeps_its_blocks_and_is_marked_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`qlab run` in a process of its own, killed behind its third event; for the catalogue see test_catalogue.py."""
    command = [sys.executable, "-m", "qlab.cli", *ENDLESS, "--data-dir", str(tmp_path), "--catalogue", "none"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = 0
        while lines < 6:  # the run's beginning, the table's head, and events
            assert process.stdout.readline()
            lines += 1
        assert mark_killed_runs(tmp_path / "runs") == []  # it lives
        process.send_signal(signal.SIGKILL)
    journal = find_run(tmp_path / "runs", "-1")
    before = read_run(journal)
    assert before.stop == {}
    assert "nobody has marked it yet" in incomplete(before)
    # All that an event has told of is in the file, and at most the block that was being written besides.
    (path,) = (tmp_path / "tags").glob("*.h5")
    events = before.events["primary"]
    with TagReader(path) as reader:
        acquisitions = reader.acquisitions()
    assert len(events) >= 3
    assert len(events) <= len(acquisitions) <= len(events) + 1
    counts = [sum(event["tagger_counts"]) for event in events]
    assert sum(counts) > 1000
    tags = [block.n for block in iterate_tags(path, rows=10**6)]
    assert tags[: len(counts)] == counts
    assert "its writer was killed" in left_open(path)
    assert main(["tags", "info", str(path)]) == 1
    assert f"INCOMPLETE: {path}: its writer was killed" in capsys.readouterr().out
    # The next session marks it; here what a session does first.
    with journal.open("ab") as file:
        file.write(b'["event", {"half a li')  # as a kill leaves it
    shelf = Shelf(before.uid)
    (killed,) = mark_killed_runs(tmp_path / "runs", shelf)  # type: ignore[arg-type]
    assert (killed.uid, killed.plan, killed.events) == (before.uid, "record_tags", len(events))
    assert f"was killed after {len(events)} events; it is marked as failed" in killed.render()
    after = read_run(journal)
    assert (after.stop["exit_status"], after.stop["killed"], after.stop["num_events"]) == (
        "fail", True, {"primary": len(events)},
    )  # fmt: skip
    assert after.events == before.events
    assert shelf.documents == [*before.documents, ("stop", after.stop)]
    assert mark_killed_runs(tmp_path / "runs", shelf) == []  # type: ignore[arg-type]
    assert len(shelf.documents) == len(after.documents)
    pytest.importorskip("matplotlib")
    assert main(["report", "--data-dir", str(tmp_path)]) == 0
    assert "INCOMPLETE: this run has no end: its process was killed" in capsys.readouterr().out
    page = (tmp_path / "reports" / before.uid[:8] / "report.html").read_text()
    assert "INCOMPLETE: this run has no end: its process was killed" in page
    assert f"<td>events of primary</td><td>{len(events)}</td>" in page


def test_a_journal_is_not_taken_for_dead_while_it_is_written_nor_twice(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal("start", {"uid": "a" * 8, "time": 5.0, "plan_name": "x"})
    assert mark_killed_runs(tmp_path) == []
    journal.close()  # as if the process were gone
    (found,) = mark_killed_runs(tmp_path)
    assert (found.plan, found.events) == ("x", 0)
    assert read_run(tmp_path / "aaaaaaaa.jsonl").stop["time"] == 5.0
    assert mark_killed_runs(tmp_path) == []


@pytest.mark.parametrize("content", ["", "no json\n", '["start"', '{"a": 1}\n', '["descriptor", {"uid": "x"}]\n'])
def test_a_journal_without_a_beginning_is_no_run(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    assert mark_killed_runs(tmp_path) == []
    with pytest.raises(BadRequestError, match="holds no run: its first line is no start document"):
        read_run(path)


def test_a_journal_cut_at_any_byte_gives_the_documents_before(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    documents = [["start", {"uid": "x", "time": 1.0}], ["descriptor", {"uid": "d", "name": "primary"}]]
    lines = [json.dumps(document) + "\n" for document in documents]
    for size in range(len(lines[0]), len("".join(lines)) + 1):
        path.write_text("".join(lines)[:size])
        assert len(read_run(path).documents) == (2 if size == len("".join(lines)) else 1)
