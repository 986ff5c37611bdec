"""ZeroMQ mounts with clients written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qlab.clock import SteppedClock
    from qlab.twin.conversation import OutputStream, StreamOpener, Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.mount import Mount
    from tests.twin.conftest import FrameLampTwin

    Dial = Callable[[str], "zmq.Socket[bytes]"]
    DialKind = Callable[[str, int], "zmq.Socket[bytes]"]

RIGHT = b"Acme,Lamp,0001,1.0"


@pytest.fixture
def dial_kind() -> Iterator[DialKind]:
    """Connect a socket of any kind."""
    with zmq.Context() as context:
        sockets: list[zmq.Socket[bytes]] = []

        def connect(address: str, kind: int) -> zmq.Socket[bytes]:
            socket: zmq.Socket[bytes] = context.socket(kind)
            sockets.append(socket)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, 5000)
            socket.connect(address)
            return socket

        yield connect
        for socket in sockets:
            socket.close()


@pytest.fixture
def dial(dial_kind: DialKind) -> Dial:
    """Connect a REQ socket."""
    return lambda address: dial_kind(address, zmq.REQ)


def test_a_frame_is_a_message_and_needs_no_end(host: TwinHost, frame_lamp: FrameLampTwin, dial: Dial) -> None:
    client = dial(host.mount_zmq(frame_lamp).address)
    for _ in range(3):
        client.send(b"LEV 2;*IDN?;LEV?")
        assert client.recv() == RIGHT + b";2.000"


def test_clients_each_get_their_own_reply_and_a_slow_one_stops_nobody(
    host: TwinHost, frame_lamp: FrameLampTwin, clock: SteppedClock, dial: Dial, settled: Callable[[Mount, int], None]
) -> None:
    mount = host.mount_zmq(frame_lamp)
    slow, quick = dial(mount.address), dial(mount.address)
    slow.send(b"SLOW?")
    settled(mount, 5)
    quick.send(b"LEV?")
    assert quick.recv() == b"1.000"
    clock.sleep(2.0)
    assert slow.recv() == b"done at 2 s"
    assert (mount.received, mount.emitted) == (9, 16)


def test_a_req_socket_thrown_away_leaves_its_reply_to_nobody(
    host: TwinHost, frame_lamp: FrameLampTwin, clock: SteppedClock, dial: Dial, settled: Callable[[Mount, int], None]
) -> None:
    mount = host.mount_zmq(frame_lamp)
    first = dial(mount.address)
    first.send(b"SLOW?")
    settled(mount, 5)
    first.close()
    second = dial(mount.address)
    second.send(b"LEV?")
    clock.sleep(2.0)
    assert second.recv() == b"1.000"


def test_a_dealer_may_send_several_requests_with_or_without_the_empty_frame(
    host: TwinHost, frame_lamp: FrameLampTwin, dial_kind: DialKind
) -> None:
    client = dial_kind(host.mount_zmq(frame_lamp).address, zmq.DEALER)
    client.send_multipart([b"", b"LEV?"])
    client.send_multipart([b"", b"LEV", b" 3;LEV?"])
    client.send(b"*ESE?")
    assert client.recv_multipart() == [b"", b"1.000"]
    assert client.recv_multipart() == [b"", b"3.000"]
    assert client.recv_multipart() == [b"0"]


def test_a_burst_of_requests_is_answered_in_order(
    host: TwinHost, frame_lamp: FrameLampTwin, dial_kind: DialKind
) -> None:
    client = dial_kind(host.mount_zmq(frame_lamp).address, zmq.DEALER)
    for n in range(3000):
        client.send_multipart([b"", b"LEV %d;LEV?" % n])
    assert [client.recv_multipart()[1] for _ in range(3000)] == [b"%d.000" % n for n in range(3000)]


def test_many_clients_are_forgotten_in_the_end(host: TwinHost, frame_lamp: FrameLampTwin, dial: Dial) -> None:
    mount = host.mount_zmq(frame_lamp)
    for _ in range(300):
        client = dial(mount.address)
        client.send(b"LEV?")
        assert client.recv() == b"1.000"
        client.close()
    assert mount.connections <= 256


def test_power_comes_back_on_the_same_port(
    host: TwinHost, frame_lamp: FrameLampTwin, clock: SteppedClock, dial: Dial
) -> None:
    mount = host.mount_zmq(frame_lamp, name="lamp")
    address = mount.address
    client = dial(address)
    client.send(b"LEV 3;LEV?")
    assert client.recv() == b"3.000"
    mount.power_cycle(boot_s=1.0)
    clock.sleep(1.0)
    assert mount.address == address
    client.send(b"LEV?")
    assert client.recv() == b"1.000"


def test_faults_hit_frames_as_a_whole(
    host: TwinHost,
    frame_lamp: FrameLampTwin,
    clock: SteppedClock,
    dial: Dial,
    dial_kind: DialKind,
    settled: Callable[[Mount, int], None],
) -> None:
    mount = host.mount_zmq(frame_lamp)
    client = dial(mount.address)
    mount.faults.arm(WireFault("split", delay_s=2.0))
    client.send(b"*IDN?")
    settled(mount, 5)
    assert mount.emitted == 0
    clock.sleep(2.0)
    assert client.recv() == RIGHT
    mount.faults.arm(WireFault("duplicate"))
    dealer = dial_kind(mount.address, zmq.DEALER)
    dealer.send_multipart([b"", b"*IDN?"])
    assert [dealer.recv_multipart(), dealer.recv_multipart()] == [[b"", RIGHT], [b"", RIGHT]]
    mount.faults.arm(WireFault("wrong_identity", text="ID1000"))
    client.send(b"*IDN?")
    assert client.recv() == b"ID1000"
    mount.faults.arm(WireFault("drop"))
    client.send(b"*IDN?")
    settled(mount, 20)
    assert mount.emitted == 3 * len(RIGHT) + len(b"ID1000")


class StreamTwin:
    """The tag service of a time controller: text commands, streams on request, work of its own (sheet 10)."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.opener: StreamOpener | None = None
        self.stream: OutputStream | None = None
        self.next_ps: int | None = None
        self.resets = 0

    def attach_streams(self, opener: StreamOpener) -> None:
        self.opener = opener

    def background_due_ps(self) -> int | None:
        return self.next_ps

    def background(self) -> None:
        if self.stream is not None:
            self.stream.send(f"tags at {self.clock.now_ps() // PS_PER_S}".encode())
        self.next_ps = self.clock.now_ps() + PS_PER_S

    def connect(self) -> StreamConversation:
        return StreamConversation(self)

    def reset_power(self) -> None:
        self.resets += 1


class StreamConversation:
    def __init__(self, twin: StreamTwin) -> None:
        self.twin = twin

    def receive(self, data: bytes) -> bytes:
        verb, _, port = data.partition(b" ")
        twin = self.twin
        if verb == b"start" and twin.opener is not None:
            try:
                twin.stream = twin.opener.open_stream(int(port))
            except TwinError as error:
                return str(error).encode()
            twin.next_ps = twin.clock.now_ps() + PS_PER_S
            return str(twin.stream.port).encode()
        if verb == b"stop" and twin.stream is not None:
            twin.stream.close()
            twin.stream, twin.next_ps = None, None
        return b"ok"

    def due_ps(self) -> int | None:
        return None

    def wake(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


class ControllerTwin:
    """An instrument with two ports."""

    def __init__(self, clock: SteppedClock, commands: FrameLampTwin) -> None:
        self.service = StreamTwin(clock)
        self.commands = commands

    def ports(self) -> Mapping[str, Twin]:
        return {"scpi": self.commands, "datalink": self.service}


@pytest.fixture
def controller(clock: SteppedClock, frame_lamp: FrameLampTwin) -> ControllerTwin:
    return ControllerTwin(clock, frame_lamp)


def test_every_port_has_an_address_and_counts_of_its_own(
    host: TwinHost, controller: ControllerTwin, dial: Dial
) -> None:
    mount = host.mount_zmq(controller, name="tagger")
    assert mount.address == mount.addresses["scpi"] != mount.addresses["datalink"]
    commands, service = dial(mount.addresses["scpi"]), dial(mount.addresses["datalink"])
    commands.send(b"LEV?")
    assert commands.recv() == b"1.000"
    service.send(b"list")
    assert service.recv() == b"ok"
    counts = {port: (peer.received, peer.emitted, peer.busy) for port, peer in mount.peers.items()}
    assert counts == {"scpi": (4, 5, False), "datalink": (4, 2, False)}
    assert (mount.received, mount.emitted) == (8, 7)
    mount.power_cycle()
    assert controller.service.resets == 2
    assert mount.addresses["datalink"] != mount.address


def test_a_stream_is_bound_on_request_and_flows_in_lab_time(
    host: TwinHost, controller: ControllerTwin, clock: SteppedClock, dial: Dial, dial_kind: DialKind
) -> None:
    mount = host.mount_zmq(controller, name="tagger")
    service = dial(mount.addresses["datalink"])
    service.send(b"start 0")
    port = int(service.recv())
    stream = dial_kind(f"tcp://127.0.0.1:{port}", zmq.PAIR)
    clock.sleep(2.5)
    assert mount.streams[port].emitted == 2 * len(b"tags at 1")
    assert [stream.recv(), stream.recv()] == [b"tags at 1", b"tags at 2"]
    stream.send(b"nobody listens to this")
    clock.sleep(1.0)
    assert stream.recv() == b"tags at 3"
    service.send(b"stop")
    assert service.recv() == b"ok"
    assert mount.streams == {}
    clock.sleep(5.0)
    service.send(b"start %d" % port)  # the same port again, at once
    assert int(service.recv()) == port
    clock.sleep(1.0)
    assert stream.recv() == b"tags at 9"


def test_a_stream_port_that_is_taken_is_said_so(host: TwinHost, controller: ControllerTwin, dial: Dial) -> None:
    mount = host.mount_zmq(controller, name="tagger")
    service = dial(mount.addresses["datalink"])
    service.send(b"start " + mount.address.rpartition(":")[2].encode())
    assert b"cannot bind a stream to port" in service.recv()


def test_a_port_that_is_taken_is_a_clear_error(host: TwinHost, controller: ControllerTwin) -> None:
    taken = host.mount_tcp(controller.commands).port
    with pytest.raises(TwinError, match=r"tagger: cannot be mounted: .*cannot bind port"):
        host.mount_zmq(controller, name="tagger", ports={"scpi": taken})


def test_a_wire_without_streams_says_so(host: TwinHost, controller: ControllerTwin) -> None:
    mount = host.mount_memory(controller.service)
    mount.plug()
    mount.write(b"start 1")
    assert b"no output path" in mount.read(100)
