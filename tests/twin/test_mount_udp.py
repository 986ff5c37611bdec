"""UDP mounts with clients written by hand on raw sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qlab.clock import SteppedClock
    from qlab.twin.host import TwinHost
    from qlab.twin.mount import Mount
    from tests.twin.conftest import FrameLampTwin

    Settled = Callable[[Mount, int], None]

RIGHT = b"Acme,Lamp,0001,1.0"


@pytest.fixture
def dial() -> Iterator[Callable[[int], socket.socket]]:
    clients: list[socket.socket] = []

    def connect(port: int) -> socket.socket:
        clients.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        clients[-1].settimeout(5.0)
        clients[-1].connect(("127.0.0.1", port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_each_datagram_is_a_message_and_clients_do_not_mix(
    host: TwinHost, frame_lamp: FrameLampTwin, dial: Callable[[int], socket.socket]
) -> None:
    mount = host.mount_udp(frame_lamp)
    assert mount.address == f"udp://127.0.0.1:{mount.port}"
    a, b = dial(mount.port), dial(mount.port)
    a.send(b"LEV 4;*IDN?")
    assert a.recv(99) == RIGHT
    b.send(b"LEV?")
    assert b.recv(99) == b"4.000"
    assert mount.connections == 2


def test_a_port_without_power_refuses_and_stays_the_same(
    host: TwinHost, frame_lamp: FrameLampTwin, clock: SteppedClock, dial: Callable[[int], socket.socket]
) -> None:
    mount = host.mount_udp(frame_lamp)
    port = mount.port
    client = dial(port)
    mount.power_cycle(boot_s=2.0)
    client.send(b"*IDN?")
    with pytest.raises(ConnectionRefusedError):
        client.recv(99)
    clock.sleep(2.1)
    client.send(b"*IDN?")
    assert client.recv(99) == RIGHT
    assert mount.port == port


def test_drop_loses_the_reply_and_duplicate_sends_it_twice(
    host: TwinHost, frame_lamp: FrameLampTwin, dial: Callable[[int], socket.socket]
) -> None:
    mount = host.mount_udp(frame_lamp)
    client = dial(mount.port)
    mount.faults.arm(WireFault("drop"))
    client.send(b"*IDN?")
    client.send(b"LEV?")
    assert client.recv(99) == b"1.000"
    mount.faults.arm(WireFault("duplicate"))
    client.send(b"*IDN?")
    assert [client.recv(99), client.recv(99)] == [RIGHT, RIGHT]


def test_a_reply_longer_than_a_datagram_is_a_bug_of_the_twin(
    host: TwinHost, frame_lamp: FrameLampTwin, dial: Callable[[int], socket.socket], settled: Settled
) -> None:
    mount = host.mount_udp(frame_lamp, name="lamp")
    client = dial(mount.port)
    client.send(b"LONG?")
    settled(mount, 5)
    client.send(b"*IDN?")
    assert client.recv(99) == RIGHT
    assert mount.emitted == len(RIGHT)
    with pytest.raises(TwinError, match="lamp: OSError"):
        host.close()
