"""A bench for twins that stand alone, with a clock moved by hand; real wires in stepped time, and clients for them."""

from __future__ import annotations

import itertools
import os
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pyvisa
import serial
import zmq

from qlab.clock import SteppedClock
from qlab.physics.arm import Port
from qlab.physics.knob import Knob
from qlab.physics.midpoint import LinkEnd
from qlab.physics.oscillator import Oscillator
from qlab.physics.register import QubitRegister
from qlab.tags.stream import Gap, TagBlock
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.clock import Clock
    from qlab.twin.conversation import Twin
    from qlab.twin.mount import Mount

    Reader = Callable[[int], bytes]
    Dial = Callable[..., zmq.Socket[bytes]]

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
    jitter_scale: Knob = field(default_factory=lambda: Knob(1.0))


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
        self.gaps: tuple[Gap, ...] = ()

    def put(self, **channels: Iterable[int]) -> None:
        """Put tags on inputs: `in1=[times in ps]`, with `in5` for START."""
        tags = sorted((t, int(name[2:]) - 1) for name, times in channels.items() for t in times)
        self.t = np.array([t for t, _ in tags], np.int64)
        self.ch = np.array([ch for _, ch in tags], np.uint8)

    def read(self, start_ps: int, stop_ps: int) -> TagBlock:
        inside = (self.t >= start_ps) & (self.t < stop_ps)
        gaps = tuple(gap for gap in self.gaps if gap.start_ps < stop_ps and gap.stop_ps > start_ps)
        return TagBlock(self.t[inside], self.ch[inside], start_ps, stop_ps, gaps)


class FakeBench:
    """The Bench protocol with nothing behind it."""

    def __init__(self, clock: Clock | HandClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self.knobs: dict[tuple[str, str], Knob] = {}
        self.detectors: dict[str, FakeDetector] = {}
        self.world = FakeWorld()
        self.feed = FakeFeed()
        self.light_w = 1e-3
        self.disk_full = False
        self.ambient = 22.0
        self.register = QubitRegister(1)
        self.links: dict[str, LinkEnd] = {}
        self.oscillators: dict[str, Oscillator] = {}

    def rng(self, name: str, *key: int) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(name.encode()), *(k & 0xFFFFFFFFFFFFFFFF for k in key)])

    def knob(self, name: str, quantity: str, initial: float = 0.0) -> Knob:
        return self.knobs.setdefault((name, quantity), Knob(initial))

    def pump_power(self, name: str) -> Knob:
        return self.knob(name, "power_w")

    def oven_temperature(self, name: str) -> Knob:
        return self.knob(name, "temperature_c", self.ambient)

    def plate_angle(self, name: str) -> Knob:
        return self.knob(name, "angle_deg")

    def detector(self, name: str) -> FakeDetector:
        return self.detectors.setdefault(name, FakeDetector())

    def detector_id(self, name: str) -> int:
        return zlib.crc32(name.encode())

    def tag_feed(self, name: str) -> FakeFeed:
        return self.feed

    def qubit(self, name: str, number: int, t1_s: float, t2_s: float) -> int:
        qubit = zlib.crc32(f"{name}.{number}".encode())
        self.register.add(qubit, t1_s, t2_s)
        return qubit

    def oscillator(self, name: str) -> Oscillator:
        return self.oscillators.get(name, Oscillator())

    def entanglement_link(self, name: str, number: int) -> LinkEnd:
        start = f"{name}.{number}"
        return self.links.setdefault(start, LinkEnd(Port(0), start))

    def optical_power_w(self, name: str, t_ps: int) -> float:
        return self.light_w

    def stokes_w(self, name: str, t_ps: int) -> NDArray[np.float64]:
        return self.light_w * np.array([1.0, 1.0, 0.0, 0.0])

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


class Wire:
    """A client written by hand on a real wire, and the mount's counts that tell when the twin has digested its bytes."""

    def __init__(self, mount: Mount, clock: SteppedClock, write: Callable[[bytes], object], read: Reader) -> None:
        self.mount = mount
        self.clock = clock
        self._write = write
        self._read = read
        self._sent = mount.received
        self._taken = mount.emitted

    def say(self, *parts: bytes) -> bytes:
        """Write each part by itself and return every byte that came: exactly these and no more."""
        for part in parts:
            self._write(part)
            self._sent += len(part)
            while self.mount.received < self._sent or self.mount.busy:
                os.sched_yield()
        return self.collect()

    def hear(self, end: bytes) -> bytes:
        """Read what the twin says first, byte by byte up to `end`."""
        heard = b""
        while not heard.endswith(end):
            heard += self._read(1)
        self._taken = self.mount.emitted
        return heard

    def collect(self) -> bytes:
        """Read all that the twin has sent and nobody has read."""
        size = self.mount.emitted - self._taken
        self._taken += size
        return self._read(size) if size else b""

    def talk(self, *parts: bytes, wait_s: float = 0.0) -> bytes:
        """Say something, let lab time pass, and return every byte that came."""
        reply = self.say(*parts)
        if wait_s:
            self.clock.sleep(wait_s)
            reply += self.collect()
        return reply


@pytest.fixture
def stepped() -> Iterator[SteppedClock]:
    """Lab time that moves only when the test waits."""
    with SteppedClock() as clock:
        yield clock


@pytest.fixture
def table(stepped: SteppedClock, tmp_path: Path) -> FakeBench:
    """A bench in stepped time, for twins on real wires."""
    return FakeBench(stepped, tmp_path)


@pytest.fixture
def host(stepped: SteppedClock) -> Iterator[TwinHost]:
    with TwinHost(stepped) as host:
        yield host


@pytest.fixture
def visa(host: TwinHost) -> Iterator[Callable[[Twin], Wire]]:
    """Put twins on TCP and open them with pyvisa."""
    manager = pyvisa.ResourceManager("@py")

    def connect(twin: Twin) -> Wire:
        mount = host.mount_tcp(twin)
        session = manager.open_resource(mount.address)
        while not mount.begun:  # time must not move before the twin has seen its client
            os.sched_yield()
        session.timeout = 5000
        session.read_termination = session.write_termination = None
        return Wire(
            mount, host.clock, session.write_raw, lambda size: session.read_bytes(size, break_on_termchar=False)
        )

    yield connect
    manager.close()


@pytest.fixture
def serial_port(host: TwinHost) -> Iterator[Callable[[Twin], Wire]]:
    """Put twins on ptys and open them with pyserial."""
    with ExitStack() as ports:

        def connect(twin: Twin) -> Wire:
            mount = host.mount_pty(twin)
            port = ports.enter_context(serial.Serial(mount.address, 115200, timeout=5))
            return Wire(mount, host.clock, port.write, port.read)

        yield connect


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connect ZeroMQ sockets, as a rule of kind REQ."""
    with zmq.Context() as context, ExitStack() as sockets:

        def connect(address: str, kind: int = zmq.REQ) -> zmq.Socket[bytes]:
            socket: zmq.Socket[bytes] = sockets.enter_context(context.socket(kind))
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, 5000)
            socket.connect(address)
            return socket

        yield connect


def _pieces(data: bytes, how: str) -> list[bytes]:
    if how == "bytes":
        return [bytes([byte]) for byte in data]
    if how == "whole":
        return [data]
    rng = np.random.default_rng(int(how))
    return _split_at(data, sorted(rng.integers(0, len(data) + 1, 40).tolist()))


@pytest.fixture(scope="session", params=["whole", "bytes", "1", "2", "3"])
def pieces(request: pytest.FixtureRequest) -> Callable[[bytes], list[bytes]]:
    """Cut bytes one by one, not at all, or at random places."""
    return lambda data: [piece for piece in _pieces(data, request.param) if piece]
