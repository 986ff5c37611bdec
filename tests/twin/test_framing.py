"""Framers: what they return depends on the bytes, never on how these were split."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlab.twin.framing import BlockFramer, FixedFramer, LineFramer, MessageFramer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.twin.conversation import Framer

MAKERS: dict[str, Callable[[], Framer]] = {
    "line": lambda: LineFramer(b"\r\n;"),
    "short line": lambda: LineFramer(b"\n", max_length=5),
    "kept line": lambda: LineFramer(b"\r", ignored=b"\n", keep_empty=True, max_length=9),
    "block": BlockFramer,
    "short block": lambda: BlockFramer(b"\n", max_length=12),
    "fixed": lambda: FixedFramer(4),
    "header": lambda: FixedFramer(2, lambda head: head[1] - 40),
}
BYTES = st.binary(max_size=80) | st.lists(st.sampled_from(b" #,;\r\n0123aB"), max_size=80).map(bytes)


def feed(framer: Framer, data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [message for a, b in itertools.pairwise(edges) for message in framer.feed(data[a:b])]


@pytest.mark.parametrize("kind", MAKERS)
@given(data=BYTES, cuts=st.lists(st.integers(0, 80), max_size=20))
def test_any_split_gives_the_same_messages(kind: str, data: bytes, cuts: list[int]) -> None:
    make = MAKERS[kind]
    assert feed(make(), data, cuts) == make().feed(data)


@given(lines=st.lists(st.binary(max_size=20).map(lambda line: line.translate(None, b"\r\n")), max_size=8))
def test_lines_come_back_without_terminators_and_without_empty_ones(lines: list[bytes]) -> None:
    assert LineFramer(b"\r\n").feed(b"".join(line + b"\r\n" for line in lines)) == [line for line in lines if line]


def test_an_overlong_line_is_dropped_as_a_whole_and_the_next_one_heard() -> None:
    framer = LineFramer(max_length=4)
    assert feed(framer, b"12345678\n1234\n12345\n", [3, 5, 7, 16]) == [b"1234"]


def test_empty_lines_count_where_they_are_asked_for_and_ignored_bytes_never_do() -> None:
    assert LineFramer(b"\r", ignored=b"\n", keep_empty=True).feed(b"\r\na\nb\r\n\r") == [b"", b"ab", b""]


@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 320), max_size=10))
def test_a_block_may_hold_any_bytes(body: bytes, cuts: list[int]) -> None:
    # IEEE 488.2, 7.7.6: "#", one digit, that many digits of length, the bytes
    length = str(len(body)).encode()
    message = b"DATA 1, #" + str(len(length)).encode() + length + body + b",2"
    assert feed(BlockFramer(), message + b"\n*IDN?\n", cuts) == [message, b"*IDN?"]


@pytest.mark.parametrize(
    "line",
    [b"A#15", b"A #x", b"A #3 12", b"A #H1F", b"A #9999999999", b"A #", b"A #31", b"A,#0abc"],
)
def test_what_only_looks_like_a_block_ends_with_the_line(line: bytes) -> None:
    assert BlockFramer().feed(line + b"\n*IDN?\n") == [line, b"*IDN?"]


def test_nonsense_in_a_header_is_skipped_byte_by_byte() -> None:
    framer = FixedFramer(2, lambda head: 1 if head[:1] == b"P" else -1)
    assert framer.feed(b"xyP\x01aqP\x01b") == [b"P\x01a", b"P\x01b"]


def test_a_frame_is_a_message() -> None:
    assert MessageFramer().feed(b"a;b\nc") == [b"a;b\nc"]
    assert MessageFramer().feed(b"") == []
