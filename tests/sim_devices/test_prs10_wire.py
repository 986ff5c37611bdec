r"""The PRS10 twin against protocol sheet 20: pyserial on a pty, bytes written by hand; `\r` both ways."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qlab.errors import TwinError
from qlab.physics.knob import Knob
from qlab.physics.steering import Steering
from sim_devices.timing.prs10_loop import PulseLock, damping, natural_s
from sim_devices.timing.srs_prs10 import PRS10Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

SESSION = [
    (b"ID?\r", b"PRS10_3.24_SN_19957\r"),
    (b"SN?\r\n", b"19957\r"),
    (b"PH7\rPH?\rGA 6\rGA?\r", b"7\r6\r"),
    (b"LO?\r", b"1\r"),
    (b"ST?\r", b"0,0,0,0,1,128\r"),  # the 1 pps loop is disabled; it was reset
    (b"ST?\r", b"0,0,0,0,1,0\r"),
    (b"AD10?\r", b"0.728\r"),  # the sheet's example: 72.8 degC
    (b"FC?\r", b"2246,2048\r"),
    (b"SF100\rSF?\r", b"100\r"),
    (b"SF -2000\rSF?\r", b"-2000\r"),
    (b"SF 2001\rSF?\rST?\r", b"-2000\r0,0,0,0,1,64\r"),  # out of range: only a bit
    (b"GA 7\rGA?\rPT 3\rPT?\rPF 4\rPF?\rLM 0\rLM?\r", b"7\r3\r4\r0\r"),
    (b"PT 15\rST?\r", b"0,0,0,0,1,64\r"),
    (b"NO?\rST?\r", b"0,0,0,0,1,32\r"),
    (b"sf?\rST?\r", b"0,0,0,0,1,32\r"),  # commands are upper case
    (b"TT?\r", b"-1\r"),
    (b"VB0\rVB?\r", b"0\r"),
    (b"SD3?\r", b"128\r"),
]


@pytest.fixture
def clock_twin(table: FakeBench) -> PRS10Twin:
    return PRS10Twin.build("rb", table, {"pps_input": True, "error_1e12": 50.0})


@pytest.fixture
def wire(serial_port: Callable[..., Wire], clock_twin: PRS10Twin) -> Wire:
    return serial_port(clock_twin)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


def test_the_frequency_follows_the_offset(wire: Wire, table: FakeBench) -> None:
    knob = table.knob("rb", "frequency")
    assert knob.value(table.clock.now_ps()) == pytest.approx(50e-12)
    wire.say(b"SF-150\r")
    assert knob.value(table.clock.now_ps()) == pytest.approx(-100e-12)


def test_it_warms_up_and_then_locks(wire: Wire, clock_twin: PRS10Twin, table: FakeBench) -> None:
    clock_twin.reset_power()
    assert wire.say(b"LO?\rST?\r") == b"0\r0,0,21,1,1,128\r"  # lamp, crystal and cell are cold; not locked
    knob = table.knob("rb", "frequency")
    assert knob.value(table.clock.now_ps()) == 1e-8
    wire.talk(wait_s=419.0)
    assert wire.say(b"LO?\r") == b"0\r"
    wire.talk(wait_s=2.0)
    assert wire.say(b"LO?\r") == b"1\r"
    assert knob.value(table.clock.now_ps()) == pytest.approx(50e-12)
    wire.say(b"RS1\r")
    assert wire.say(b"LO?\r") == b"0\r"


def test_a_good_1_pps_takes_over_after_256_pulses(wire: Wire, table: FakeBench) -> None:
    knob = table.knob("rb", "frequency")
    wire.say(b"ST?\rPT 0\rPL1\r")
    assert wire.say(b"ST?\rST?\r") == b"0,0,0,0,3,0\r0,0,0,0,2,0\r"  # it had been disabled
    closes_ps = table.clock.now_ps() + 256 * 10**12  # a little later than it does
    assert knob.value(closes_ps - 10**12) == pytest.approx(50e-12)
    wire.talk(wait_s=257.0)
    assert wire.say(b"ST?\rST?\r") == b"0,0,0,0,6,0\r0,0,0,0,4,0\r"
    # PT 0 is 256 s, tau_n = sqrt(256,000) s; critically damped: y = y0 (1 - t / tau) exp(-t / tau), x = y0 t exp(-t / tau).
    tau_s = 256_000.0**0.5
    for share in (0.5, 1.0, 2.0, 5.0):
        found = knob.value(closes_ps + round(share * tau_s * 1e12))
        assert found == pytest.approx(50e-12 * (1.0 - share) * math.exp(-share), abs=50e-12 * 0.002)
    wire.talk(wait_s=tau_s)
    assert wire.say(b"TT?\r") == b"%d\r" % round(50e-12 * tau_s / math.e * 1e9)
    wire.talk(wait_s=20.0 * tau_s)
    assert abs(knob.value(table.clock.now_ps())) < 1e-16
    assert wire.say(b"TT?\rSF?\r") == b"0\r-50\r"
    left = Steering(knob, Knob(0.0)).error_ps(np.array([closes_ps + round(21.0 * tau_s * 1e12)]))[0]
    assert left == pytest.approx(50e-12 * closes_ps, abs=50.0)  # what it had run away before; nothing on top


def test_a_lost_1_pps_leaves_the_frequency_where_it_was(wire: Wire, clock_twin: PRS10Twin, table: FakeBench) -> None:
    knob = table.knob("rb", "frequency")
    wire.say(b"PT 0\rPL1\r")
    wire.talk(wait_s=256.0 + 20.0 * 506.0)
    clock_twin.device_fault("pps_lost")
    assert wire.say(b"SF?\r") == b"-50\r"
    assert abs(knob.value(table.clock.now_ps() + 10**16)) < 1e-15


@pytest.mark.parametrize("pf", range(5))
def test_the_loop_goes_as_the_manuals_sums_over_pulses(pf: int) -> None:
    # Each second the integrator changes by -T / tau_1, in 1e-12 for T in ns; the proportional part is 2 zeta / tau_n.
    tau_1, zeta = 65_536.0, damping(pf)
    tau_n = natural_s(8)
    assert tau_n == pytest.approx(8_095.0, abs=1.0)  # the manual's example
    lock = PulseLock(0, 2e-9, 50e-12, tau_n, zeta)
    x_ns, integral = 2.0, 50.0 + 2.0 * zeta * 2.0 * 1000.0 / tau_n
    found = []
    for second in range(1, 40_001):
        integral -= x_ns / tau_1
        x_ns += (integral - 2.0 * zeta / tau_n * 1000.0 * x_ns) * 1e-3
        if second % 4000 == 0:
            found.append((x_ns, lock.time_error_s(second * 10**12) * 1e9))
    sums, closed = np.array(found).T
    assert sums == pytest.approx(closed, abs=0.003 * np.abs(closed).max())


@pytest.mark.parametrize("zeta", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_the_frequency_of_the_loop_is_the_slope_of_its_time(zeta: float) -> None:
    lock = PulseLock(10**12, 3e-9, -2e-11, 506.0, zeta)
    for t_s in (1.5, 100.0, 506.0, 2000.0):
        t, h = round(t_s * 1e12), 10**11
        slope = (lock.time_error_s(t + h) - lock.time_error_s(t - h)) / 0.2
        assert lock.value(t) == pytest.approx(slope, rel=1e-4, abs=1e-17)
    assert lock.value(0) == lock.value(10**12) == -2e-11
    assert abs(lock.time_error_s(lock.end_ps - 1)) < 1e-15


def test_a_lost_1_pps_shows(wire: Wire, clock_twin: PRS10Twin) -> None:
    wire.say(b"ST?\rPL1\r")
    clock_twin.device_fault("pps_lost")
    assert wire.say(b"ST?\rST?\rTT?\r") == b"0,0,0,0,131,0\r0,0,0,0,128,0\r-1\r"
    clock_twin.device_fault("pps_lost", active=False)
    wire.say(b"PL0\rPL1\rST?\r")
    wire.talk(wait_s=300.0)
    clock_twin.device_fault("pps_lost")
    assert wire.say(b"ST?\r") == b"0,0,0,0,134,0\r"  # it was active meanwhile, although nobody asked


SHEET_BITS = {
    1: "supply_low supply_high heater_supply_low heater_supply_high lamp_failing lamp_bright gate_low gate_high",
    2: "synthesiser_unlocked varactor_low varactor_high vco_low vco_high agc_low agc_high synthesiser_parameter",
    3: "lamp_cold lamp_hot crystal_cold crystal_hot cell_cold cell_hot case_cold case_too_hot",
    4: "- - efc_high efc_low calibration_high calibration_low",
    5: "- - - bad_pulses pps_interval pll_restarted pps_saturated",
    6: "lamp_restarted watchdog bad_interrupt eeprom_written eeprom_corrupt",
}
EACH_BIT = [(n, bit, name) for n, row in SHEET_BITS.items() for bit, name in enumerate(row.split()) if name != "-"]


@pytest.mark.parametrize(("number", "bit", "fault"), EACH_BIT)
def test_each_bit_is_latched_until_it_is_read(
    wire: Wire, clock_twin: PRS10Twin, number: int, bit: int, fault: str
) -> None:
    wire.say(b"ST?\r")
    clock_twin.device_fault(fault)
    clock_twin.device_fault(fault, active=False)  # it came and went between two questions
    first, second = (list(map(int, wire.say(b"ST?\r").split(b","))) for _ in range(2))
    assert first[number - 1] >> bit & 1
    assert not second[number - 1] >> bit & 1
    assert second[4] == 1


def test_what_a_restart_and_a_warm_up_set_is_latched_too(wire: Wire, clock_twin: PRS10Twin) -> None:
    clock_twin.reset_power()
    wire.talk(wait_s=500.0)
    assert wire.say(b"LO?\rST?\rST?\r") == b"1\r0,0,21,1,1,128\r0,0,0,0,1,0\r"
    wire.say(b"LO0\rLO1\r")
    assert wire.say(b"ST?\rST?\r") == b"0,0,0,3,1,0\r0,0,0,0,1,0\r"
    wire.say(b"RS 1\rXY?\rGA 99\r")
    assert wire.say(b"ST?\r") == b"0,0,21,1,1,224\r"


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("SF", -2000, 2000), ("GA", 0, 10), ("MS", 0, 1), ("PL", 0, 1), ("PT", 0, 14), ("PF", 0, 4), ("LM", 0, 3),
     ("VB", 0, 1), ("LO", 0, 1)],
)  # fmt: skip
def test_ranges_reach_to_their_edges(wire: Wire, name: str, low: int, high: int) -> None:
    for value in (low, high):
        wire.say(f"{name}{value}\r".encode())
        if name != "LO":
            assert wire.say(f"{name}?\r".encode()) == f"{value}\r".encode()
    wire.say(b"ST?\r")
    for value in (low - 1, high + 1):
        assert wire.say(f"{name} {value}\r".encode()) == b""  # silence, and a bit
        assert int(wire.say(b"ST?\r").rsplit(b",", 1)[1]) == 64


def test_what_else_the_sheet_has(wire: Wire, clock_twin: PRS10Twin) -> None:
    assert wire.say(b"VB?\r") == b"0\r"  # terse after power-on
    for n in range(20):
        assert float(wire.say(f"AD{n}?\r".encode())) >= 0.0
    assert wire.say(b"AD20?\r") == b""
    assert all(wire.say(f"SD{n}?\r".encode()) == b"128\r" for n in range(8))
    assert wire.say(b"DS?\r") == b"0,55\r"
    assert wire.say(b"MR?\r") == b"2000\r"
    wire.say(b"MO 3000\rSS 1500\rPH 5\rTS 8000\rTO -5\rPP 500\rPS 3\rPI 7\rSP 7000,5,2\r")
    assert wire.say(b"MO?\rSS?\rPH?\rTS?\rTO?\rPP?\rPS?\rPI?\r") == b"3000\r1500\r5\r8000\r-5\r500\r3\r7\r"
    assert wire.say(b"SP?\r") == b"7000,5,2\r"
    clock_twin.device_fault("case_too_hot")
    assert wire.say(b"AD10?\r") == b"0.850\r"


@pytest.mark.parametrize(
    ("fault", "status", "locked"),
    [
        ("lamp_failing", b"16,0,0,1,1,0\r", b"0\r"),
        ("case_too_hot", b"0,0,128,1,1,0\r", b"0\r"),
        ("synthesiser_unlocked", b"0,1,0,0,1,0\r", b"1\r"),
    ],
)
def test_faults_set_their_bits(wire: Wire, clock_twin: PRS10Twin, fault: str, status: bytes, locked: bytes) -> None:
    wire.say(b"ST?\r")
    clock_twin.device_fault(fault)
    assert wire.say(b"LO?\r") == locked
    assert wire.say(b"ST?\r") == status
    with pytest.raises(TwinError, match="pps_lost"):
        clock_twin.device_fault("no such thing")


def test_a_disabled_lock_says_so(wire: Wire) -> None:
    wire.say(b"ST?\rLO0\r")
    assert wire.say(b"LO?\rST?\r") == b"0\r0,0,0,3,1,0\r"


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
