"""HiSLIP frames by hand against IVI-6.1, and pyvisa's own client."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import pyvisa

from qlab.clock import RealClock, SteppedClock
from qlab.twin.hislip import HislipPort
from qlab.twin.host import TwinHost
from qlab.twin.scpi import Later, ScpiTwin, query

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("!2sBBIQ")


class SlowTwin(ScpiTwin):
    """Answers one question at once and another after a second."""

    identity = "Acme,H1,0001,1.0"

    @query("SLOW?")
    def slow(self) -> Later:
        """Answer later."""
        return Later(1.0, lambda: "late")


def frame(kind: int, control: int = 0, parameter: int = 0, payload: bytes = b"") -> bytes:
    return HEADER.pack(b"HS", kind, control, parameter, len(payload)) + payload


def unpack(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        mark, kind, control, parameter, size = HEADER.unpack_from(data)
        assert mark == b"HS"
        found.append((kind, control, parameter, data[HEADER.size :][:size]))
        data = data[HEADER.size + size :]
    return found


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    with SteppedClock() as clock:
        yield clock


@pytest.fixture
def port(clock: SteppedClock) -> HislipPort:
    twin = SlowTwin(clock)
    return HislipPort(twin, twin.status_byte)


def test_a_session_has_two_connections_and_answers_carry_the_number_of_the_question(
    port: HislipPort, clock: SteppedClock
) -> None:
    one, two = port.connect(), port.connect()
    ((kind, control, parameter, _),) = unpack(one.receive(frame(0, 0, 1 << 24, b"hislip0")))
    assert (kind, control, parameter >> 16) == (1, 0, 0x0100)  # synchronised, version 1.0
    ((kind, *_),) = unpack(two.receive(frame(17, 0, parameter & 0xFFFF)))
    assert kind == 18
    assert unpack(two.receive(frame(15, 0, 0, struct.pack("!Q", 1 << 20)))) == [(16, 0, 0, struct.pack("!Q", 1 << 16))]
    assert unpack(one.receive(frame(7, 0, 0xFFFFFF00, b"*IDN?"))) == [(7, 0, 0xFFFFFF00, b"Acme,H1,0001,1.0\n")]
    sent = frame(6, 0, 0xFFFFFF02, b"*ID") + frame(7, 0, 0xFFFFFF04, b"N?\n")  # one message in two frames
    said = b"".join(one.receive(bytes([byte])) for byte in sent)
    assert unpack(said) == [(7, 0, 0xFFFFFF04, b"Acme,H1,0001,1.0\n")]
    assert one.receive(frame(7, 0, 0xFFFFFF06, b"SLOW?")) == b""
    due = one.due_ps()
    assert due is not None
    clock.wait_until(due)
    assert unpack(one.wake()) == [(7, 0, 0xFFFFFF06, b"late\n")]
    one.receive(frame(7, 0, 0xFFFFFF08, b"FLY"))
    assert unpack(two.receive(frame(21))) == [(22, 4, 0, b"")]  # an error waits
    assert one.receive(frame(7, 0, 0xFFFFFF0A, b"SLOW?")) == b""
    assert unpack(two.receive(frame(19))) == [(23, 0, 0, b"")]
    assert unpack(one.receive(frame(8))) == [(9, 0, 0, b"")]
    assert one.due_ps() is None  # the question was cleared
    one.close()
    assert unpack(two.receive(frame(21)))[0][:2] == (2, 2)


def test_locks_belong_to_one_session(port: HislipPort) -> None:
    others = []
    for _ in range(2):
        one, two = port.connect(), port.connect()
        number = unpack(one.receive(frame(0, 0, 1 << 24, b"hislip0")))[0][2] & 0xFFFF
        two.receive(frame(17, 0, number))
        others.append(two)
    first, second = others
    assert [unpack(channel.receive(frame(4, 1)))[0][1] for channel in (first, second)] == [1, 0]
    assert unpack(second.receive(frame(24))) == [(25, 1, 0, b"")]
    assert unpack(second.receive(frame(4, 0)))[0][1] == 0
    assert unpack(first.receive(frame(4, 0)))[0][1] == 1
    assert unpack(second.receive(frame(4, 1)))[0][1] == 1


def test_mistakes_are_said_and_noise_is_passed_over(port: HislipPort) -> None:
    channel = port.connect()
    assert unpack(channel.receive(frame(7, 0, 0, b"*IDN?")))[0][:2] == (2, 2)
    assert unpack(channel.receive(frame(0, 0, 1 << 24, b"hislip9")))[0][:2] == (2, 3)
    assert unpack(channel.receive(b"noise" + frame(0, 0, 1 << 24, b"hislip0")))[0][0] == 1
    assert unpack(channel.receive(frame(200)))[0][:2] == (3, 1)
    assert unpack(channel.receive(frame(7, 0, 2, b"*IDN?")))[0][3] == b"Acme,H1,0001,1.0\n"


def test_pyvisa_speaks_it() -> None:
    with RealClock() as clock, TwinHost(clock) as host:
        twin = SlowTwin(clock)
        mount = host.mount_tcp(HislipPort(twin, twin.status_byte))
        assert mount.address.endswith("::INSTR")
        manager = pyvisa.ResourceManager("@py")
        with manager.open_resource(mount.address, read_termination="\n", write_termination="\n") as session:
            assert session.query("*IDN?") == "Acme,H1,0001,1.0"
            assert session.query("SLOW?") == "late"
            session.write("FLY")
            assert session.read_stb() == 4
            session.clear()
            assert session.query("SYST:ERR?") == '-113,"Undefined header"'
        manager.close()
