"""Every document of a run as one line of JSON in a file of its own: survives a kill, needs no server, feeds reports."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.alive import hold
from qlab.errors import BadRequestError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Journal", "RunRecord", "find_run", "read_run", "sound_documents"]


class Journal:
    """A RunEngine subscriber that appends documents to `FOLDER/UID.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._file: Any = None

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Take one document; raises `StorageError` where it cannot be written."""
        if name == "start":
            self.close()
            path = self.folder / f"{doc['uid']}.jsonl"
            with _storing(path):
                self._file = path.open("wb", buffering=0)
            hold(self._file.fileno())
        if self._file is not None:
            line = json.dumps([name, doc], default=_plain).encode() + b"\n"
            with _storing(Path(self._file.name)):
                while line:  # a nearly full disk takes a part
                    line = line[self._file.write(line) :]
        if name == "stop":
            self.close()

    def close(self) -> None:
        """Close the file of the run."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = (
            f"cannot write the documents of runs to {path}: {error.strerror or error}; "
            "check free space and permissions, or choose another folder with --data-dir"
        )
        raise StorageError(msg) from error


class RunRecord:
    """The documents of one run.

    Attributes
    ----------
    start, stop:
        First and last document; `stop` is empty for a run that goes on, or was killed and is not marked yet.
    events:
        For each stream its events' data, in order, the last of those with one sequence number.
    resources:
        Stream resource documents.
    """

    def __init__(self, documents: list[tuple[str, dict[str, Any]]]) -> None:
        self.documents = documents
        self.start = next(doc for name, doc in documents if name == "start")
        self.stop: dict[str, Any] = next((doc for name, doc in documents if name == "stop"), {})
        self.resources = [doc for name, doc in documents if name == "stream_resource"]
        streams = {doc["uid"]: doc for name, doc in documents if name == "descriptor"}
        self.descriptors = {doc["name"]: doc for doc in streams.values()}
        rows: dict[str, dict[int, dict[str, Any]]] = {}
        for name, doc in documents:
            pages = [doc] if name == "event" else _unpack(doc) if name == "event_page" else []
            for event in pages:
                rows.setdefault(streams[event["descriptor"]]["name"], {})[event["seq_num"]] = event["data"]
        self.events = {stream: [data for _, data in sorted(found.items())] for stream, found in rows.items()}

    @property
    def uid(self) -> str:
        """The run's uid."""
        return str(self.start["uid"])


def find_run(folder: Path, run: str) -> Path:
    """Return the journal of a run named by uid, its beginning, scan id or -1, -2 ... from the end."""
    files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    if not files:
        msg = f"there is no run in {folder}; do one first, for example: qlab run measure_chsh"
        raise BadRequestError(msg)
    if run.startswith("-") and run[1:].isdigit() and 1 <= int(run[1:]) <= len(files):
        return files[int(run)]
    hits = [path for path in files if path.stem.startswith(run)]
    if not hits and run.isdigit():
        hits = [path for path in files if read_run(path).start.get("scan_id") == int(run)]
    if len(hits) != 1:
        what = "no run" if not hits else f"{len(hits)} runs"
        msg = f"{run!r} names {what} in {folder}; the last is {files[-1].stem[:8]}"
        raise BadRequestError(msg)
    return hits[0]


def read_run(path: Path) -> RunRecord:
    """Read a journal; a last line that was cut off is left out."""
    documents, _ = sound_documents(path)
    if not any(name == "start" for name, _ in documents):
        msg = f"{path} holds no run: its first line is no start document"
        raise BadRequestError(msg)
    return RunRecord(documents)


def sound_documents(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """Return the documents before the first line that is none, and how many bytes they take."""
    documents: list[tuple[str, dict[str, Any]]] = []
    size = 0
    with path.open("rb") as file:
        for line in file:
            try:
                name, doc = json.loads(line)
            except (ValueError, TypeError):
                break
            if not line.endswith(b"\n") or not isinstance(name, str) or not isinstance(doc, dict):
                break
            documents.append((name, doc))
            size += len(line)
    return documents, size


def _unpack(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "descriptor": page["descriptor"],
            "seq_num": number,
            "data": {key: values[i] for key, values in page["data"].items()},
        }
        for i, number in enumerate(page["seq_num"])
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
