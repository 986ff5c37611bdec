"""TCP mounts with clients written by hand on raw sockets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import serial

from qlab.clock import PS_PER_S, PacedClock, SteppedClock
from qlab.errors import TwinError
from qlab.twin.faults import WireFault
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import Clock
    from qlab.twin.mount import Mount
    from tests.twin.conftest import Client, LampTwin

    Dial = Callable[[int], Client]
    Settled = Callable[[Mount, int], None]

RIGHT = b"Acme,Lamp,0001,1.0\n"


def test_merged_and_fragmented_commands_get_their_replies(host: TwinHost, lamp: LampTwin, dial: Dial) -> None:
    client = dial(host.mount_tcp(lamp).port)
    client.sendall(b"*IDN?\nLEV?\n*ID")
    assert [client.line(), client.line()] == [RIGHT, b"1.000\n"]
    for byte in b"N?\n":
        client.sendall(bytes([byte]))
    assert client.line() == RIGHT


def test_clients_share_the_front_panel_and_not_their_half_commands(host: TwinHost, lamp: LampTwin, dial: Dial) -> None:
    mount = host.mount_tcp(lamp, name="lamp")
    a, b = dial(mount.port), dial(mount.port)
    a.sendall(b"LEV 4;LE")
    b.sendall(b"*IDN?\n")
    assert b.line() == RIGHT
    a.sendall(b"V?\n")
    assert a.line() == b"4.000\n"
    b.sendall(b"LEV?\n")
    assert b.line() == b"4.000\n"
    assert mount.connections == 2


def test_every_byte_is_counted_before_the_command_is_taken_for_received(
    host: TwinHost, lamp: LampTwin, dial: Dial, settled: Settled
) -> None:
    mount = host.mount_tcp(lamp)
    client = dial(mount.port)
    sent = expected = 0
    for _ in range(200):
        client.sendall(b"*IDN?\nLEV 3\n")
        sent, expected = sent + 12, expected + len(RIGHT)
        settled(mount, sent)
        assert (mount.received, mount.emitted) == (sent, expected)
    assert b"".join(client.line() for _ in range(200)) == RIGHT * 200


def test_a_client_who_leaves_is_forgotten(host: TwinHost, lamp: LampTwin, dial: Dial, settled: Settled) -> None:
    mount = host.mount_tcp(lamp)
    client = dial(mount.port)
    client.sendall(b"SLOW?\n")
    settled(mount, 6)
    client.close()
    while mount.connections:
        pass
    host.clock.sleep(5.0)
    assert mount.emitted == 0


def test_a_reply_that_takes_time_comes_when_lab_time_gets_there(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, dial: Dial, settled: Settled
) -> None:
    mount = host.mount_tcp(lamp)
    client = dial(mount.port)
    client.sendall(b"SLOW?\nLEV?\n")
    settled(mount, 11)
    assert (mount.emitted, mount.busy) == (0, False)
    clock.sleep(1.99)
    assert mount.emitted == 0
    clock.sleep(0.02)  # the reply is counted before the sleeper wakes
    assert mount.emitted == 18
    assert client.line() == b"done at 2 s\n"
    assert client.line() == b"1.000\n"


def test_stepped_time_never_overtakes_a_reply(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, dial: Dial, settled: Settled
) -> None:
    mount = host.mount_tcp(lamp)
    client = dial(mount.port)
    for n in range(50):
        client.sendall(b"SLOW?\n")
        settled(mount, 6 * (n + 1))
        clock.sleep(2.0)
        assert client.line() == f"done at {2 * (n + 1)} s\n".encode()


def test_a_long_reply_arrives_whole(host: TwinHost, lamp: LampTwin, dial: Dial) -> None:
    client = dial(host.mount_tcp(lamp).port)
    client.sendall(b"LONG?\n")
    data = b""
    while not data.endswith(b"\n"):
        data += client.recv(1 << 16)
    assert len(data) == 300_001


def test_power_breaks_connections_and_the_port_stays_over_the_boot_time(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, dial: Dial
) -> None:
    mount = host.mount_tcp(lamp, name="lamp")
    client = dial(mount.port)
    client.sendall(b"LEV 3;LEV?\n")
    assert client.line() == b"3.000\n"
    mount.power_off()
    assert client.recv(10) == b""
    assert lamp.level == 1.0
    with pytest.raises(ConnectionRefusedError):
        dial(mount.port)
    mount.power_on(boot_s=5.0)
    clock.sleep(4.9)
    with pytest.raises(ConnectionRefusedError):
        dial(mount.port)
    clock.sleep(0.1)
    client = dial(mount.port)
    client.sendall(b"*ESR?;LEV?\n")
    assert client.line() == b"128;1.000\n"  # the power-on bit (IEEE 488.2, 11.5.1)


def test_power_on_twice_and_off_while_booting_do_no_harm(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, dial: Dial
) -> None:
    mount = host.mount_tcp(lamp)
    mount.power_on()
    mount.power_cycle(boot_s=2.0)
    mount.power_off()
    clock.sleep(3.0)
    assert not mount.reachable
    mount.power_on()
    client = dial(mount.port)
    client.sendall(b"LEV?\n")
    assert client.line() == b"1.000\n"


def test_refuse_breaks_what_there_is_and_refuses_what_comes(host: TwinHost, lamp: LampTwin, dial: Dial) -> None:
    mount = host.mount_tcp(lamp)
    client = dial(mount.port)
    mount.faults.arm(WireFault("refuse"))
    assert client.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        dial(mount.port)
    mount.power_cycle()
    with pytest.raises(ConnectionRefusedError):
        dial(mount.port)
    mount.faults.clear()
    client = dial(mount.port)
    client.sendall(b"LEV?\n")
    assert client.line() == b"1.000\n"


def test_drop_closes_after_what_was_said_before(host: TwinHost, lamp: LampTwin, dial: Dial) -> None:
    mount = host.mount_tcp(lamp)
    mount.faults.arm(WireFault("drop", match="LEV"))
    client = dial(mount.port)
    client.sendall(b"*IDN?\nLEV?\n")
    assert client.line() == RIGHT
    assert client.recv(10) == b""


def test_a_fixed_port_that_is_taken_is_a_clear_error(host: TwinHost, lamp: LampTwin) -> None:
    mount = host.mount_tcp(lamp, name="first")
    assert mount.address == f"TCPIP0::127.0.0.1::{mount.port}::SOCKET"
    with pytest.raises(TwinError, match=r"second: cannot be mounted: .*in use"):
        host.mount_tcp(lamp, name="second", port=mount.port)
    with pytest.raises(TwinError, match="'first' is mounted already"):
        host.mount_tcp(lamp, name="first")


def test_a_serial_line_over_tcp_keeps_half_a_command_for_the_next_client(
    host: TwinHost, lamp: LampTwin, clock: SteppedClock, settled: Settled, dial: Dial
) -> None:
    mount = host.mount_serial_tcp(lamp)
    first = dial(mount.port)
    first.sendall(b"SLOW?\n*ID")
    settled(mount, 9)
    first.close()
    clock.sleep(2.0)  # the reply goes into the void
    with serial.serial_for_url(mount.address, timeout=5) as port:
        port.write(b"N?\n")
        assert port.readline() == RIGHT
        other = dial(mount.port)
        other.sendall(b"LEV?\n")
        assert other.line() == b"1.000\n"
        mount.faults.arm(WireFault("drop"))
        other.sendall(b"LEV?\n")
        assert other.recv(10) == b""
    assert mount.connections == 1


def test_paced_time_serves_late_replies_as_well(dial: Dial, make_lamp: Callable[[Clock], LampTwin]) -> None:
    with PacedClock(speed=100.0) as clock, TwinHost(clock) as host:
        client = dial(host.mount_tcp(make_lamp(clock)).port)
        client.sendall(b"SLOW?\n")
        assert client.line().startswith(b"done at ")
        assert clock.now_ps() >= 2 * PS_PER_S


def test_a_bug_in_a_twin_neither_wedges_it_nor_stays_hidden(clock: SteppedClock, lamp: LampTwin, dial: Dial) -> None:
    host = TwinHost(clock)
    client = dial(host.mount_tcp(lamp, name="lamp").port)
    client.sendall(b"BUG\n")
    client.sendall(b"LEV?\n")
    while not host.failures:
        pass
    with pytest.raises(TwinError, match="lamp: RuntimeError: a bug in the twin"):
        host.close()
    host.close()  # again is fine


def test_the_host_leaves_no_thread_and_refuses_further_work(clock: SteppedClock, lamp: LampTwin) -> None:
    before = threading.active_count()
    host = TwinHost(clock)
    host.mount_tcp(lamp)
    host.close()
    assert threading.active_count() == before
    with pytest.raises(TwinError, match="host is closed"):
        host.mount_tcp(lamp)
