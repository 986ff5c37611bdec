r"""The OZ Optics twins against protocol sheet 14: pyserial on a pty, bytes written by hand.

The EPC answers a text line and `Done\r\n`; the attenuator's `Done` is followed by an empty line; `Error!\r\n` refuses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.polarisation.ozoptics_epc400 import EPC400Twin
from sim_devices.routing.ozoptics_dd100 import DD100Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

DONE = b"Done\r\n"
REFUSED = b"Error!\r\n"

EPC = [
    (b"V1,2500\r", b"Set CH1 DC Voltage at: 2500mV\r\n" + DONE),
    (b"V3,-5000\r\n", b"Set CH3 DC Voltage at: -5000mV\r\n" + DONE),  # CRLF is taken too
    (b"VH4\r", b"Set CH4 DC Voltage at: 5000mV\r\n" + DONE),
    (b"VL4\r", b"Set CH4 DC Voltage at: -5000mV\r\n" + DONE),
    (b"VZ4\r", b"Set CH4 DC Voltage at: 0mV\r\n" + DONE),
    (b"V?\r", b"Voltage(mV): CH1 +0000 CH2 +0000 CH3 +0000 CH4 +0000\r\n" + DONE),
    (b"V2,5000\r", b"Set CH2 DC Voltage at: 5000mV\r\n" + DONE),
    (b"F2,0\r", b"Set CH2 AC Frequency at: 0Hz\r\n" + DONE),
    (b"F4,100\r", b"Set CH4 AC Frequency at: 100Hz\r\n" + DONE),
    (b"F1,50\r", b"Set CH1 AC Frequency at: 50Hz\r\n" + DONE),
    (b"F?\r", b"Frequency(Hz): CH1 000  CH2 000  CH3 000  CH4 000\r\n" + DONE),
    (b"MDC\r", b"Set To DC Mode\r\n" + DONE),
    (b"MAC\r", b"Set To AC Mode\r\n" + DONE),
    (b"M?\r", b"Work Mode: DC\r\n" + DONE),
    (b"WF1\r", b"Set AC Waveform at: Sine\r\n" + DONE),
    (b"WF2\r", b"Set AC Waveform at: Triangle\r\n" + DONE),
    (b"WF?\r", b"AC Waveform: Sine\r\n" + DONE),
    (b"ENVF1\r", b"Enable DC Voltage Output at AC Mode\r\n" + DONE),
    (b"ENVF0\r", b"Disable DC Voltage Output at AC Mode\r\n" + DONE),
    (b"FV3\r", b"Set CH3 output to: Hz (if possible)\r\n" + DONE),
    (b"VF2\r", b"Set CH2 output to: Volt (if possible)\r\n" + DONE),
    (b"VF?\r", b"Hz<->Volt at AC Mode is disabled: CH1-V,CH2-V,CH3-V,CH4-V\r\n" + DONE),
    (b"SAVE\r", b"Write Setting to Flash memory\r\n" + DONE),
    *[
        (bad, REFUSED)
        for bad in (
            b"V5,0\r",
            b"V1," + b"1" * 5000 + b"\r",
            b"V1,5001\r",
            b"V1,-5001\r",
            b"V1,x\r",
            b"V0,0\r",
            b"F1,101\r",
            b"F1,-1\r",
            b"F5,1\r",
            b"F1,1.5\r",
            b"VH5\r",
            b"WF3\r",
            b"what\r",
        )
    ],
]


@pytest.fixture
def epc(table: FakeBench) -> EPC400Twin:
    return EPC400Twin.build("epc", table, {"hysteresis": 0.0})


@pytest.fixture
def voa(table: FakeBench) -> DD100Twin:
    return DD100Twin.build("voa", table, {})


@pytest.mark.parametrize(("sent", "expected"), EPC)
def test_each_command_of_the_epc_gets_its_two_lines(
    serial_port: Callable[..., Wire], epc: EPC400Twin, sent: bytes, expected: bytes
) -> None:
    assert serial_port(epc).say(sent) == expected


def test_the_sheets_status_lines(serial_port: Callable[..., Wire], epc: EPC400Twin) -> None:
    wire = serial_port(epc)
    wire.say(b"V1,2200\rV2,5000\rV3,-1000\rV4,-4000\r")
    assert wire.say(b"V?\r") == b"Voltage(mV): CH1 +2200 CH2 +5000 CH3 -1000 CH4 -4000\r\n" + DONE
    wire.say(b"F1,7\rF2,17\rF3,37\rF4,71\r")
    assert wire.say(b"F?\r") == b"Frequency(Hz): CH1 007  CH2 017  CH3 037  CH4 071\r\n" + DONE
    wire.say(b"VH1\rVL2\rVZ3\r")
    assert wire.say(b"V?\r") == b"Voltage(mV): CH1 +5000 CH2 -5000 CH3 +0000 CH4 -4000\r\n" + DONE
    wire.say(b"ENVF1\rFV3\rFV4\rMAC\r")
    assert wire.say(b"VF?\r") == b"Hz<->Volt at AC Mode is enabled: CH1-V,CH2-V,CH3-F,CH4-F\r\n" + DONE
    assert wire.say(b"M?\r") == b"Work Mode: AC(Sine)\r\n" + DONE
    assert wire.say(b"WF2\rWF?\r").endswith(b"AC Waveform: Triangle\r\n" + DONE)
    assert wire.say(b"M?\r") == b"Work Mode: AC(Triangle)\r\n" + DONE
    assert wire.say(b"VF4\rENVF0\rVF?\r").endswith(b"disabled: CH1-V,CH2-V,CH3-F,CH4-V\r\n" + DONE)
    assert wire.say(b"MDC\rM?\r").endswith(b"Work Mode: DC\r\n" + DONE)


def test_the_retardance_follows_the_voltage_within_milliseconds_and_settings_survive_if_saved(
    serial_port: Callable[..., Wire], table: FakeBench, epc: EPC400Twin
) -> None:
    wire, knob = serial_port(epc), table.knob("epc", "retardance_rad.2")
    wire.talk(b"V2,1500\r", wait_s=0.05)
    assert knob.value(table.clock.now_ps()) == pytest.approx(math.pi, rel=1e-6)
    epc.reset_power()
    assert wire.say(b"V?\r").startswith(b"Voltage(mV): CH1 +0000 CH2 +0000")
    wire.talk(b"V2,750\rSAVE\rV2,0\r", wait_s=0.05)
    epc.reset_power()
    assert b"CH2 +0750" in wire.say(b"V?\r")


def test_a_piezo_has_play_and_a_dead_one_does_nothing(table: FakeBench) -> None:
    twin = EPC400Twin.build("epc", table, {"hysteresis": 0.02, "creep_per_decade": 0.0})
    knob, wire = table.knob("epc", "retardance_rad.1"), twin.connect()
    wire.receive(b"V1,1500\r")
    up = knob.value(table.clock.now_ps() + 10**12)
    wire.receive(b"V1,3000\rV1,1500\r")
    down = knob.value(table.clock.now_ps() + 10**12)
    assert down - up == pytest.approx(2 * 0.02 * 5000 / 1500 * math.pi, rel=1e-6)  # twice the play
    twin.device_fault("dead_squeezer", channel=1)
    wire.receive(b"V1,5000\r")
    assert abs(knob.value(table.clock.now_ps() + 10**12)) <= 0.02 * 5000 / 1500 * math.pi + 1e-9
    with pytest.raises(TwinError, match="dead_squeezer"):
        twin.device_fault("no such thing")


def test_a_piezo_creeps_by_a_share_of_its_step_for_each_decade_of_time(table: FakeBench) -> None:
    """1500 mV are pi; from 0.1 s on 1 % of that is added by each decade: 2 % after 10 s, 4 % after 1000 s."""
    twin = EPC400Twin.build("epc", table, {"hysteresis": 0.0, "creep_per_decade": 0.01})
    knob, wire = table.knob("epc", "retardance_rad.1"), twin.connect()
    t0_ps = table.clock.now_ps()
    wire.receive(b"V1,1500\r")
    for seconds, share in ((0.1, 1.0), (10.0, 1.02), (1000.0, 1.04)):
        assert knob.value(t0_ps + round(seconds * 1e12)) == pytest.approx(share * math.pi, rel=1e-9)
    table.clock.sleep(10.0)
    wire.receive(b"V1,1500\r")  # what it already feels moves nothing
    assert knob.value(t0_ps + 10**15) == pytest.approx(1.04 * math.pi, rel=1e-9)


def test_the_attenuator_homes_then_moves_and_says_done_at_the_end(
    serial_port: Callable[..., Wire], table: FakeBench, voa: DD100Twin
) -> None:
    wire, knob = serial_port(voa), table.knob("voa", "loss_db")
    before = knob.value(0)
    assert before > 3.0  # nobody knows where it was left
    assert wire.say(b"D\r") == b"DPos:0\r\nATTEN:0.00\r\nDone\r\n\r\n"
    assert wire.say(b"H\r") == b""
    assert wire.talk(wait_s=30.0) == b"Done\r\n\r\n"
    assert knob.value(table.clock.now_ps()) == 0.0
    assert wire.talk(b"A23.50\r", wait_s=2.0) == b"Pos:1250\r\nDone\r\n\r\n"  # the sheet's example
    assert wire.say(b"D\r\n") == b"DPos:1250\r\nATTEN:23.50\r\nDone\r\n\r\n"
    assert knob.value(table.clock.now_ps()) == pytest.approx(23.5, abs=0.01)
    assert b"IL:1.20\r\nMAX ATTEN:60.00\r\nDone\r\n\r\n" in wire.say(b"CD\r")
    assert wire.talk(b"A60.00\r", wait_s=2.0) == b"Pos:3191\r\nDone\r\n\r\n"  # the end of its range
    assert wire.talk(b"A0\r", wait_s=2.0) == b"Pos:0\r\nDone\r\n\r\n"
    assert wire.say(b"A60.01\r", b"A60.5\r", b"A-1\r", b"Ax\r", b"foo\r") == 5 * REFUSED


def test_a_power_cycle_loses_the_zero_but_moves_nothing(
    serial_port: Callable[..., Wire], table: FakeBench, voa: DD100Twin
) -> None:
    wire, knob = serial_port(voa), table.knob("voa", "loss_db")
    wire.talk(b"H\r", wait_s=30.0)
    wire.talk(b"A10.0\r", wait_s=2.0)
    voa.reset_power()
    assert wire.say(b"D\r") == b"DPos:0\r\nATTEN:0.00\r\nDone\r\n\r\n"
    assert knob.value(table.clock.now_ps()) == pytest.approx(10.0, abs=0.01)
    assert wire.talk(b"RST\r", wait_s=39.9) == b""
    assert wire.talk(wait_s=0.2) == b"Done\r\n\r\n"


def test_a_power_cut_stops_the_motor_on_its_way(table: FakeBench, voa: DD100Twin) -> None:
    """A third of the full travel, 1.5 s for 60 dB, is 20 dB."""
    wire, knob = voa.connect(), table.knob("voa", "loss_db")
    wire.receive(b"H\r")
    table.clock.sleep(30.0)
    wire.wake()
    wire.receive(b"A60.00\r")
    table.clock.sleep(0.5)
    voa.reset_power()
    for _ in range(2):
        assert knob.value(table.clock.now_ps()) == pytest.approx(20.0, abs=0.02)
        table.clock.sleep(5.0)


@pytest.mark.parametrize("value", [b"1_0", b"nan", b"inf", b"1" * 5000, b""])
def test_what_is_no_number_of_decibels_is_refused(table: FakeBench, voa: DD100Twin, value: bytes) -> None:
    assert voa.connect().receive(b"A" + value + b"\r") == REFUSED


def test_a_stuck_motor_stands_still(serial_port: Callable[..., Wire], table: FakeBench, voa: DD100Twin) -> None:
    wire, knob = serial_port(voa), table.knob("voa", "loss_db")
    wire.talk(b"H\r", wait_s=30.0)
    voa.device_fault("stuck_motor")
    assert wire.talk(b"A20.00\r", wait_s=2.0) == b"Pos:0\r\nDone\r\n\r\n"
    assert knob.value(table.clock.now_ps()) == 0.0
    assert wire.talk(b"H\r", wait_s=30.0) == REFUSED


def test_the_loss_depends_on_the_wavelength(table: FakeBench) -> None:
    voa = DD100Twin.build("voa", table, {"wavelength_nm": 1310.0, "dependence_per_nm": 1e-4})
    wire = voa.connect()
    wire.receive(b"H\r")
    table.clock.sleep(30.0)
    wire.wake()
    wire.receive(b"A40.00\r")
    assert table.knob("voa", "loss_db").value(table.clock.now_ps() + 10**13) == pytest.approx(40 * 0.976, abs=0.02)


EPC_SESSION = b"".join(sent for sent, _ in EPC)


def test_any_split_on_the_wire_gives_the_same_bytes(
    serial_port: Callable[..., Wire],
    epc: EPC400Twin,
    make_bench: Callable[[], FakeBench],
    pieces: Callable[[bytes], list[bytes]],
) -> None:
    whole = EPC400Twin.build("epc", make_bench(), {}).connect().receive(EPC_SESSION)
    assert serial_port(epc).say(*pieces(EPC_SESSION)) == whole
