"""Frames over a transport that loses, repeats, swaps, damages and breaks: what comes out is what went in, once, in order."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import BadRequestError
from qlab.qkd.frames import LARGEST_FRAME, FrameLink

KEY = bytes(range(32))


class Air:
    """A transport between two links on simulated time."""

    def __init__(
        self, seed: int, loss: float = 0.0, repeat: float = 0.0, damage: float = 0.0, spread_s: float = 0.0
    ) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.odds, self.spread_s = (loss, repeat, damage), spread_s
        self.now_s, self.order = 0.0, itertools.count()
        self.flying: list[tuple[float, int, int, bytes]] = []
        entropy = self.rng.bytes
        self.links = [FrameLink("reference", KEY, entropy), FrameLink("corrector", KEY, entropy)]
        self.got: tuple[list[bytes], list[bytes]] = ([], [])
        for link in self.links:
            link.connected()

    def run(self, until_s: float) -> None:
        """Let both talk until nothing is left to do, or for so long."""
        while self.now_s < until_s:
            for side, link in enumerate(self.links):
                for frame in link.outgoing(self.now_s):
                    assert len(frame) <= LARGEST_FRAME
                    self._launch(1 - side, frame)
            if all(link.idle for link in self.links) and not self.flying:
                return
            dues = [due for link in self.links if (due := link.due_s()) is not None]
            self.now_s = max(self.now_s, min([*dues, *(f[0] for f in self.flying[:1]), until_s])) + 1e-6
            while self.flying and self.flying[0][0] <= self.now_s:
                _, _, side, frame = heapq.heappop(self.flying)
                self.got[side].extend(self.links[side].receive(frame, self.now_s))

    def _launch(self, side: int, frame: bytes) -> None:
        lost, repeated, damaged = self.rng.random(3) < self.odds
        if damaged:
            at = int(self.rng.integers(len(frame)))
            frame = frame[:at] + bytes([frame[at] ^ 1 << int(self.rng.integers(8))]) + frame[at + 1 :]
        for _ in range(int(not lost) + int(repeated)):
            due_s = self.now_s + 0.01 + self.spread_s * self.rng.random()
            heapq.heappush(self.flying, (due_s, next(self.order), side, frame))


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.booleans(), st.integers(0, 100_000)), max_size=12),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
    st.sampled_from([0.0, 0.002, 0.2]),
)
def test_messages_come_once_in_order(
    seed: int, said: Any, loss: float, repeat: float, damage: float, spread: Any
) -> None:
    air = Air(seed, loss, repeat, damage, spread)
    sent: tuple[list[bytes], list[bytes]] = ([], [])
    for of_second, size in said:
        message = air.rng.bytes(size)
        air.links[of_second].send(message)
        sent[of_second].append(message)
    air.run(300.0)
    assert air.got[1] == sent[0]
    assert air.got[0] == sent[1]


def test_a_new_connection_takes_the_conversation_up_where_it_broke() -> None:
    air = Air(1)
    for _ in range(5):
        air.links[0].send(air.rng.bytes(90_000))
    air.run(0.015)
    air.flying.clear()  # the connection breaks; what was in it is gone
    for link in air.links:
        link.connected()
    air.run(60.0)
    assert [len(m) for m in air.got[1]] == [90_000] * 5
    assert air.links[0].counts.resent > 0
    assert air.links[1].sessions == 1


def test_a_party_that_was_started_again_begins_a_new_session() -> None:
    air = Air(2)
    air.links[0].send(b"one")
    air.run(60.0)
    air.links[1] = FrameLink("corrector", KEY, air.rng.bytes)
    air.links[0].send(b"for who is gone")
    for link in air.links:
        link.connected()
    air.run(air.now_s + 60.0)
    assert air.links[0].sessions == 2
    air.links[0].send(b"for who is new")
    air.links[1].send(b"hello")
    air.run(air.now_s + 60.0)
    assert air.got[1] == [b"one", b"for who is new"]
    assert air.got[0] == [b"hello"]


def test_frames_of_others_and_of_the_past_are_dropped() -> None:
    air = Air(3)
    air.links[0].send(b"genuine")
    air.run(60.0)
    link = air.links[1]
    stranger = FrameLink("reference", bytes(32), air.rng.bytes)
    stranger.connected()
    (hello,) = stranger.outgoing(0.0)
    before = link.counts.not_genuine
    assert link.receive(hello, 0.0) == []
    assert link.receive(b"short", 0.0) == []
    own = FrameLink("corrector", KEY, air.rng.bytes)
    own.connected()
    assert link.receive(own.outgoing(0.0)[0], 0.0) == []  # its own kind sent back
    assert link.counts.not_genuine == before + 3
    with pytest.raises(BadRequestError, match="channel key of 3 bytes"):
        FrameLink("reference", b"abc", air.rng.bytes)
