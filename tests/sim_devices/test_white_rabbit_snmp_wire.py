"""The White Rabbit switch twin against protocol sheet 21: datagrams written byte by byte, on a raw UDP socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.timing.white_rabbit_switch import WhiteRabbitSwitchTwin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import FakeBench

    from qlab.twin.host import TwinHost

    Say = Callable[[bytes], bytes]

BASE = bytes.fromhex("2b060104016064")  # 1.3.6.1.4.1.96.100
COMMUNITY = b"\x04\x06public"
NO_ERROR = b"\x02\x01\x00\x02\x01\x00"
GET, GET_NEXT, RESPONSE, SET, GET_BULK = b"\xa0", b"\xa1", b"\xa2", b"\xa3", b"\xa5"
VALUES = [
    (b"\x06\x01\x01\x00", b"\x02\x01\x01"),  # main status: ok
    (b"\x06\x01\x02\x00", b"\x02\x01\x01"),
    (b"\x06\x01\x03\x00", b"\x02\x01\x01"),
    (b"\x06\x01\x04\x00", b"\x02\x01\x01"),
    (b"\x07\x01\x01\x01\x00", b"\x46\x04\x69\x55\xb9\x25"),  # TAI: 1767225600 + 37 s
    (b"\x07\x05\x01\x06\x01", b"\x04\x0bTRACK_PHASE"),
    (b"\x07\x05\x01\x07\x01", b"\x02\x01\x04"),
    (b"\x07\x05\x01\x08\x01", b"\x02\x01\x02"),
    (b"\x07\x05\x01\x0a\x01", b"\x46\x01\x00"),
    (b"\x07\x05\x01\x0b\x01", b"\x02\x01\x00"),
    (b"\x07\x05\x01\x0d\x01", b"\x46\x04\x02\xf9\x23\x90"),  # 2 x 5000 m x 4898 ps/m + 902000 ps = 49882000 ps
    (b"\x07\x05\x01\x0e\x01", b"\x42\x02\x13\x88"),  # 5000 m
    (b"\x07\x05\x01\x0f\x01", b"\x41\x01\x00"),
    (b"\x07\x05\x01\x10\x01", b"\x02\x03\x03\x6e\xe8"),  # 225000 ps
    (b"\x07\x05\x01\x11\x01", b"\x02\x03\x03\x72\xd0"),  # 226000 ps
    (b"\x07\x05\x01\x12\x01", b"\x02\x03\x03\x6e\xe8"),
    (b"\x07\x05\x01\x13\x01", b"\x02\x03\x03\x72\xd0"),
    (b"\x07\x05\x01\x14\x01", b"\x41\x01\x00"),
    (b"\x07\x05\x01\x15\x01", b"\x41\x01\x00"),
    (b"\x07\x05\x01\x16\x01", b"\x41\x01\x00"),
]
"""All objects of the sheet in the order of the tree; [V1] their types, from the MIB."""
STATE, NUMBER, TRACKING, OFFSET, OFFSET_32, UPDATES = (b"\x07\x05\x01" + bytes([n, 1]) for n in (6, 7, 8, 10, 11, 15))
MISSING, NO_ROW, END = b"\x80\x00", b"\x81\x00", b"\x82\x00"


def tlv(tag: bytes, body: bytes) -> bytes:
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    if 128 <= len(body) < 256:
        size = b"\x81" + bytes([len(body)])
    return tag + size + body


def pdu(kind: bytes, head: bytes, *bounds: tuple[bytes, bytes], community: bytes = COMMUNITY, number: int = 7) -> bytes:
    """Return a message; identifiers are below the switch's base."""
    listed = b"".join(tlv(b"\x30", tlv(b"\x06", BASE + name) + value) for name, value in bounds)
    body = tlv(kind, b"\x02\x01" + bytes([number]) + head + tlv(b"\x30", listed))
    return tlv(b"\x30", b"\x02\x01\x01" + community + body)


def ask(*names: bytes, kind: bytes = GET, head: bytes = NO_ERROR) -> bytes:
    return pdu(kind, head, *((name, b"\x05\x00") for name in names))


def told(*bounds: tuple[bytes, bytes]) -> bytes:
    return pdu(RESPONSE, NO_ERROR, *bounds)


@pytest.fixture
def switch(table: FakeBench) -> WhiteRabbitSwitchTwin:
    return WhiteRabbitSwitchTwin.build("switch", table, {"noise_ps": 0.0})


@pytest.fixture
def say(host: TwinHost, switch: WhiteRabbitSwitchTwin) -> Iterator[Say]:
    """Send one datagram and return the reply, nothing for silence."""
    mount = host.mount_udp(switch)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", mount.port))

        def talk(message: bytes) -> bytes:
            received, emitted = mount.received + len(message), mount.emitted
            client.send(message)
            while mount.received < received or mount.busy:
                os.sched_yield()
            return client.recv(65536) if mount.emitted > emitted else b""

        yield talk


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_get_returns_each_object_of_the_sheet(say: Say, name: bytes, value: bytes) -> None:
    assert say(ask(name)) == told((name, value))


def test_one_datagram_asks_for_many(say: Say) -> None:
    assert say(ask(*(name for name, _ in VALUES))) == told(*VALUES)


def test_a_message_spelled_out(say: Say) -> None:
    question = "302a 020101 0406 7075626c6963 a01d 020107 020100 020100 3012 3010 060c 2b060104016064 0705010701 0500"
    answer = "302b 020101 0406 7075626c6963 a21e 020107 020100 020100 3013 3011 060c 2b060104016064 0705010701 020104"
    assert say(bytes.fromhex(question)) == bytes.fromhex(answer)


def test_what_is_not_there_says_how(say: Say) -> None:
    for name, why in ((b"\x07\x05\x01\x07\x02", NO_ROW), (b"\x09\x09\x00", MISSING), (b"\x06\x01\x01\x01", NO_ROW)):
        assert say(ask(name)) == told((name, why))


def test_get_next_walks_the_tree_in_order_to_its_end(say: Say) -> None:
    name = b"\x06"
    for expected in VALUES:
        assert say(ask(name, kind=GET_NEXT)) == told(expected)
        name = expected[0]
    assert say(ask(name, kind=GET_NEXT)) == told((name, END))


def test_get_bulk_returns_rows_behind_single_ones(say: Say) -> None:
    head = b"\x02\x01\x01\x02\x01\x03"  # one non-repeater, three repetitions
    reply = say(ask(b"\x06\x01\x01\x00", b"\x07\x05\x01\x06", kind=GET_BULK, head=head))
    assert reply == told(VALUES[1], *VALUES[5:8])


def test_get_bulk_stops_at_the_end_and_at_the_size_of_a_frame(say: Say) -> None:
    reply = say(ask(b"\x07\x05\x01\x15", kind=GET_BULK, head=b"\x02\x01\x00\x02\x01\x0a"))
    assert reply == told(VALUES[18], VALUES[19], (VALUES[19][0], END))
    reply = say(ask(*([b"\x06"] * 9), kind=GET_BULK, head=b"\x02\x01\x00\x02\x01\x64"))
    assert 1000 < len(reply) <= 1472


def test_too_much_for_one_datagram_is_too_big(say: Say) -> None:
    assert say(ask(*([STATE] * 60))) == pdu(RESPONSE, b"\x02\x01\x01\x02\x01\x00")


def test_setting_is_refused(say: Say) -> None:
    bound = (NUMBER, b"\x02\x01\x00")
    assert say(pdu(SET, NO_ERROR, bound)) == pdu(RESPONSE, b"\x02\x01\x06\x02\x01\x01", bound)


def test_strangers_and_nonsense_are_met_with_silence(say: Say) -> None:
    right = ask(NUMBER)
    assert say(pdu(GET, NO_ERROR, (NUMBER, b"\x05\x00"), community=b"\x04\x07private")) == b""
    assert say(right.replace(b"\x02\x01\x01\x04\x06", b"\x02\x01\x00\x04\x06")) == b""  # SNMP v1
    assert say(right[:-1]) == b""
    assert say(right + b"\x00") == b""
    assert say(b"*IDN?\n") == b""
    assert say(right) == told((NUMBER, b"\x02\x01\x04"))


def test_a_negative_offset_wraps_in_64_bits_and_not_in_32(
    host: TwinHost, table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin
) -> None:
    switch._parameters.step_ps = -1000.0
    switch.device_fault("offset_step")
    table.clock.sleep(1.0)
    # -1000 exp(-1/3) = -716.5 ps; 2^64 - 717 is 00 ff ff ff ff ff ff fd 33
    assert say(ask(OFFSET, OFFSET_32)) == told(
        (OFFSET, b"\x46\x09\x00\xff\xff\xff\xff\xff\xff\xfd\x33"), (OFFSET_32, b"\x02\x02\xfd\x33")
    )


def test_an_offset_beyond_32_bits_stops_at_their_end(table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin) -> None:
    switch._parameters.step_ps = 1e12
    switch.device_fault("offset_step")
    table.clock.sleep(1.0)
    assert say(ask(OFFSET_32)) == told((OFFSET_32, b"\x02\x04\x7f\xff\xff\xff"))


@pytest.mark.parametrize(
    ("fault", "words", "state"),
    [
        ("link_down", (2, 1, 2, 3), 0),
        ("lock_lost", (2, 1, 2, 1), 0),
        ("track_lost", (2, 1, 2, 1), 3),
        ("servo_frozen", (1, 1, 1, 1), 4),
        ("servo_unknown", (2, 1, 2, 1), 99),
        ("os_error", (2, 2, 1, 1), 4),
        ("networking_warning", (3, 1, 1, 3), 4),
    ],
)
def test_faults_show_in_status_and_state_and_go(
    table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin, fault: str, words: tuple[int, ...], state: int
) -> None:
    names = [bytes([6, 1, n, 0]) for n in (1, 2, 3, 4)]

    def seen() -> tuple[int, ...]:
        return tuple(say(ask(name))[-1] for name in (*names, NUMBER))

    switch.device_fault(fault)
    assert seen() == (*words, state)
    switch.device_fault(fault, active=False)
    table.clock.sleep(30.0)
    assert seen() == (1, 1, 1, 1, 4)
    with pytest.raises(TwinError, match="os_error"):
        switch.device_fault("no such thing")


def test_the_agent_looks_at_the_servo_every_five_seconds(
    table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin
) -> None:
    assert say(ask(NUMBER)) == told((NUMBER, b"\x02\x01\x04"))
    switch.device_fault("link_down")
    table.clock.sleep(4.9)
    assert say(ask(NUMBER)) == told((NUMBER, b"\x02\x01\x04"))
    table.clock.sleep(0.2)
    assert say(ask(NUMBER, TRACKING)) == told((NUMBER, b"\x02\x01\x00"), (TRACKING, b"\x02\x01\x01"))


def test_the_error_counters_count_updates_on_the_way_back(
    table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin
) -> None:
    switch.device_fault("link_down")
    table.clock.sleep(99.0)
    switch.device_fault("link_down", active=False)
    table.clock.sleep(40.0)
    # Locked again at 104 s: 11 s of states before TRACK_PHASE; 104 ns of error are gone after the 4 s of the coarse step.
    for name, count in ((b"\x07\x05\x01\x14\x01", 11), (b"\x07\x05\x01\x15\x01", 4), (UPDATES, 36)):
        assert say(ask(name)) == told((name, b"\x41\x01" + bytes([count])))


def test_the_servo_goes_through_its_states_by_name_and_number(
    table: FakeBench, say: Say, switch: WhiteRabbitSwitchTwin
) -> None:
    switch.device_fault("link_down")
    switch.device_fault("link_down", active=False)
    seen = []
    for _ in range(5):
        reply = say(ask(STATE, NUMBER, TRACKING))
        name = reply.partition(STATE)[2]
        seen.append((name[2 : 2 + name[1]].decode(), reply.partition(NUMBER)[2][2], reply[-1]))
        table.clock.sleep(5.1)  # the agent looks every 5 s
    assert seen == [
        ("Uninitialized", 0, 1),
        ("SYNC_SEC", 2, 1),
        ("SYNC_PHASE", 3, 1),
        ("WAIT_OFFSET_STABLE", 5, 1),
        ("TRACK_PHASE", 4, 2),
    ]
    other = WhiteRabbitSwitchTwin.build("other", table, {"begins_tracking": False})
    table.clock.sleep(7.5)  # 5 s until the PLL has locked, and the second state of the course
    assert other.connect().receive(ask(STATE, NUMBER)) == told((STATE, b"\x04\x09SYNC_NSEC"), (NUMBER, b"\x02\x01\x01"))


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=80), st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=4))))
def test_no_bytes_crash_the_agent(make_bench: Callable[[], FakeBench], noise: bytes | tuple[int, bytes]) -> None:
    switch = WhiteRabbitSwitchTwin.build("switch", make_bench(), {})
    right = ask(NUMBER, STATE)
    spoilt = noise if isinstance(noise, bytes) else right[: noise[0]] + noise[1] + right[noise[0] + len(noise[1]) :]
    conversation = switch.connect()
    conversation.receive(spoilt)
    assert conversation.receive(right) == told((NUMBER, b"\x02\x01\x04"), (STATE, b"\x04\x0bTRACK_PHASE"))
