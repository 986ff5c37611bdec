"""The control channel: a port of its own, one clear answer to everything."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from qlab.clock import RealClock
from qlab.errors import TwinError, WorldError
from qlab.twin.control import ControlServer
from qlab.twin.control_client import ControlClient
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qlab.clock import SteppedClock
    from qlab.twin.mount_memory import MemoryMount
    from tests.twin.conftest import Client, LampTwin


def world(request: Mapping[str, object]) -> object:
    if "cut" not in request:
        msg = "the world can only cut fibres"
        raise WorldError(msg)
    return {"cut": request["cut"]}


@pytest.fixture
def mount(host: TwinHost, lamp: LampTwin) -> MemoryMount:
    mount = host.mount_memory(lamp, "lamp")
    mount.plug()
    return mount


@pytest.fixture
def server(host: TwinHost) -> ControlServer:
    return ControlServer(host, world=world)


@pytest.fixture
def client(server: ControlServer) -> Iterator[ControlClient]:
    with ControlClient(*server.address) as client:
        yield client


def ask(mount: MemoryMount, command: bytes) -> bytes:
    mount.write(command)
    return mount.read(100)


def test_list_shows_every_twin(mount: MemoryMount, client: ControlClient) -> None:
    ask(mount, b"LEV?\n")
    listed = client.list()
    assert listed == {
        "lamp": {
            "address": "memory://lamp",
            "twin": "LampTwin",
            "powered": True,
            "reachable": True,
            "connections": 1,
            "received": 5,
            "emitted": 6,
            "faults": [],
        }
    }


def test_wire_faults_are_armed_and_cleared(mount: MemoryMount, client: ControlClient) -> None:
    armed = client.fault("lamp", "silent", match="LEV", count=2)
    assert isinstance(armed, list)
    assert armed[0]["left"] == 2
    assert ask(mount, b"LEV?\n") == b""
    assert client.clear("lamp") == {"lamp": []}
    assert ask(mount, b"LEV?\n") == b"1.000\n"
    client.fault("lamp", "silent", probability=1.0)
    assert [ask(mount, b"LEV?\n") for _ in range(3)] == [b"", b"", b""]
    client.clear(kind="late")
    assert ask(mount, b"LEV?\n") == b""
    client.clear()
    assert ask(mount, b"LEV?\n") == b"1.000\n"


def test_refuse_is_in_force_when_the_answer_comes(
    host: TwinHost, lamp: LampTwin, client: ControlClient, dial: Callable[[int], Client]
) -> None:
    port = host.mount_tcp(lamp, name="lamp").port
    client.fault("lamp", "refuse")
    with pytest.raises(ConnectionRefusedError):
        dial(port)
    client.clear("lamp")
    dial(port).sendall(b"*IDN?\n")
    client.power("lamp", "off")
    with pytest.raises(ConnectionRefusedError):
        dial(port)
    client.power("lamp", "on")
    dial(port)


def test_device_faults_go_to_the_instrument(mount: MemoryMount, client: ControlClient) -> None:
    client.fault("lamp", "dim")
    assert ask(mount, b"LEV?\n") == b"0.500\n"
    assert client.peek("lamp") == {"level": 0.5}
    client.fault("lamp", "dim", active=False)
    assert client.peek("lamp") == {"level": 1.0}


def test_power_has_a_boot_time_and_time_can_be_stepped(
    mount: MemoryMount, client: ControlClient, clock: SteppedClock
) -> None:
    state = client.power("lamp", "cycle", boot_s=3.0)
    assert isinstance(state, dict)
    assert state["reachable"] is False
    assert client.step(2.0) == {"now_ps": 2_000_000_000_000}
    reachable = [mount.reachable]
    client.step(1.0)
    assert [*reachable, mount.reachable] == [False, True]
    assert clock.now_ps() == 3_000_000_000_000
    client.power("lamp", "off")
    assert not mount.powered
    client.power("lamp", "on")
    assert mount.powered


def test_the_world_is_asked_through_the_lab(client: ControlClient) -> None:
    assert client.world(cut="alice_fibre") == {"cut": "alice_fibre"}
    with pytest.raises(TwinError, match="world: the world can only cut fibres"):
        client.world()


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (
            {"op": "explode"},
            "unknown op 'explode'; there are list, fault, clear, power, peek, now, step, meet, part, world",
        ),
        ({}, "unknown op None"),
        ({"op": "peek", "instrument": "lamb"}, "no twin is called 'lamb'; there are lamp"),
        ({"op": "peek"}, "no twin is called None"),
        ({"op": "peek", "instrument": "lamp", "x": 1}, "unknown field x"),
        ({"op": "fault", "instrument": "lamp", "kind": "late", "sometimes": 1}, "late knows no sometimes"),
        ({"op": "fault", "instrument": "lamp", "kind": "late", "delay_s": "soon"}, "wire fault late: delay_s"),
        ({"op": "fault", "instrument": "lamp", "kind": "late", "delay_s": -1}, "negative"),
        ({"op": "fault", "instrument": "lamp", "kind": "dim", "sometimes": 1}, "unexpected keyword argument"),
        ({"op": "clear", "kind": "dim"}, "no wire fault 'dim'"),
        ({"op": "power", "instrument": "lamp", "state": "up"}, 'expected state "on", "off" or "cycle"'),
        ({"op": "step", "seconds": -1}, "expected seconds of at least 0"),
        ({"op": "step"}, "expected seconds"),
        ([1], "no JSON object"),
        ("{", "no line of JSON"),
    ],
)
def test_a_wrong_request_gets_one_clear_error(
    mount: MemoryMount, server: ControlServer, request_line: object, error: str
) -> None:
    with socket.create_connection(server.address, timeout=5) as raw, raw.makefile("rb") as file:
        text = request_line if isinstance(request_line, str) else json.dumps(request_line)
        raw.sendall(text.encode() + b"\n" + b'{"op": "list"}\n')
        answer, after = json.loads(file.readline()), json.loads(file.readline())
    assert answer["ok"] is False
    assert error in answer["error"]
    assert after["ok"] is True


def test_a_twin_without_panel_or_faults_says_so(host: TwinHost, client: ControlClient) -> None:
    class BareTwin:
        def connect(self) -> None:
            raise NotImplementedError

        def reset_power(self) -> None:
            pass

    host.mount_memory(BareTwin(), "bare")  # type: ignore[arg-type]
    with pytest.raises(TwinError, match="bare does not show its front panel"):
        client.peek("bare")
    with pytest.raises(TwinError, match="bare has no fault 'dim'"):
        client.fault("bare", "dim")


def test_running_time_cannot_be_stepped_and_a_lab_may_have_no_world() -> None:
    with RealClock() as clock, TwinHost(clock) as host:
        server = ControlServer(host)
        with ControlClient(*server.address) as client:
            with pytest.raises(TwinError, match="the lab's time is real"):
                client.step(1.0)
            with pytest.raises(TwinError, match="no world"):
                client.world()


def test_a_closed_lab_ends_the_channel(host: TwinHost) -> None:
    server = ControlServer(host)
    with ControlClient(*server.address) as client:
        assert client.list() == {}
        server.close()
        with pytest.raises(TwinError, match=r"closed the control channel|did not answer"):
            client.list()
    with pytest.raises(TwinError, match="no lab listens for control"):
        ControlClient(*server.address)
