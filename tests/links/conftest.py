"""A twin whose every answer carries a number and a check sum, on every kind of wire."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from qlab.clock import SteppedClock
from qlab.errors import WrongIdentityError
from qlab.links.factory import open_link
from qlab.links.memory import MemoryLink
from qlab.links.policy import LinkPolicy
from qlab.twin.host import TwinHost
from qlab.twin.scpi import Later, ScpiTwin, command, query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qlab.links.link import Link
    from qlab.twin.mount import Mount

KINDS = ("visa", "asrl", "pty", "socket", "zmq", "udp", "memory")
SERIAL = ("asrl", "pty", "socket")
PATIENT = LinkPolicy()

Make = "Callable[..., tuple[Mount, Link]]"


class EchoTwin(ScpiTwin):
    """Answers with the number it was asked for and a check sum: a stale or spoilt answer shows."""

    identity = "Acme,Echo,0001,1.0"

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__(clock)
        self.heard: list[str] = []

    @query("ECHO?")
    def echo(self, number: str) -> str:
        self.heard.append(number)
        return sealed(number)

    @query("SLOW?")
    def slow(self, seconds: float) -> Later:
        return Later(seconds, lambda: "slow")

    @query("LONG?")
    def long(self, length: int) -> str:
        return "x" * length

    @query("BLOCk?")
    def block(self, length: int) -> bytes:
        return pattern(length)

    @command("NOTE")
    def note(self, text: str) -> None:
        self.heard.append(text)


class FrameTwin(EchoTwin):
    wire = "zmq"


class DatagramTwin(EchoTwin):
    wire = "udp"


def pattern(length: int) -> bytes:
    """Return bytes among which every value is, terminators too."""
    return (bytes(range(256)) * (length // 256 + 1))[:length]


def sealed(number: str) -> str:
    """Return a number with its check sum."""
    return f"{number}:{zlib.crc32(number.encode()):08x}"


def unsealed(reply: str) -> int:
    """Return the number; raises `ValueError` where the check sum is wrong."""
    number = reply.partition(":")[0]
    if reply != sealed(number):
        msg = f"{reply!r} is spoilt"
        raise ValueError(msg)
    return int(number)


def identify(link: Link) -> None:
    found = link.ask("*IDN?", retry=False)
    if found != EchoTwin.identity:
        what = f"another instrument answers at {link.address}"
        raise WrongIdentityError(what, device=link.name, command="*IDN?", found=found, expected=EchoTwin.identity)


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    with SteppedClock() as clock:
        yield clock


@pytest.fixture
def host(clock: SteppedClock) -> Iterator[TwinHost]:
    with TwinHost(clock) as host:
        yield host


@pytest.fixture
def make(host: TwinHost, tmp_path: Path) -> Iterator[Callable[..., tuple[Mount, Link]]]:
    """Put the twin on a wire and make its link, not yet open."""
    links: list[Link] = []

    def make(kind: str, policy: LinkPolicy = PATIENT) -> tuple[Mount, Link]:
        common = {"name": "echo", "clock": host.clock, "policy": policy}
        mount: Mount
        if kind == "memory":
            memory = mount = host.mount_memory(EchoTwin(host.clock))
            link: Link = MemoryLink(memory, peer=mount, **common)
        else:
            twin = {"zmq": FrameTwin, "udp": DatagramTwin}.get(kind, EchoTwin)(host.clock)
            if kind == "zmq":
                mount = host.mount_zmq(twin)
            elif kind == "udp":
                mount = host.mount_udp(twin)
            elif kind in ("pty", "asrl"):
                mount = host.mount_pty(twin, tmp_path / "port")
            else:
                mount = host.mount_serial_tcp(twin) if kind == "socket" else host.mount_tcp(twin)
            address = f"ASRL{mount.address}::INSTR" if kind == "asrl" else mount.address
            link = open_link(address, peer=mount, **common)
        link.identify = identify
        links.append(link)
        return mount, link

    yield make
    for link in links:
        link.close()
