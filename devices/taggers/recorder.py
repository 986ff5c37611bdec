"""The tag file of a run, announced to the run engine as stream documents in rows of 65,536 entries.

One data key a dataset of the gap-block file (`qlab.tags.files.hdf5`): gaps, channels, first times and valid counts.
Never one index a tag: the catalogue would keep a map entry for each.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.taggers.tag_documents import describe, resources
from qlab.errors import BadRequestError, StorageError
from qlab.tags.files.hdf5 import TagWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qlab.tags.stream import TagBlock

__all__ = ["TagRecorder"]


class TagRecorder:
    """A bluesky `WritesStreamAssets` object; implements `qlab.roles.TagRecorder`.

    Parameters
    ----------
    name:
        Prefix of the data keys.
    """

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path("qlab-data/tags")
        self.path: Path | None = None
        self._writer: TagWriter | None = None
        self._composed: list[Any] = []
        self._published = 0
        self._rows = 0

    @property
    def is_open(self) -> bool:
        """Whether a file is being written."""
        return self._writer is not None

    def open(self, path: Path, metadata: Mapping[str, object]) -> None:
        """Begin a file; raises `StorageError` where that is impossible."""
        self.close()
        path = path.resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{self.name}: cannot make the folder {path.parent}: {error.strerror}; check the data folder"
            raise StorageError(msg) from error
        self._writer = TagWriter(path, metadata=metadata)
        self.path = path
        self._composed, self._published, self._rows = [], 0, 0

    def begin(self) -> None:
        """Begin a file with a name of its own in `folder`."""
        self.open(self.folder.resolve() / f"{self.name}-{uuid.uuid4().hex[:12]}.h5", {"recorder": self.name})

    def append(self, block: TagBlock) -> tuple[int, int]:
        """Write one acquisition and return its rows."""
        if self._writer is None:
            msg = f"{self.name}: no tag file is open; stage the tagger before it is triggered"
            raise BadRequestError(msg)
        try:
            return self._writer.append(block)
        finally:
            self._rows = self._writer.rows_written  # those before a full disk are sound

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe the stream, in bluesky's flat form."""
        return describe(self.name)

    def get_index(self) -> int:
        """Return the number of rows on disk."""
        return self._rows

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, Any]]:
        """Announce the rows written since the last call."""
        if self.path is None:
            return
        stop = self._rows if index is None else min(index, self._rows)
        if not self._composed:
            self._composed = resources(self.name, self.path)
            for bundle in self._composed:
                yield "stream_resource", bundle.stream_resource_doc
        if stop > self._published:
            for bundle in self._composed:
                yield "stream_datum", bundle.compose_stream_datum({"start": self._published, "stop": stop})
            self._published = stop
