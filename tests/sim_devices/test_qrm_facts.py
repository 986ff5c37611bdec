"""Facts of protocol sheet 22 one by one, beside the commands: angles, bases, opcodes, flags, errors, pyvisa's block reads."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import pyvisa

from qlab.physics.arm import Port
from qlab.physics.midpoint import LinkEnd, Midpoint
from sim_devices.repeaters.qrm import QRMTwin
from sim_devices.repeaters.qrm_events import Event, EventFifo, EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

    from qlab.twin.host import TwinHost

IDEAL = {
    "emission_probability": 1.0,
    "init_error": 0.0,
    "gate_error": 0.0,
    "two_qubit_error": 0.0,
    "measure_error": 0.0,
    "t2_s": 1000.0,
    "storage_t2_s": 1000.0,
}
RECORD = struct.Struct("<IBBBBQIfIHH")
NO_ERROR = b'+0,"No error"\n'


@pytest.fixture
def twin(table: FakeBench) -> QRMTwin:
    return QRMTwin.build("alice", table, IDEAL)


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: QRMTwin) -> Wire:
    return visa(twin)


def events(wire: Wire) -> list[tuple[int, ...]]:
    reply = wire.say(b"EVEN:DATA? 100\n")
    data = reply[2 + int(reply[1:2]) : -1]
    return list(RECORD.iter_unpack(data))


def run(wire: Wire, *code: tuple[int, int, int, int, int]) -> list[tuple[int, int]]:
    """Run instructions and return kind and outcome of each event."""
    data = b"".join(struct.pack("<BBBBi", *each) for each in code)
    size = str(len(data)).encode()
    wire.say(b"EVEN:CLE\n")
    assert wire.say(b"TICK:PROG #%d%s" % (len(size), size) + data + b"\n:TICK:RUN\n:SYST:ERR?\n") == NO_ERROR
    wire.talk(wait_s=0.02)
    return [(each[1], each[2]) for each in events(wire)]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [  # from |0>; Y by pi/2 makes |+>, X by pi/2 the state -i of Y
        (b"ROT Y,1,1;MEAS? X", b"0"),
        (b"ROT Y,3,1;MEAS? X", b"1"),
        (b"ROT X,1,1;MEAS? Y", b"1"),
        (b"ROT X,3,1;MEAS? Y", b"0"),
        (b"ROT X,1,0;MEAS? Z", b"1"),
        (b"ROT X,1,0;MEAS?", b"1"),
        (b"ROT Z,1,0;MEAS?", b"0"),
        (b"ROT Y,256,8;MEAS?", b"1"),
        (b"ROT Y,0,8;MEAS?", b"0"),
        (b"ROT Y,1,1;ROT Z,1,0;MEAS? X", b"1"),
    ],
)
def test_a_turn_is_n_pi_over_2_to_the_d_and_three_axes_are_measured(wire: Wire, said: bytes, outcome: bytes) -> None:
    wire.talk(b"QUB2:INIT\n", wait_s=1e-3)
    assert wire.talk(b"QUB2:" + said + b"\n", wait_s=1e-4) == outcome + b"\n"


@pytest.mark.parametrize(
    ("turn", "good"),
    [
        (b"0,0", True),
        (b"1,0", True),
        (b"2,0", False),
        (b"511,8", True),
        (b"512,8", False),
        (b"1,9", False),
        (b"-1,1", False),
    ],
)
def test_a_turns_numbers_have_their_range(wire: Wire, turn: bytes, good: bool) -> None:
    wire.talk(b"QUB2:INIT\n", wait_s=1e-3)
    said = wire.talk(b"QUB2:ROT X," + turn + b"\n:SYST:ERR?\n", wait_s=1e-4)
    assert said == (NO_ERROR if good else b'-222,"Data out of range"\n')


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"QUB1:ROT X,one,1", -104),
        (b"QUB1:STAT? 1,2", -108),
        (b"QUB1:ROT X", -109),
        (b"QUB1:FLY", -113),
        (b"QUB9:STAT?", -114),
        (b"LINK1:BAS W", -141),
        (b"LINK1:TYPE R", -141),
        (b"TIME:SOUR MAYBE", -141),
        (b"TICK:RUN", -221),
        (b"LINK1:ATT:MAX 0", -222),
        (b"LINK1:FMIN 1.1", -222),
        (b"LINK1:FMIN -0.1", -222),
    ],
)
def test_a_standard_mistake_has_its_number(wire: Wire, said: bytes, code: int) -> None:
    assert wire.say(said + b"\n") == b""
    assert wire.say(b"SYST:ERR?\n").startswith(b"%d," % code)
    assert wire.say(b"SYST:ERR?\n") == NO_ERROR


def test_a_programme_that_runs_is_not_begun_again(wire: Wire) -> None:
    wire.say(b"TICK:PROG #18" + struct.pack("<BBBBi", 11, 0, 0, 0, 100) + b"\n:TICK:RUN\n:TICK:RUN\n")
    assert wire.say(b"SYST:ERR?\n") == b'-213,"Init ignored"\n'
    assert wire.say(b"TICK:STAT?\n").startswith(b"RUN,")
    assert wire.say(b"TICK:STOP\n:TICK:STAT?\n").startswith(b"STOP,")


NOP, INI, SQG, TQG, MSR, ENT, ENM, PMG, MOV, SWP, ESW, WAIT = range(12)
INIT, GATE, MEAS, HERALD, MOVE, SWAP = 1, 2, 3, 4, 6, 7
HALF_TURN = 1 << 16 | 2  # n = 2, d = 1


@pytest.mark.parametrize(
    ("code", "kinds", "read"),
    [
        (((SQG, 1, 0, 0, HALF_TURN), (TQG, 1, 2, 0, 0), (MSR, 2, 0, 2, 0)), [GATE, GATE, MEAS], 1),  # CNOT
        (((SQG, 2, 0, 1, 1 << 16 | 1), (TQG, 1, 2, 1, 0), (MSR, 2, 0, 0, 0)), [GATE, GATE, MEAS], 0),  # CZ on |0>|+>
        (((SQG, 1, 0, 0, HALF_TURN), (SWP, 1, 2, 0, 0), (MSR, 2, 0, 2, 0)), [GATE, MOVE, MEAS], 1),
        (((SQG, 1, 0, 0, HALF_TURN), (MOV, 1, 2, 0, 0), (MSR, 2, 0, 2, 0)), [GATE, MOVE, MEAS], 1),
        (((PMG, 2, 0, 0, HALF_TURN), (MSR, 2, 0, 2, 0)), [GATE, MEAS], 1),  # a turn before the measurement
        (((NOP, 0, 0, 0, 0), (WAIT, 0, 0, 0, 3), (MSR, 1, 0, 2, 0)), [GATE, GATE, MEAS], 0),
    ],
)
def test_an_opcode_does_what_it_says(
    wire: Wire, code: tuple[tuple[int, int, int, int, int], ...], kinds: list[int], read: int
) -> None:
    found = run(wire, (INI, 1, 0, 0, 0), (INI, 2, 0, 0, 0), *code)
    assert [kind for kind, _ in found] == [INIT, INIT, *kinds]
    assert [outcome for _, outcome in found] == [0] * len(found)
    del found
    wire.say(b"TICK:RUN\n")
    wire.talk(wait_s=0.02)
    assert events(wire)[-1][6] == read  # what was measured stands where attempts do


@pytest.fixture
def hub(visa: Callable[..., Wire], table: FakeBench) -> dict[str, Wire]:
    """A chain of three."""
    wires = {}
    for left, right, number in (("alice.1", "hub.1", 5), ("hub.2", "bob.1", 6)):
        midpoint = Midpoint(1, number, table.register)
        for start in (left, right):
            table.links[start] = LinkEnd(Port(0), start)
            midpoint.join(table.links[start])
    for name in ("alice", "hub", "bob"):
        wires[name] = visa(QRMTwin.build(name, table, IDEAL))
        wires[name].say(b"LINK1:ENAB ON;:LINK2:ENAB ON\n")
    return wires


def test_a_programme_swaps_entanglement(hub: dict[str, Wire]) -> None:
    hub["alice"].say(b"LINK1:GEN\n")
    hub["hub"].talk(b"LINK1:GEN 2\n", wait_s=3e-3)
    hub["bob"].say(b"LINK1:GEN\n")
    hub["hub"].talk(b"LINK2:GEN\n", wait_s=3e-3)
    assert run(hub["hub"], (ESW, 2, 1, 0, 0)) == [(SWAP, 0)]
    assert hub["hub"].say(b"ESW:RES?\n").startswith(b"1,")


def test_heat_is_a_fault_of_the_qubits_and_a_flag_of_the_records(wire: Wire, twin: QRMTwin) -> None:
    wire.talk(b"QUB1:INIT\n", wait_s=1e-3)
    twin.device_fault("too_warm")
    assert wire.say(b"QUB1:STAT?;:CRYO:TEMP?\n") == b"FAUL;2.000000E+01\n"
    assert wire.say(b"QUB1:INIT\n:SYST:ERR?\n") == b'+108,"Environment out of range"\n'
    twin.device_fault("too_warm", active=False)
    assert wire.say(b"QUB1:STAT?\n") == b"IDLE\n"
    wire.say(b"QUB2:INIT\n")
    twin.device_fault("too_warm")
    wire.talk(wait_s=1e-3)
    assert [each[9] for each in events(wire)] == [0, 2]


def test_a_number_that_does_not_fit_is_flagged() -> None:
    fifo = EventFifo()
    fifo.push(Event(EventType.HERALD_FAIL, 7, attempts=2**32 - 1))
    fifo.push(Event(EventType.HERALD_FAIL, 7, attempts=2**32))
    records = list(RECORD.iter_unpack(fifo.take(2)))
    assert [(each[6], each[9]) for each in records] == [(2**32 - 1, 0), (2**32 - 1, 4)]


def test_a_lost_laser_or_phase_shows(wire: Wire, twin: QRMTwin) -> None:
    assert wire.say(b"LAS1:LOCK?;:LAS2:LOCK?;:PHAS:LOCK?\n") == b"1;1;1\n"
    twin.device_fault("laser_unlocked")
    twin.device_fault("phase_lost")
    assert wire.say(b"LAS1:LOCK?;:PHAS:LOCK?\n") == b"0;0\n"
    assert wire.say(b"LAS3:LOCK?\n:SYST:ERR?\n") == b'-114,"Header suffix out of range"\n'


def test_a_qubit_is_released_unless_it_is_busy(wire: Wire) -> None:
    wire.talk(b"QUB3:INIT\n", wait_s=1e-3)
    assert wire.say(b"QUB3:STAT?;FREE;STAT?\n") == b"IDLE;UNIN\n"
    assert wire.say(b"QUB3:INIT;FREE\n:SYST:ERR?\n") == b'+102,"Qubit busy"\n'


@pytest.mark.parametrize(
    ("said", "seconds"), [(b"GATE:CNOT 1,2", 500e-6), (b"GATE:CZ 1,2", 500e-6), (b"GATE:MOVE 1,3", 500e-6)]
)
def test_a_gate_of_two_qubits_takes_half_a_millisecond(wire: Wire, said: bytes, seconds: float) -> None:
    wire.talk(b"QUB1:INIT;:QUB2:INIT\n", wait_s=1e-3)
    assert wire.say(said + b";*OPC?\n") == b""
    assert wire.talk(wait_s=seconds * 0.99) == b""
    assert wire.talk(wait_s=seconds * 0.02) == b"1\n"


@pytest.mark.parametrize(
    ("attempt_s", "rate"), [(5e-6, b"1.000000E+05"), (15e-6, b"5.000000E+04"), (30e-6, b"3.333333E+04")]
)
def test_attempts_are_as_far_apart_as_they_need_on_the_grid_of_ticks(
    visa: Callable[..., Wire], table: FakeBench, attempt_s: float, rate: bytes
) -> None:
    wire = visa(QRMTwin.build("alice", table, IDEAL | {"attempt_s": attempt_s}))
    assert wire.say(b"LINK1:ATT:RATE?\n") == rate + b"\n"


@pytest.mark.parametrize("tick_hz", [1e5, 5e4])
def test_a_tick_is_that_of_its_kind_of_qubits(visa: Callable[..., Wire], table: FakeBench, tick_hz: float) -> None:
    wire = visa(QRMTwin.build("ion", table, IDEAL | {"tick_hz": tick_hz}))
    assert float(wire.say(b"TICK:FREQ?\n")) == tick_hz
    assert wire.say(b"*OPT?\n") == b"QUB4,LNK2,TICK%dK\n" % (tick_hz / 1e3)
    run(wire, (NOP, 0, 0, 0, 0), (NOP, 0, 0, 0, 0))
    wire.say(b"TICK:RUN\n")
    wire.talk(wait_s=1e-3)
    first, second = (each[5] for each in events(wire))
    assert second - first == round(1e12 / tick_hz)


def test_a_message_of_more_than_64_kib_is_dropped(wire: Wire) -> None:
    assert wire.say(b" " * 70_000 + b"*IDN?\n") == b""
    assert wire.say(b"*IDN?\n") == b"qlab,QRM-4Q,0001,1.0\n"


def test_pyvisa_reads_the_events_as_a_block(host: TwinHost, twin: QRMTwin) -> None:
    manager = pyvisa.ResourceManager("@py")
    try:
        session = manager.open_resource(host.mount_tcp(twin).address)
        session.read_termination = session.write_termination = "\n"
        assert session.query("*IDN?") == "qlab,QRM-4Q,0001,1.0"
        session.write("QUB1:INIT")
        session.query("EVEN:COUN?")
        host.clock.sleep(1e-3)
        data = bytes(session.query_binary_values("EVEN:DATA? 10", datatype="B", header_fmt="ieee"))
        assert len(data) == 32
        assert RECORD.unpack(data)[:4] == (1, INIT, 0, 1)
        assert session.query("EVEN:COUN?") == "0"
    finally:
        manager.close()


def test_hislip_is_its_second_port(twin: QRMTwin) -> None:
    ports = twin.ports()
    assert list(ports) == ["scpi", "hislip"]
    assert ports["hislip"].visa_address("HOST", 4880) == "TCPIP0::HOST::hislip0,4880::INSTR"
