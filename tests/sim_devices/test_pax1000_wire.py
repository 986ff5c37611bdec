"""The PAX1000 twin against protocol sheet 23: pyvisa over TCP, bytes written by hand."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from sim_devices.polarisation.thorlabs_pax1000 import PAX1000Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire
    from numpy.typing import NDArray

OK = b'+0,"No error"\n'
EXACT = {"accuracy_deg": 0.0, "dop_accuracy": 0.0, "noise": 0.0, "noise_w": 0.0}

SESSION = [
    (b"*IDN?\n", b"THORLABS,PAX1000IR2,M00937524,1.2.1\n"),
    (b"SENS:CALC 5;:INP:ROT:VEL 100\nSENS:CALC?\n", b"5\n"),
    (b"SENS:CALC:MOD?;:INP:ROT:VEL?;STAT?;SETT?\n", b"5;1.000000E+02;0;0\n"),
    (b"INP:ROT:VEL? MIN;:INP:ROT:VEL? MAX\n", b"1.000000E+01;2.000000E+02\n"),
    (b"SENS:CALC 3;:INP:ROT:VEL?;:INP:ROT:VEL? MAX\n", b"7.500000E+01;7.500000E+01\n"),
    (b"INP:ROT:VEL 76\nSYST:ERR?\n", b'-222,"Data out of range"\n'),
    (b"SENS:CALC 10\nSYST:ERR?\n", b'-222,"Data out of range"\n'),
    (b"SENS:CORR:WAV 1.31e-6\nSENS:CORR:WAV?\n", b"1.310000E-06\n"),
    (b"SENS:CORR:WAV? MIN;:SENS:CORR:WAV? MAX\n", b"9.000000E-07;1.700000E-06\n"),
    (b"SENS:POW:RANG:IND 4;AUTO?;:SENS:POW:RANG:NOM?\n", b"0;1.778279E-04\n"),
    (b"SENS:POW:RANG:AUTO ONCE;AUTO?;:SENS:POW:RANG:AUTO 1;AUTO?\n", b"0;1\n"),
    (b"SENS:DATA:OLD:BIN?\n", b"\0\0"),
    (b"SYST:ERR?\n", OK),
]


@pytest.fixture
def pax(visa: Callable[..., Wire], table: FakeBench) -> tuple[Wire, PAX1000Twin]:
    twin = PAX1000Twin.build("pax", table, EXACT)
    return visa(twin), twin


def spin(wire: Wire, mode: int = 5, hertz: int = 100) -> None:
    wire.talk(b"SENS:CALC %d;:INP:ROT:STAT 1;:INP:ROT:VEL %d\n" % (mode, hertz), wait_s=5.0)
    assert wire.say(b"INP:ROT:SETT?\n") == b"1\n"


def ellipse(stokes: list[float]) -> Callable[[str, int], NDArray[np.float64]]:
    return lambda name, t_ps: 1e-3 * np.array(stokes)


def test_a_session(pax: tuple[Wire, PAX1000Twin]) -> None:
    for sent, expected in SESSION:
        assert pax[0].say(sent) == expected, sent


def test_any_split_on_the_wire_gives_the_same_bytes(
    pax: tuple[Wire, PAX1000Twin], pieces: Callable[[bytes], list[bytes]]
) -> None:
    stream, expected = b"".join(sent for sent, _ in SESSION), b"".join(reply for _, reply in SESSION)
    assert pax[0].say(*pieces(stream)) == expected


def test_a_record_has_52_bytes_behind_a_length_and_nothing_follows(
    pax: tuple[Wire, PAX1000Twin], table: FakeBench
) -> None:
    table.stokes_w = ellipse([1.0, 0.0, 0.6, 0.0])  # type: ignore[method-assign]
    wire = pax[0]
    spin(wire)
    assert wire.say(b"SENS:DATA:OLD:BIN?\n") == b"\0\0"
    wire.talk(wait_s=0.0301)  # three full turns at 100 Hz, and a little
    first, second = wire.say(b"SENS:DATA:OLD:BIN?\n"), wire.say(b"SENS:DATA:OLD:BIN?\n")
    assert (len(first), first[:2]) == (106, b"\x68\x00")  # 2 + 2 x 52
    assert (len(second), second[:2]) == (54, b"\x34\x00")
    fields = struct.unpack("<7I6f", second[2:])
    assert fields[:4] == (6, 5030, 5, 0)  # half turns, ms, mode, flags
    expected = (0.01, 1.0, math.pi / 4, 0.0, 0.6, 1e-3)
    assert fields[7:] == pytest.approx(expected, abs=1e-6)
    assert fields[5] < fields[6] <= 32767
    text = wire.say(b"SENS:DATA:LAT?\n").split(b",")
    assert len(text) == 13
    assert [float(each) for each in text] == pytest.approx(fields, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("stokes", "azimuth", "ellipticity", "dop"),
    [
        ([1, 1, 0, 0], 0.0, 0.0, 1.0),
        ([1, -1, 0, 0], 90.0, 0.0, 1.0),
        ([1, 0, -1, 0], -45.0, 0.0, 1.0),
        ([1, 0, 0, 1], 0.0, 45.0, 1.0),
        ([1, 0, 0, -0.5], 0.0, -45.0, 0.5),
        ([1, 0.5, 0, math.sqrt(0.75)], 0.0, 30.0, 1.0),  # Born and Wolf, 1.4.2: sin 2e = S3 / S0
    ],
)
def test_known_ellipses(
    pax: tuple[Wire, PAX1000Twin], table: FakeBench, stokes: list[float], azimuth: float, ellipticity: float, dop: float
) -> None:
    table.stokes_w = ellipse(stokes)  # type: ignore[method-assign]
    spin(pax[0])
    pax[0].talk(wait_s=0.02)
    found = [float(each) for each in pax[0].say(b"SENS:DATA:LAT?\n").split(b",")]
    assert abs(math.degrees(found[10]) - ellipticity) < 1e-3
    assert found[11:] == pytest.approx([dop, 1e-3], rel=1e-5)
    if abs(ellipticity) < 45:
        assert abs(math.degrees(found[9])) == pytest.approx(abs(azimuth), abs=1e-3)


@pytest.mark.parametrize(("mode", "turns"), [(1, 0.5), (2, 0.5), (4, 1.0), (6, 1.0), (7, 2.0), (9, 2.0)])
def test_a_mode_takes_its_turns(pax: tuple[Wire, PAX1000Twin], mode: int, turns: float) -> None:
    wire = pax[0]
    spin(wire, mode)
    wire.talk(b"SENS:DATA:OLD:BIN?\n", wait_s=0.401)
    half_turns = int(wire.say(b"SENS:DATA:LAT?\n").split(b",")[0])
    assert half_turns == 80  # 0.4 s at 100 turns per second, whatever the mode
    count = 0
    while (reply := wire.say(b"SENS:DATA:OLD:BIN?\n")) != b"\0\0":
        count += (len(reply) - 2) // 52
    assert count == min(40 / turns, 64)  # the queue's depth [INF]


def test_noise_does_not_depend_on_who_looks_and_falls_with_the_points(
    visa: Callable[..., Wire], table: FakeBench
) -> None:
    eager, lazy = (visa(PAX1000Twin.build("pax", table, {"noise": 1e-2})) for _ in range(2))
    for wire in (eager, lazy):
        wire.say(b"SENS:CALC 5;:INP:ROT:STAT 1;:INP:ROT:VEL 100\n")
    table.clock.sleep(5.0)
    for _ in range(10):
        eager.talk(b"SENS:DATA:LAT?\n", wait_s=0.013)
    assert eager.say(b"SENS:DATA:LAT?\n") == lazy.say(b"SENS:DATA:LAT?\n")

    def spread(mode: int) -> float:
        lazy.talk(b"SENS:CALC %d\n" % mode, wait_s=2.0)
        reply, angles = b"", []
        while (reply := lazy.say(b"SENS:DATA:OLD:BIN?\n")) != b"\0\0":
            angles += [row[10] for row in struct.iter_unpack("<7I6f", reply[2:])]
        return float(np.std(angles))

    assert spread(4) == pytest.approx(spread(9) * math.sqrt(8), rel=0.5)  # 512 points against two turns of 2048


def test_too_much_light_is_flagged_and_heat_too(pax: tuple[Wire, PAX1000Twin], table: FakeBench) -> None:
    wire, twin = pax
    table.light_w = 50e-3
    spin(wire)
    wire.talk(wait_s=0.02)
    assert int(wire.say(b"SENS:DATA:LAT?\n").split(b",")[3]) == 1
    table.light_w = 1e-3
    twin.device_fault("over_temperature")
    wire.talk(wait_s=1.02)
    assert int(wire.say(b"SENS:DATA:LAT?\n").split(b",")[3]) == 1 << 5
    assert wire.say(b"STAT:QUES:COND?\n") == b"16\n"
    twin.device_fault("motor_stuck")
    assert wire.talk(b"INP:ROT:SETT?\n", wait_s=10.0) == b"0\n"
    with pytest.raises(TwinError, match="motor_stuck"):
        twin.device_fault("no such thing")


def test_random_bytes_do_no_harm(table: FakeBench) -> None:
    twin = PAX1000Twin.build("pax", table, {})

    @settings(max_examples=40)
    @given(
        st.lists(
            st.one_of(st.binary(max_size=30), st.sampled_from([b"SENS:CALC ", b"INP:ROT:VEL ", b"SENS:POW:RANG "]))
        )
    )
    def bombard(noise: list[bytes]) -> None:
        conversation = twin.connect()
        conversation.receive(b"".join(noise) + b"\n")
        conversation.close()
        assert twin.connect().receive(b"\n*IDN?\n").endswith(b"THORLABS,PAX1000IR2,M00937524,1.2.1\n")

    bombard()
