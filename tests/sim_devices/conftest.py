"""A bench for twins that stand alone: knobs, clicks and light that the test chooses, and a clock it moves by hand."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.physics.knob import Knob
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PS = 1_000_000_000_000


class HandClock:
    """Lab time that stands where the test puts it."""

    mode = "stepped"

    def __init__(self) -> None:
        self.t_ps = 0

    def now_ps(self) -> int:
        return self.t_ps

    def now_s(self) -> float:
        return self.t_ps * 1e-12

    def step(self, seconds: float) -> None:
        self.t_ps += round(seconds * PS)


@dataclass
class FakeDetector:
    efficiency: Knob = field(default_factory=lambda: Knob(0.5))
    dark_rate_hz: Knob = field(default_factory=lambda: Knob(100.0))


class FakeWorld:
    """Clicks at a fixed interval, whatever is asked."""

    def __init__(self) -> None:
        self.interval_ps = 1_000_000_000

    def clicks(self, detector_id: int, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        first = -(-start_ps // self.interval_ps) * self.interval_ps
        return np.arange(first, stop_ps, self.interval_ps, dtype=np.int64)


class FakeFeed:
    """Tags from a fixed table; every read gives the part it asked for."""

    def __init__(self) -> None:
        self.t = np.empty(0, np.int64)
        self.ch = np.empty(0, np.uint8)

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        inside = (self.t >= start_ps) & (self.t < stop_ps)
        return TagBlock(self.t[inside], self.ch[inside], start_ps, stop_ps)


class FakeBench:
    """The Bench protocol with nothing behind it."""

    def __init__(self, clock: HandClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self.knobs: dict[tuple[str, str], Knob] = {}
        self.detectors: dict[str, FakeDetector] = {}
        self.world = FakeWorld()
        self.feed = FakeFeed()
        self.light_w = 1e-3
        self.disk_full = False
        self.ambient = 22.0

    def rng(self, name: str, *key: int) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(name.encode()), *(k & 0xFFFFFFFFFFFFFFFF for k in key)])

    def _knob(self, kind: str, name: str, initial: float) -> Knob:
        return self.knobs.setdefault((kind, name), Knob(initial))

    def pump_power(self, name: str) -> Knob:
        return self._knob("pump", name, 0.0)

    def oven_temperature(self, name: str) -> Knob:
        return self._knob("oven", name, self.ambient)

    def plate_angle(self, name: str) -> Knob:
        return self._knob("plate", name, 0.0)

    def detector(self, name: str) -> FakeDetector:
        return self.detectors.setdefault(name, FakeDetector())

    def detector_id(self, name: str) -> int:
        return zlib.crc32(name.encode())

    def tag_feed(self, name: str) -> FakeFeed:
        return self.feed

    def optical_power_w(self, name: str, t_ps: int) -> float:
        return self.light_w

    def ambient_c(self, name: str) -> float:
        return self.ambient

    def write_bytes(self, path: str, data: bytes) -> None:
        if self.disk_full:
            msg = "no space left on device"
            raise OSError(28, msg)
        with (self.folder / path).open("ab") as file:
            file.write(data)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def bench(clock: HandClock, tmp_path: Path) -> FakeBench:
    return FakeBench(clock, tmp_path)


def _split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.fixture(scope="session")
def split_at() -> Callable[[bytes, list[int]], list[bytes]]:
    """Cut bytes at the given places."""
    return _split_at


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[[], FakeBench]:
    """Make further benches, each with its own clock."""
    return lambda: FakeBench(HandClock(), tmp_path)
