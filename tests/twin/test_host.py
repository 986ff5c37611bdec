"""Mounts on real sockets and terminals, with clients written by hand."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import zmq

from qlab.clock import PacedClock, SteppedClock
from qlab.twin.faults import WireFault
from qlab.twin.host import TwinHost
from qlab.twin.scpi import Later, ScpiTwin, parameter, query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LampTwin(ScpiTwin):
    identity = "Acme,Lamp,0001,1.0"
    level = parameter("LEVel", 1.0, fmt=".3f")

    @query("SLOW?")
    def slow(self) -> Later:
        return Later(2.0, lambda: "done")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def host(clock: SteppedClock) -> Iterator[TwinHost]:
    with TwinHost(clock) as host:
        yield host


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def _line(client: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = client.recv(1000)
        if not piece:
            break
        data += piece
    return data


def test_tcp_clients_share_the_front_panel_and_not_their_half_commands(host: TwinHost) -> None:
    mount = host.mount_tcp(LampTwin(host.clock))
    with _connect(mount.port) as a, _connect(mount.port) as b:
        a.sendall(b"LEV 4;LE")
        b.sendall(b"*IDN?\n")
        assert _line(b) == b"Acme,Lamp,0001,1.0\n"
        a.sendall(b"V?\n")
        assert _line(a) == b"4.000\n"


def test_a_peer_counts_every_byte(host: TwinHost) -> None:
    mount = host.mount_tcp(LampTwin(host.clock))
    with _connect(mount.port) as client:
        client.sendall(b"*IDN?\n")
        assert _line(client) == b"Acme,Lamp,0001,1.0\n"
    while mount.received < 6:
        pass
    assert (mount.received, mount.emitted, mount.busy) == (6, 19, False)


def test_a_reply_that_is_due_later_comes_when_lab_time_gets_there(host: TwinHost, clock: SteppedClock) -> None:
    mount = host.mount_tcp(LampTwin(clock))
    with _connect(mount.port) as client:
        client.sendall(b"SLOW?\n")
        while mount.received < 6 or mount.busy:
            pass
        assert mount.emitted == 0
        clock.sleep(1.99)
        assert mount.emitted == 0
        clock.sleep(0.02)
        assert mount.emitted == 5
        assert _line(client) == b"done\n"


def test_a_pty_keeps_its_name_over_a_power_cycle(host: TwinHost, tmp_path: Path, clock: SteppedClock) -> None:
    mount = host.mount_pty(LampTwin(clock), tmp_path / "lamp")
    fd = os.open(mount.address, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"LEV 3\n*IDN?\n")
    assert os.read(fd, 100) == b"Acme,Lamp,0001,1.0\n"
    mount.power_off()
    host.run(_turn())
    with pytest.raises(OSError, match="error"):
        os.write(fd, b"x")
    os.close(fd)
    mount.power_on(boot_s=5.0)
    assert not os.path.lexists(mount.address)
    clock.sleep(5.0)
    host.run(_turn())
    fd = os.open(mount.address, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"LEV?\n")
    assert os.read(fd, 100) == b"1.000\n"
    os.close(fd)


async def _turn() -> None:
    """Let the host's loop do what was asked of it before."""


def test_zeromq_clients_each_get_their_own_reply(host: TwinHost) -> None:
    class FrameTwin(LampTwin):
        """ZeroMQ frames have no terminator: complete the line on the way in, and cut it on the way out."""

    mount = host.mount_zmq(FrameTwin(host.clock))
    with zmq.Context() as context, context.socket(zmq.REQ) as a, context.socket(zmq.REQ) as b:
        for client in (a, b):
            client.linger = 0
            client.rcvtimeo = 5000
            client.connect(mount.address)
        a.send(b"*IDN?\n")
        b.send(b"LEV?\n")
        assert a.recv() == b"Acme,Lamp,0001,1.0\n"
        assert b.recv() == b"1.000\n"


def test_wire_faults_do_what_their_name_says(host: TwinHost, clock: SteppedClock) -> None:
    mount = host.mount_memory(LampTwin(clock), "lamp")
    mount.plug()

    def ask(fault: WireFault) -> bytes:
        mount.faults.arm(fault)
        mount.write(b"*IDN?\n")
        return mount.read(1000, 0.0)

    right = b"Acme,Lamp,0001,1.0\n"
    assert ask(WireFault("silent")) == b""
    assert ask(WireFault("truncate")) == right[:9]
    assert ask(WireFault("duplicate")) == right + right
    assert ask(WireFault("noise_prefix")).endswith(right)
    assert ask(WireFault("noise_prefix", match=b"SLOW")) == right  # armed for another command
    mount.faults.clear()
    assert ask(WireFault("wrong_identity")) == b"Impostor,X1,0,0\n"
    garbled = ask(WireFault("garble"))
    assert garbled != right
    assert len(garbled) == len(right)
    assert ask(WireFault("late", delay_s=3.0)) == b""
    clock.sleep(3.0)
    assert mount.read(1000, 0.0) == right
    assert ask(WireFault("split", delay_s=1.0)) == right[:9]
    clock.sleep(1.0)
    assert mount.read(1000, 0.0) == right[9:]
    assert ask(WireFault("busy", delay_s=2.0)) == b""
    clock.sleep(2.0)
    assert mount.read(1000, 0.0) == right
    mount.faults.arm(WireFault("drop"))
    mount.write(b"*IDN?\n")
    with pytest.raises(ConnectionResetError):
        mount.read(1000, 0.0)


def test_a_refusing_instrument_hangs_up_on_new_clients(host: TwinHost) -> None:
    mount = host.mount_tcp(LampTwin(host.clock))
    mount.faults.arm(WireFault("refuse"))
    with _connect(mount.port) as client:
        try:
            left = client.recv(100)
        except ConnectionResetError:
            left = b""
        assert left == b""
    mount.faults.clear("refuse")
    with _connect(mount.port) as client:
        client.sendall(b"LEV?\n")
        assert _line(client) == b"1.000\n"


def test_paced_time_serves_late_replies_as_well() -> None:
    with PacedClock(speed=100.0) as clock, TwinHost(clock) as host:
        mount = host.mount_tcp(LampTwin(clock))
        with _connect(mount.port) as client:
            client.sendall(b"SLOW?\n")
            assert _line(client) == b"done\n"
