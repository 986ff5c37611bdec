"""Events of S-Fifteen's timestamp cards in their three spellings: a0 and a2 (text, hexadecimal) and a1 (binary).

An event has 64 bits: the upper 54 are the time in units of 1/256 ns, which wraps after 19.5 hours; bit 4 marks a dummy
event that only carries time on; the lowest four bits say which of the detectors 1 to 4 (channels 0 to 3 here) clicked,
several at once if they did.  a2 has an event a line; a0 has the lower and then the upper half on two lines; a1 has eight
bytes, a1X with the two halves exchanged.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.order import in_order
from qlab.tags.files.streaming import CHUNK, Piece, Progress, read_records, unheard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock

__all__ = ["Spelling", "spelling_of", "stream_sfifteen"]

Spelling = Literal["a0", "a1", "a1x", "a2"]
_WORD = np.dtype([("event", "<u8")])
_WRAP = 1 << 54
_MOST_WRAPS = 100
"""81 days; not much more fits into 64 bits of picoseconds."""
_LONGEST_LINE = 64
_DUMMY = np.uint64(16)
_BITS = [[k for k in range(4) if pattern >> k & 1] or [-1] for pattern in range(16)]
_HOW_MANY = np.array([len(bits) for bits in _BITS])
_WHICH = np.array([(bits * 4)[:4] for bits in _BITS], np.int16)
_HEX = frozenset(b"0123456789abcdefABCDEF")


def spelling_of(head: bytes) -> Spelling | None:
    """Tell by the first bytes of a file which spelling it is, or None.

    Text has eight or sixteen hexadecimal digits in every line, one of them a letter.  Of binary events the lowest nibble
    is never 0, and time goes on from event to event by less than the 1/1000 of its range.
    """
    lines = head.split(b"\n")
    whole = [line.rstrip(b"\r") for line in (lines[:-1] if len(lines) > 1 else lines)]
    if whole and all(line and set(line) <= _HEX for line in whole):
        sizes = {len(line) for line in whole}
        letters = any(byte > 57 for line in whole for byte in line)
        if sizes == {8} and letters and len(whole) > 1:
            return "a0"
        return "a2" if sizes == {16} else None
    events = np.frombuffer(head, np.uint64, count=len(head) // 8)
    if events.size < 2:
        return None
    found: list[Spelling] = []
    for spelling, read in (("a1", events), ("a1x", _exchanged(events))):
        steps = np.diff((read >> np.uint64(10)).astype(np.int64))
        near = np.abs(steps) % _WRAP < _WRAP // 1000
        if bool(near.all()) and bool((read & np.uint64(15) != 0).all()):
            found.append(spelling)  # type: ignore[arg-type]
    return found[0] if len(found) == 1 else None


def stream_sfifteen(
    path: Path | str, spelling: Spelling, chunk: int = CHUNK, *, progress: Progress = unheard
) -> Iterator[TagBlock]:
    """Yield the tags of a file; dummy events only carry time on.

    Raises
    ------
    TagFileError
        After everything before the fault: a line that is no event, a cut record.
    """
    read = _text_events if spelling in ("a0", "a2") else _binary_events
    events = read(path, spelling, chunk, progress)
    return in_order(_pieces(events, path), path)


def _pieces(chunks: Iterator[NDArray[np.uint64]], path: Path | str) -> Iterator[Piece]:
    wraps, count, before = 0, 0, None
    for events in chunks:
        ticks = (events >> np.uint64(10)).astype(np.int64)
        first = ticks[:1] if before is None else np.array([before], np.int64)
        steps = np.diff(ticks, prepend=first)
        # A step back by more than half the range is a wrap; a smaller one is an event out of order.
        turns = wraps + np.cumsum((steps < -_WRAP // 2).astype(np.int64) - (steps > _WRAP // 2))
        beyond = np.flatnonzero(np.abs(turns) > _MOST_WRAPS)
        if beyond.size:
            events, ticks, turns = events[: beyond[0]], ticks[: beyond[0]], turns[: beyond[0]]
        else:
            wraps, before = int(turns[-1]), int(ticks[-1])
        ticks = ticks + turns * _WRAP
        t = (ticks >> 8) * 1000 + (((ticks & 255) * 1000 + 128) >> 8)  # 1/256 ns in ps, rounded
        yield Piece(*_clicks(t, events))
        count += events.size
        if beyond.size:
            msg = (
                f"{path}: time wraps at event {count + 1} for the {_MOST_WRAPS + 1}th time; expected recordings of less than "
                f"80 days; the {count} events before are sound"
            )
            raise TagFileError(msg)


def _clicks(t: NDArray[np.int64], events: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Spread events of several detectors; one of none, as a dummy is, has channel -1."""
    pattern = np.where(events & _DUMMY == 0, events & np.uint64(15), np.uint64(0)).astype(np.intp)
    turns = _HOW_MANY[pattern]
    if bool((turns == 1).all()):
        return t, _WHICH[pattern, 0]
    pattern, first = np.repeat(pattern, turns), np.repeat(np.cumsum(turns) - turns, turns)
    return np.repeat(t, turns), _WHICH[pattern, np.arange(pattern.size) - first]


def _binary_events(
    path: Path | str, spelling: Spelling, chunk: int, progress: Progress
) -> Iterator[NDArray[np.uint64]]:
    for records in read_records(path, _WORD, 0, chunk, progress):
        events = records["event"].astype(np.uint64)
        yield _exchanged(events) if spelling == "a1x" else events


def _text_events(path: Path | str, spelling: Spelling, chunk: int, progress: Progress) -> Iterator[NDArray[np.uint64]]:
    digits, halves = (16, 1) if spelling == "a2" else (8, 2)
    words: list[int] = []
    count = 0
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            done = 0
            for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), 1):
                word = line.strip()
                done += len(line)
                if len(word) != digits or not set(word) <= _HEX:
                    yield from _events(words, halves)
                    msg = (
                        f"{path}, line {number}: found {word[:20].decode('latin-1')!r}; "
                        f"expected {digits} hexadecimal digits; the {(count + len(words)) // halves} events before are sound"
                    )
                    raise TagFileError(msg)
                words.append(int(word, 16))
                if len(words) >= chunk * halves:
                    count += len(words)
                    yield from _events(words, halves)
                    words = []
                    progress(done, size)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    yield from _events(words, halves)
    if len(words) % halves:
        event = (count + len(words)) // halves + 1
        msg = f"{path}: the file ends between the halves of event {event}; those before are sound"
        raise TagFileError(msg)


def _events(words: list[int], halves: int) -> Iterator[NDArray[np.uint64]]:
    numbers = np.array(words[: len(words) // halves * halves], np.uint64)
    if numbers.size:
        yield numbers if halves == 1 else numbers[1::2] << np.uint64(32) | numbers[::2]


def _exchanged(events: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.asarray(events << np.uint64(32) | events >> np.uint64(32))
