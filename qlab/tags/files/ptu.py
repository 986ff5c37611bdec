"""PicoQuant PTU files, T2 and T3: PicoHarp, HydraHarp 1 and 2, TimeHarp 260, MultiHarp and other "generic" ones.

Written from PicoQuant's description of the "Unified TTTR" format.  Of T3 the time of a photon is that of its sync pulse plus
the delay after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.order import in_order
from qlab.tags.files.pq_header import TAGS, Value, decimal, integer, read_header
from qlab.tags.files.pq_records import RECORDS, Decoded, RecordDecoder
from qlab.tags.files.streaming import CHUNK, Piece, Progress, unheard, up_to_fault
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["MAGIC", "PtuRecording", "ptu_tick_ps", "read_ptu", "stream_ptu"]

MAGIC = TAGS
_PS_PER_MS = 10**9


@dataclass(frozen=True, slots=True)
class PtuRecording:
    """One PTU file.

    Parameters
    ----------
    block:
        Photon tags; channel 0 is the sync input.
    marker_t, marker_bits:
        Times (int64 ps) and bits (uint8) of the marker inputs.
    header:
        The header's tags; indexed ones are named "Name[index]".
    record_type:
        Which hardware's records these are.
    """

    block: TagBlock
    marker_t: NDArray[np.int64]
    marker_bits: NDArray[np.uint8]
    header: Mapping[str, Value] = field(repr=False)
    record_type: str


class _Ptu:
    """An open file: its header, and its records piece by piece."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                self.header, self._offset = read_header(self.path, file, MAGIC)
                self._size = file.seek(0, 2)
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise TagFileError(msg) from error
        kind = integer(self.path, self.header, "TTResultFormat_TTTRRecType")
        if kind not in RECORDS:
            msg = f"{path}: unknown records (type {kind:#010x})"
            raise TagFileError(msg)
        self.record_type = RECORDS[kind]
        sync_ps = decimal(self.path, self.header, "MeasDesc_GlobalResolution")
        t3 = self.record_type.endswith("T3")
        self.tick_ps = decimal(self.path, self.header, "MeasDesc_Resolution") if t3 else sync_ps
        self._decoder = RecordDecoder(kind, self.tick_ps, sync_ps)
        self.promised = integer(self.path, self.header, "TTResult_NumberOfRecords")
        stop_after = self.header.get("TTResult_StopAfter")
        self._stop_after_ms = stop_after if isinstance(stop_after, int) and stop_after > 0 else 0
        self.found = (self._size - self._offset) // 4

    @property
    def sound(self) -> int:
        """How many records there are to read; a header that was never finished promises none."""
        return min(self.promised, self.found) or self.found

    def check(self) -> None:
        """Raise `TagFileError` where the header promises something else than there is."""
        rest = (self._size - self._offset) % 4
        if self.promised != self.found or rest:
            more = f" and {rest} bytes" if rest else ""
            msg = (
                f"{self.path}: the header promises {self.promised} records, the file holds {self.found}{more}; "
                f"the first {self.sound} are sound, read them with salvage=True"
            )
            raise TagFileError(msg)
        if not self._stop_after_ms * _PS_PER_MS < 2**62:
            msg = f"{self.path}: by its header it lasted {self._stop_after_ms} ms, which cannot be; its tags are sound"
            raise TagFileError(msg)

    def decoded(self, chunk: int, progress: Progress = unheard) -> Iterator[Decoded]:
        """Yield the sound records."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            left = self.sound
            while left:
                records = np.fromfile(file, "<u4", count=min(chunk, left))
                if not records.size:
                    msg = f"{self.path}: the file has become shorter while it was read; {self.sound - left} records are sound"
                    raise TagFileError(msg)
                found = self._decoder.decode(records)
                yield found
                if found.fault:
                    number = self.sound - left + found.t.size + 1
                    msg = f"{self.path}: record {number} {found.fault}; the {number - 1} records before are sound"
                    raise TagFileError(msg)
                left -= records.size
                progress(file.tell(), self._size)

    @property
    def wrapped_ps(self) -> int:
        """Time of the last overflow so far."""
        return self._decoder.wrapped_ps

    @property
    def duration_ps(self) -> int:
        """How long the measurement lasted by its own account, or 0."""
        duration_ps = self._stop_after_ms * _PS_PER_MS
        return duration_ps if duration_ps < 2**62 else 0


def ptu_tick_ps(path: Path | str) -> float:
    """Return the unit of the times of T2 or of the delays of T3."""
    return _Ptu(path).tick_ps


def stream_ptu(
    path: Path | str, *, salvage: bool = False, chunk: int = CHUNK, progress: Progress = unheard
) -> Iterator[TagBlock]:
    """Yield a recording's photons in constant memory; markers are left out.

    Raises
    ------
    TagFileError
        As `read_ptu`; after all tags before the fault, be it in the records or that the header promises more of them.
    """
    if salvage:
        yield from up_to_fault(stream_ptu(path, chunk=chunk, progress=progress))
        return
    ptu = _Ptu(path)

    def pieces() -> Iterator[Piece]:
        last = 0
        for found in ptu.decoded(chunk, progress):
            photon = found.marker == 0
            yield Piece(found.t[photon], found.ch[photon], (), ptu.wrapped_ps)
            last = int(found.t[-1]) + 1 if found.t.size else last
        yield Piece(np.empty(0, np.int64), np.empty(0, np.uint8), (), max(last, ptu.duration_ps))
        ptu.check()

    yield from in_order(pieces(), path, start_ps=0)


def read_ptu(path: Path | str, *, salvage: bool = False) -> PtuRecording:
    """Read a recording.

    Parameters
    ----------
    path:
        The file.
    salvage:
        Take what is sound of a file that is shorter than its header promises, or was never finished.

    Raises
    ------
    TagFileError
        No PTU file, unknown records, or a header that does not agree with the file; the message says what is sound.
    """
    ptu = _Ptu(path)
    if not salvage:
        ptu.check()
    found: list[Decoded] = []
    try:
        found.extend(ptu.decoded(CHUNK))
    except TagFileError:
        if not salvage:
            raise
    t = np.concatenate([piece.t for piece in found]) if found else np.empty(0, np.int64)
    ch = np.concatenate([piece.ch for piece in found]) if found else np.empty(0, np.uint8)
    marker = np.concatenate([piece.marker for piece in found]) if found else np.empty(0, np.int16)
    photon, marked = marker == 0, marker > 0
    # The last record may be an overflow: time went on without photons.
    stop_ps = max(int(t[-1]) + 1 if t.size else 0, ptu.duration_ps)
    block = TagBlock.from_unsorted(t[photon], ch[photon], 0, stop_ps)
    return PtuRecording(block, t[marked], marker[marked].astype(np.uint8), ptu.header, ptu.record_type)
