"""The ID900's tag download service against protocol sheet 10: pyzmq REQ and PAIR sockets, frames written by hand."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zmq

from sim_devices.taggers.idquantique_id900 import ID900Twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Dial, FakeBench

    from qlab.twin.host import TwinHost
    from qlab.twin.mount_zmq import ZmqMount

    Ask = Callable[[bytes], bytes]

MS = 1_000_000_000
SAVE = b"start-save --address 127.0.0.1 --channel 1 --filename tags --format "


def packed(*numbers: int) -> bytes:
    return np.array(numbers, "<u8").tobytes()


def status(
    name: str, records: int, tags: int, inactivity: float = 0.0, errors: tuple[str, ...] = (), *, stop: bool = False
) -> bytes:
    state: dict[str, object] = {
        "acquisitions_count": records,
        "timestamps_count": tags,
        "inactivity": inactivity,
        "errors": [{"description": error} for error in errors],
    }
    answer: dict[str, object] = {"id": name, "status": state} if stop else {"id": name, **state}
    if errors:
        answer["error"] = {"description": errors[-1]}
    return json.dumps(answer).encode()


@pytest.fixture
def tagger(table: FakeBench) -> ID900Twin:
    return ID900Twin.build("tagger", table, {})


@pytest.fixture
def mount(host: TwinHost, tagger: ID900Twin) -> ZmqMount:
    return host.mount_zmq(tagger)


def talker(client: zmq.Socket[bytes]) -> Ask:
    def ask(frame: bytes) -> bytes:
        client.send(frame)
        return client.recv()

    return ask


@pytest.fixture
def scpi(mount: ZmqMount, dial: Dial) -> Ask:
    return talker(dial(mount.addresses["scpi"]))


@pytest.fixture
def service(mount: ZmqMount, dial: Dial) -> Ask:
    return talker(dial(mount.addresses["datalink"]))


@pytest.fixture
def free_port() -> bytes:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return b"%d" % probe.getsockname()[1]


def test_a_file_holds_picoseconds_since_the_record_began(
    scpi: Ask, service: Ask, table: FakeBench, tmp_path: Path
) -> None:
    table.feed.put(in1=range(3 * MS, 1000 * MS, 4 * MS), in2=[5 * MS])
    table.clock.sleep(0.01)
    assert service(SAVE + b"bin") == b'{"id": "1"}'
    assert service(b"list") == b'["1"]'
    assert service(b"status --id 1") == status("1", 0, 0)
    assert scpi(b"RAW1:SEND ON;:REC:DUR 10MS;NUM 1;PLAY") == b"ON;10000000000TB;1;PLAY"
    table.clock.sleep(0.005)
    assert service(b"status --id 1") == status("1", 0, 1)
    table.clock.sleep(0.995)
    # tags at 11, 15 and 19 ms; the service looked last at the end of a quarter of a second
    assert service(b"stop --id 1") == status("1", 1, 3, 0.75, stop=True)
    assert (tmp_path / "tags").read_bytes() == packed(MS, 5 * MS, 9 * MS)
    assert service(b"list") == b"[]"
    assert service(b"status --id 1") == status("1", 1, 3, 0.75)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"bin", packed(0, MS, 0, MS)),
        (b"bin --with-ref-index", packed(0, 0, MS, 0, 0, 1, MS, 1)),
        (b"ascii", b"0\n1000000000\n0\n1000000000\n"),
        (b"ascii --with-ref-index", b"0;0\n1000000000;0\n0;1\n1000000000;1\n"),
    ],
)
def test_each_record_starts_anew_and_may_be_numbered(
    scpi: Ask, service: Ask, table: FakeBench, tmp_path: Path, options: bytes, expected: bytes
) -> None:
    table.feed.put(in1=range(0, 1000 * MS, MS))
    service(SAVE + options)
    scpi(b"REC:PWID 2MS;PPER 10MS;NUM 2;PLAY")
    table.clock.sleep(0.1)
    service(b"stop --id 1")
    assert (tmp_path / "tags").read_bytes() == expected


def test_a_reference_takes_the_place_of_the_records_start(
    scpi: Ask, service: Ask, table: FakeBench, tmp_path: Path
) -> None:
    table.feed.put(in1=[MS, 4 * MS, 5 * MS, 8 * MS], in2=[3 * MS, 7 * MS])
    scpi(b"RAW1:REF:LINK INPU2")
    service(SAVE + b"bin --with-ref-index")
    scpi(b"REC:DUR 10MS;NUM 1;PLAY")
    table.clock.sleep(0.1)
    service(b"stop --id 1")
    # the tag before the first reference is not sent
    assert (tmp_path / "tags").read_bytes() == packed(MS, 0, 2 * MS, 0, MS, 1)


def test_the_stop_link_says_what_is_downloaded(scpi: Ask, service: Ask, table: FakeBench, tmp_path: Path) -> None:
    scpi(b"RAW1:STOP:LINK GEN1;:GEN1:PPER 1MS;PWID 20NS;PNUM INF;PLAY")
    service(SAVE + b"bin")
    scpi(b"REC:DUR 3MS;NUM 1;PLAY")
    table.clock.sleep(0.1)
    service(b"stop --id 1")
    assert (tmp_path / "tags").read_bytes() == packed(0, MS, 2 * MS)


def test_the_bytes_of_a_file_do_not_depend_on_how_often_one_asks(
    scpi: Ask, service: Ask, table: FakeBench, tmp_path: Path
) -> None:
    table.feed.put(in1=range(0, 1000 * MS, MS))
    service(SAVE + b"bin")
    service(SAVE.replace(b"filename tags", b"filename again") + b"bin")
    scpi(b"REC:DUR 0.5S;NUM 1;PLAY")
    for _ in range(60):
        table.clock.sleep(0.01)
        service(b"status --id 2")
    service(b"stop --id 1")
    service(b"stop --id 2")
    assert (tmp_path / "tags").read_bytes() == (tmp_path / "again").read_bytes() == packed(*range(0, 500 * MS, MS))


def test_a_full_disk_is_an_error_of_the_download(scpi: Ask, service: Ask, table: FakeBench) -> None:
    table.feed.put(in1=[MS])
    service(SAVE + b"bin")
    scpi(b"REC:DUR 10MS;NUM 1;PLAY")
    table.disk_full = True
    table.clock.sleep(0.1)
    full = "cannot write: no space left on device"
    assert service(b"status --id 1") == status("1", 1, 1, errors=(full,))
    assert service(b"stop --id 1") == status("1", 1, 1, errors=(full,), stop=True)
    assert service(b"list") == b"[]"


def test_a_controller_that_wants_to_be_told_sends_nothing_before(
    host: TwinHost, table: FakeBench, dial: Dial, tmp_path: Path
) -> None:
    addresses = host.mount_zmq(ID900Twin.build("tagger", table, {"needs_send": True}), name="strict").addresses
    scpi, service = (talker(dial(addresses[port])) for port in ("scpi", "datalink"))
    table.feed.put(in1=range(0, 1000 * MS, MS))
    service(SAVE + b"bin")
    scpi(b"REC:DUR 10MS;NUM 1;PLAY")
    table.clock.sleep(0.0075)
    scpi(b"RAW1:SEND ON")
    table.clock.sleep(0.1)
    service(b"stop --id 1")
    assert (tmp_path / "tags").read_bytes() == packed(8 * MS, 9 * MS)


def test_a_stream_sends_one_message_a_record_and_an_empty_one_at_the_end(
    scpi: Ask, service: Ask, table: FakeBench, dial: Dial, free_port: bytes
) -> None:
    table.feed.put(in2=range(0, 1000 * MS, 30 * MS))
    assert service(b"start-stream --channel 2 --address 127.0.0.1 --stream-port " + free_port) == b'{"id": "1"}'
    client = dial("tcp://127.0.0.1:" + free_port.decode(), zmq.PAIR)
    scpi(b"RAW2:SEND ON;:REC:PWID 100MS;PPER 101MS;NUM INF;PLAY")
    table.clock.sleep(0.25)  # the first two records are over
    assert client.recv() == packed(0, 30 * MS, 60 * MS, 90 * MS)
    assert client.recv() == packed(19 * MS, 49 * MS, 79 * MS)  # 120, 150, 180 ms, from 101 ms on
    assert service(b"status --id 1") == status("1", 2, 7)
    table.clock.sleep(0.02)
    scpi(b"REC:STOP")  # at 270 ms, the third is cut off
    assert service(b"stop --id 1") == status("1", 3, 9, stop=True)
    assert client.recv() == packed(8 * MS, 38 * MS)  # 210 and 240 ms, from 202 ms on
    assert client.recv() == b""


def test_a_stream_may_carry_the_reference_index(
    scpi: Ask, service: Ask, table: FakeBench, dial: Dial, free_port: bytes
) -> None:
    table.feed.put(in1=[MS, 2 * MS])
    service(b"start-stream --channel 1 --address 127.0.0.1 --with-ref-index --stream-port " + free_port)
    client = dial("tcp://127.0.0.1:" + free_port.decode(), zmq.PAIR)
    scpi(b"REC:DUR 3MS;NUM 1;PLAY")
    table.clock.sleep(0.1)
    service(b"stop --id 1")
    assert [client.recv(), client.recv()] == [packed(MS, 0, 2 * MS, 0), b""]


def test_a_stream_and_a_file_of_the_same_record_hold_the_same_bytes(
    scpi: Ask, service: Ask, table: FakeBench, dial: Dial, free_port: bytes, tmp_path: Path
) -> None:
    table.feed.put(in1=range(7, 1000 * MS, 3 * MS))
    service(SAVE + b"bin")
    service(b"start-stream --channel 1 --address 127.0.0.1 --stream-port " + free_port)
    client = dial("tcp://127.0.0.1:" + free_port.decode(), zmq.PAIR)
    scpi(b"REC:DUR 600MS;NUM 1;PLAY")
    table.clock.sleep(1.0)
    assert client.recv() == (tmp_path / "tags").read_bytes()


def test_the_port_of_a_stream_that_has_ended_is_free_again(
    scpi: Ask, service: Ask, table: FakeBench, dial: Dial, free_port: bytes
) -> None:
    table.feed.put(in1=range(0, 1000 * MS, MS))
    start = b"start-stream --channel 1 --address 127.0.0.1 --stream-port " + free_port
    for n in (1, 2):
        assert service(start) == b'{"id": "%d"}' % n
        client = dial("tcp://127.0.0.1:" + free_port.decode(), zmq.PAIR)
        scpi(b"REC:DUR 2MS;NUM 1;PLAY")
        table.clock.sleep(0.002)
        service(b"stop --id %d" % n)
        assert [client.recv(), client.recv()] == [packed(0, MS), b""]
        client.close()
    assert service(start) == b'{"id": "3"}'
    assert b"error" in service(start)  # it runs


def test_channel_n_streams_on_port_4241_plus_n_unless_told_otherwise(service: Ask, mount: ZmqMount) -> None:
    said = service(b"start-stream --channel 3 --address 127.0.0.1")
    # another program of this machine may have the port
    assert said == b'{"id": "1"}' or b"4244" in said
    assert list(mount.streams) == ([4244] if said == b'{"id": "1"}' else [])


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"hello",
        b"start-save",
        b"start-save --address 1.2.3.4 --channel 5 --filename f --format bin",
        b"start-save --address 1.2.3.4 --channel 1 --filename f --format csv",
        b"start-save --channel 1 --filename f --format bin",
        b"start-save --address 1.2.3.4 --channel 1 --filename 'f",
        b"start-stream --channel 1",
        b"start-stream --channel 1 --address 1.2.3.4 --stream-port many",
        b"status",
        b"status --id 7",
        b"stop --id 7",
        b"\xff",
    ],
)
def test_what_it_cannot_do_it_says_as_json(service: Ask, wrong: bytes) -> None:
    answer = json.loads(service(wrong))
    assert list(answer) == ["error"]
    assert list(answer["error"]) == ["description"]
    assert service(b"list") == b"[]"


def test_a_controller_out_of_reach_is_an_error(service: Ask, tagger: ID900Twin) -> None:
    tagger.device_fault("no_connection")
    assert service(SAVE + b"bin") == b'{"error": {"description": "No connection to 127.0.0.1"}}'


def test_four_clients_download_four_channels(
    mount: ZmqMount, scpi: Ask, table: FakeBench, dial: Dial, tmp_path: Path
) -> None:
    table.feed.put(**{f"in{n}": range(n, 100 * MS, n * MS) for n in range(1, 5)})
    clients = [dial(mount.addresses["datalink"]) for _ in range(4)]
    start = "start-save --address 127.0.0.1 --channel {0} --filename c{0} --format bin"
    for n, client in enumerate(clients, start=1):
        client.send(start.format(n).encode())
    jobs = [json.loads(client.recv())["id"] for client in clients]
    assert sorted(jobs) == ["1", "2", "3", "4"]
    assert scpi(b"DEVI:RES HIRES;:REC:DUR 10MS;NUM 1;PLAY") == b"HIRES;10000000000TB;1;PLAY"
    table.clock.sleep(0.02)
    for job, client in zip(jobs, clients, strict=True):
        client.send(f"stop --id {job}".encode())
    counts = [json.loads(client.recv())["status"]["timestamps_count"] for client in clients]
    assert counts == [10, 5, 4, 3]
    for n in range(1, 5):
        assert (tmp_path / f"c{n}").read_bytes() == packed(*range(n, 10 * MS, n * MS))


def test_a_request_in_several_parts_is_one_request(mount: ZmqMount, dial: Dial) -> None:
    client = dial(mount.addresses["datalink"], zmq.DEALER)
    client.send_multipart([b"", b"start-save --address 127.0.0.1 --chan", b"nel 1 --filename tags --for", b"mat bin"])
    client.send_multipart([b"", b"list"])
    assert client.recv_multipart() == [b"", b'{"id": "1"}']
    assert client.recv_multipart() == [b"", b'["1"]']
