"""Runs whose process was killed: marked as failed in their journal, and brought up to it in the catalogue.

A killed process writes no stop document.  The next session on the same data folder does, for each journal without an end
that no living process writes: the run ended in ``fail``, at the time of its last document.  The catalogue's writer keeps
events until a run ends, so a killed run is short of them there: it is written anew from the journal, which has all.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qlab.alive import has_writer
from qlab.run.journal import RunRecord, sound_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qlab.run.catalogue import Catalogue

__all__ = ["KILLED", "Killed", "incomplete", "mark_killed_runs"]

KILLED = "killed"
"""Key of the stop document of a run that was marked here."""
_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class Killed:
    """A run that was found killed."""

    uid: str
    plan: str
    events: int

    def render(self) -> str:
        """Return a line for people."""
        return (
            f"run {self.uid[:8]} ({self.plan}) was killed after {self.events} events; it is marked as failed, "
            f"`qlab report {self.uid[:8]}` shows what it has"
        )


def mark_killed_runs(folder: Path, catalogue: Catalogue | None = None) -> list[Killed]:
    """Mark all killed runs of a folder of journals; returns those that were not marked before.

    Parameters
    ----------
    folder:
        Of the journals.
    catalogue:
        Where they are marked too; runs that were marked while there was none are brought up to date.
    """
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        last = _last_document(path)
        if last is not None and last[0] == "stop" and KILLED not in last[1]:
            continue
        record = _marked(path) if last is None or last[0] != "stop" else RunRecord(sound_documents(path)[0])
        if record is None:
            continue
        if last is None or last[0] != "stop":
            events = sum(record.stop["num_events"].values())
            found.append(Killed(record.uid, str(record.start.get("plan_name", "run")), events))
        if catalogue is not None:
            _bring_up_to_date(catalogue, record)
    return found


def incomplete(record: RunRecord) -> str:
    """Say why a run has no proper end; empty for one that has."""
    if not record.stop:
        return "this run has no end: it goes on, or its process was killed and nobody has marked it yet"
    if KILLED in record.stop:
        return f"this run has no end: {record.stop['reason']}"
    return ""


def _marked(path: Path) -> RunRecord | None:
    """Append a stop document to a journal; None where its process lives, or where nothing is in it."""
    if has_writer(path) is not False:
        return None
    documents, size = sound_documents(path)
    if not documents or documents[0][0] != "start":
        return None
    record = RunRecord(documents)
    stop = {
        "uid": str(uuid.uuid4()),
        "run_start": record.uid,
        "time": max(_times(documents)),
        "exit_status": "fail",
        "reason": "its process was killed",
        "num_events": {stream: len(events) for stream, events in record.events.items()},
        KILLED: True,
    }
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(size)
        file.write((json.dumps(["stop", stop]) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    return RunRecord([*documents, ("stop", stop)])


def _times(documents: list[tuple[str, dict[str, Any]]]) -> Iterator[float]:
    for _, doc in documents:
        times = doc.get("time", 0.0)
        yield from times if isinstance(times, list) else [times]


def _last_document(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Return the last document of a journal if it is whole; only the end of the file is read, stop documents are short."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        lines = file.read().splitlines(keepends=True)
    if not lines or not lines[-1].endswith(b"\n"):
        return None
    try:
        name, doc = json.loads(lines[-1])
    except (ValueError, TypeError):
        return None
    return (name, doc) if isinstance(doc, dict) else None


def _bring_up_to_date(catalogue: Catalogue, record: RunRecord) -> None:
    if record.uid not in catalogue.client or not catalogue.client[record.uid].metadata.get("stop"):
        catalogue.replace(record.documents)
