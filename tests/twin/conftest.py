"""A host in stepped time, and the small things that a client written by hand needs."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from qlab.clock import SteppedClock
from qlab.twin.host import TwinHost
from qlab.twin.scpi import Later, ScpiTwin, command, parameter, query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qlab.clock import Clock
    from qlab.twin.mount import Mount

_WALL_S = 5.0


class LampTwin(ScpiTwin):
    """An instrument with a setting, a slow measurement and a bug."""

    identity = "Acme,Lamp,0001,1.0"
    level = parameter("LEVel", 1.0, fmt=".3f")
    resets = 0

    @query("SLOW?")
    def slow(self) -> Later:
        return Later(2.0, lambda: f"done at {self.clock.now_ps() / 1e12:g} s")

    @query("LONG?")
    def long(self) -> str:
        return "x" * 300_000

    @command("BUG")
    def bug(self) -> None:
        msg = "a bug in the twin"
        raise RuntimeError(msg)

    def on_reset(self) -> None:
        self.resets += 1

    def device_fault(self, name: str, *, active: bool = True) -> None:
        self.level = {"dim": 0.5}[name] if active else 1.0


class FrameLampTwin(LampTwin):
    wire = "zmq"


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    with SteppedClock() as clock:
        yield clock


@pytest.fixture
def host(clock: SteppedClock) -> Iterator[TwinHost]:
    with TwinHost(clock) as host:
        yield host


@pytest.fixture
def lamp(clock: SteppedClock) -> LampTwin:
    return LampTwin(clock)


@pytest.fixture
def make_lamp() -> Callable[[Clock], LampTwin]:
    """Make a lamp on another clock."""
    return LampTwin


@pytest.fixture
def frame_lamp(clock: SteppedClock) -> FrameLampTwin:
    return FrameLampTwin(clock)


def _settle(mount: Mount, received: int) -> None:
    while mount.received < received or mount.busy:
        pass


@pytest.fixture
def settled() -> Callable[[Mount, int], None]:
    """Wait until a mount has digested so many bytes."""
    return _settle


class Client(socket.socket):
    """A blocking TCP client that reads lines."""

    def line(self) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            piece = self.recv(1)
            if not piece:
                break
            data += piece
        return data


@pytest.fixture
def dial() -> Iterator[Callable[[int], Client]]:
    """Connect to a port of this machine."""
    clients: list[Client] = []

    def connect(port: int) -> Client:
        client = Client(socket.AF_INET, socket.SOCK_STREAM)
        clients.append(client)
        client.settimeout(_WALL_S)
        client.connect(("127.0.0.1", port))
        return client

    yield connect
    for client in clients:
        client.close()
