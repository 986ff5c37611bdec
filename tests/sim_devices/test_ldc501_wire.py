r"""The LDC501 twin against protocol sheet 02: pyvisa over TCP, bytes written by hand; replies end with `\n` on TCP."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest

from qlab.errors import TwinError
from sim_devices.sources.srs_ldc501 import LDC501Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

SESSION = [
    (b"\nULOC 1\n*IDN?\n", b"Stanford Research Systems,LDC501,s/n098023,ver2.00\n"),
    (b"SILM 123\nSILM?\n", b"123.000\n"),
    (b"SILD 50.5;SILD?\r\n", b"50.500\n"),  # chained, CRLF
    (b"SILD 124\nSILD?;LEXE?;LEXE?\n", b"50.500;1;0\n"),  # above the limit; cleared by reading
    (b"SILM 40\nSILD?\n", b"40.000\n"),  # the limit drags the set current down
    (b"RNGE LOW\nRNGE?;SILM 251\nLEXE?\n", b"0\n1\n"),
    (b"RNGE HIGH\nRNGE?\n", b"1\n"),
    (b"SMOD CP;SMOD?;SMOD CC;SMOD?\n", b"1;0\n"),
    (b"SVLM 8.5;SVLM?\n", b"8.500\n"),
    (b"SVLM 0.05\nLEXE?\n", b"1\n"),
    (b"ILOC?;LDON?\n", b"1;0\n"),
    (b"TOKN ON;TOKN?;ILOC?;LDON?;RNGE?\n", b"ON;CLOSED;OFF;HIGH\n"),
    (b"TOKN OFF;TOKN?\n", b"0\n"),
    (b"TEMP 30;TEMP?;TMIN 5;TMAX 60;TMIN?;TMAX?\n", b"30.000;5.000;60.000\n"),
    (b"TILM 2;TILM?;TVLM 5;TVLM?;TSNR 3;TSNR?\n", b"2.000;5.000;3\n"),
    (b"TEMP 25;TTRD?;TRAW?\n", b"22.000;11.441\n"),  # the room's
    (b"RIPD?;RILD?;RVLD?\n", b"0.000;0.000;0.000\n"),
    (b"RESP 5;RESP?;PILM 900;PILM?;BIAS 5;BIAS?\n", b"5.000;900.000;5.000\n"),
    (b"LDEN 3;LDEN?;LDPT?;LDNT?\n", b"3;32767;0\n"),
    (b"NOPE\nLCME?;LCME?\n", b"2;0\n"),
    (b"SILD\nLCME?\n", b"5\n"),
    (b"SILD 1,2\nLCME?\n", b"6\n"),
    (b"*OPC?\n", b"1\n"),
    (b"MODU 1;MODU?;SIBW 1;SIBW?;PDMW 1;PDMW?;PDMW 0;SYND 20;SYND?\n", b"1;1;1;20\n"),
    (b"SYND 4\nLEXE?\n", b"1\n"),
    (b"SWPD 12;SWPD?;PWLM 20;PWLM?;RWPD?;SIPD 50;SIPD?\n", b"12.000;20.000;0.000;50.000\n"),
    (b"AILM ON;AILM?;APLP ON;APLP?;APLC ON;APLC?;ATOF?\n", b"1;1;1;1\n"),
    (b"TMOD CC;TMOD?;TMOD CT;TCUR -1.5;TCUR?;TIRD?;TVRD?\n", b"0;-1.500;0.000;0.000\n"),
    (b"TRTH 10;TRTH?;TEMP?\n", b"10.000;25.000\n"),  # the thermistor at 25 degC
    (b"TRMN 5;TRMN?;TRMX 20;TRMX?\n", b"5.000;20.000\n"),
    (b"TMIN?;TMAX?\n", b"10.177;41.460\n"),  # 1/T = ln(R/R25)/B + 1/T25 with B = 3950 K
    (b"TMIN 5;TMAX 60;TEPT?;TENT?;TEEN 3;TEEN?;TEEV?\n", b"32767;0;3;2\n"),  # constant temperature came back
    (b"*ESE 4;*ESE?;*SRE 8;*SRE?;*STB?;*ESR?\n", b"4;8;88;176\n"),  # idle, a reply waits, and both mean service
]


@pytest.fixture
def twin(table: FakeBench) -> LDC501Twin:
    return LDC501Twin.build("pump", table, {})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: LDC501Twin) -> Wire:
    return visa(twin)


def test_a_session_of_the_sheet(wire: Wire) -> None:
    for sent, expected in SESSION:
        assert wire.say(sent) == expected, sent


@pytest.fixture
def lit(wire: Wire) -> Wire:
    wire.talk(b"SILM 100;SILD 85;TEON ON\n", wait_s=60.0)
    wire.talk(b"LDON ON\n", wait_s=0.1)
    assert wire.say(b"LDON?;LEXE?\n") == b"1;0\n"
    return wire


def test_the_light_follows_the_current_with_roll_off(lit: Wire, table: FakeBench) -> None:
    power = table.knob("pump", "power_w")
    assert power.value(table.clock.now_ps()) == pytest.approx(0.05 * (1 - 0.2 * 0.05), rel=1e-6)
    assert lit.say(b"RILD?;RVLD?;RIPD?\n") == b"85.000;3.880;247.500\n"  # 49.5 mW and 5 uA/mW
    lit.talk(b"SILD 35\n", wait_s=0.1)
    assert power.value(table.clock.now_ps()) == 0.0  # the threshold
    lit.talk(b"LDON OFF\n", wait_s=0.1)
    assert lit.say(b"LDON?;RILD?\n") == b"0;0.000\n"


def test_current_settles_within_milliseconds(lit: Wire, table: FakeBench) -> None:
    power = table.knob("pump", "power_w")
    before = power.value(table.clock.now_ps())
    lit.say(b"SILD 60\n")
    assert power.value(table.clock.now_ps()) == pytest.approx(before)
    lit.talk(wait_s=0.0025)  # the sheet's time constant, of the current
    above = 0.025 + 0.025 / math.e
    assert power.value(table.clock.now_ps()) == pytest.approx(above * (1 - 0.2 * above), rel=1e-6)


def test_the_laser_hops_from_mode_to_mode(lit: Wire, table: FakeBench) -> None:
    wavelength = table.knob("pump", "wavelength_nm")
    seen = []
    for tenth in range(800, 1000, 5):
        lit.talk(b"SILD %.1f\n" % (tenth / 10), wait_s=0.1)
        seen.append(wavelength.value(table.clock.now_ps()))
    steps = [b - a for a, b in itertools.pairwise(seen)]
    small = 0.0154 * 60.0 * 0.0005  # the mode follows the junction's temperature
    hops = [step for step in steps if step > 0.01]
    assert all(step == pytest.approx(small, abs=1e-9) for step in steps if step < 0.01)
    assert hops
    assert all(step == pytest.approx(small + 0.03, abs=1e-9) for step in hops)  # one mode spacing


def test_the_light_follows_the_diodes_temperature_while_the_tec_is_on_its_way(lit: Wire, table: FakeBench) -> None:
    power, wavelength = table.knob("pump", "power_w"), table.knob("pump", "wavelength_nm")
    lit.talk(b"TEMP 35\n", wait_s=3.0)
    warmer = 10.0 * (1.0 - 1.0 / math.e)  # one time constant of the TEC after it left 25 degC
    above = 0.085 - 0.035 * math.exp(warmer / 170.0)
    assert power.value(table.clock.now_ps()) == pytest.approx(
        above * math.exp(-warmer / 500.0) * (1 - 0.2 * above), rel=1e-9
    )
    heat = warmer + 60.0 * 0.05
    mode = 0.0154 * heat + 0.03 * round((0.0432 - 0.0154) * heat / 0.03)
    assert wavelength.value(table.clock.now_ps()) == pytest.approx(405.0 + mode, abs=1e-9)


def test_a_scan_climbs_in_lab_time(lit: Wire, table: FakeBench) -> None:
    """The manual's own example, LDC500 manual 4.5.5: 25 steps of 10 mA from 50 mA take 2.5 s; here the limit is higher."""
    power = table.knob("pump", "power_w")
    lit.talk(b"SILM 300;SILD 50\n", wait_s=0.1)
    assert lit.say(b"SCAN?;SCAN 10,25,100;SCAN?;LEXE?\n") == b"0;1;0\n"
    assert int(lit.say(b"LDCR?\n")) >> 3 & 1
    for step in range(1, 26):
        lit.talk(wait_s=0.0025)
        lag = sum(math.exp(-(0.0025 + 0.1 * ago) / 0.0025) for ago in range(step)) * 0.010
        above = 0.050 + 0.010 * step - lag - 0.035
        assert power.value(table.clock.now_ps()) == pytest.approx(above * (1 - 0.2 * above), rel=1e-9)
        assert lit.talk(b"SILD?;RILD?\n", wait_s=0.0975) == b"%d.000;%d.000\n" % ((50 + 10 * step,) * 2)
    assert lit.say(b"SCAN?;SILD?;RILD?\n") == b"0;300.000;300.000\n"  # it stays where it came to
    assert not int(lit.say(b"LDCR?\n")) >> 3 & 1
    assert int(lit.say(b"LDEV?\n")) >> 3 & 1  # there was one


@pytest.mark.parametrize("scan", [b"SCAN 10,6,100", b"SCAN -10,9,100", b"SCAN 1,5,20", b"SCAN 1,0,100", b"SCAN 1,2,4"])
def test_a_scan_that_leaves_its_limits_or_is_too_fast_changes_nothing(lit: Wire, scan: bytes) -> None:
    """From 85 mA, up to 145 mA of 100, down to -5 mA, with a dwell that is not longer than the delay of the sync pulse."""
    assert lit.say(b"SILM 140;SYND 20;" + scan + b";LEXE?\n").strip() != b"0"
    assert lit.say(b"SCAN?;SILD?;LEXE?\n") == b"0;85.000;0\n"


def test_a_scan_with_constant_power_steps_the_photodiodes_current_and_a_setting_ends_it(
    lit: Wire, table: FakeBench
) -> None:
    power = table.knob("pump", "power_w")
    lit.talk(b"SMOD CP;SIPD 50\n", wait_s=0.1)
    lit.talk(b"SCAN 25,4,200\n", wait_s=0.3)
    assert power.value(table.clock.now_ps()) == pytest.approx(100e-3 / 5.0, rel=1e-6)  # second step, 5 uA per mW
    assert lit.talk(b"SIPD?;SIPD 60;SCAN?\n", wait_s=0.2) == b"100.000;0\n"
    assert power.value(table.clock.now_ps()) == pytest.approx(60e-3 / 5.0, rel=1e-6)
    assert lit.talk(b"TOKN ON;SCAN 1,1,10;SCAN?;LDON OFF\n", wait_s=1.0) == b"ON\n"
    assert power.value(table.clock.now_ps()) == 0.0


def test_an_open_interlock_puts_the_light_out_and_keeps_it_out(lit: Wire, twin: LDC501Twin) -> None:
    twin.device_fault("interlock")
    assert lit.say(b"ILOC?;LDON?\n") == b"0;0\n"
    assert int(lit.say(b"LDEV?\n")) & 1 << 8
    assert lit.say(b"LDON ON\nLEXE?;LDON?\n") == b"6;0\n"
    assert int(lit.say(b"LDCR?\n")) & 1 << 8
    twin.device_fault("interlock", active=False)
    assert lit.say(b"LDON?;LDON ON\nLDON?\n") == b"0\n1\n"  # not by itself


@pytest.mark.parametrize(
    ("cause", "bit"),
    [
        (b"AILM ON;SILM 85\n", 5),
        (b"APLC ON;PILM 240\n", 6),
        (b"APLP ON;SMOD CP;SIPD 200;PILM 199\n", 6),
    ],
)
def test_a_limit_that_is_armed_trips(lit: Wire, cause: bytes, bit: int) -> None:
    lit.say(cause)
    assert lit.say(b"LDON?\n") == b"0\n"
    assert int(lit.say(b"LDEV?\n")) >> bit & 1


def test_a_limit_that_is_not_armed_only_shows(lit: Wire) -> None:
    assert int(lit.say(b"LDCR?\n")) == 1 << 0 | 1 << 4 | 1 << 9  # on, stable, high range
    lit.say(b"SILM 85;PILM 240;SVLM 4;SIBW 1\n")
    assert int(lit.say(b"LDCR?\n")) & (1 << 2 | 1 << 5 | 1 << 6 | 1 << 7) == 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7
    assert lit.say(b"LDON?\n") == b"1\n"


def test_constant_power_is_what_the_photodiode_shows_and_limits_hold_it_down(lit: Wire) -> None:
    lit.talk(b"PDMW 1;SMOD CP;SWPD 30\n", wait_s=0.1)
    assert lit.say(b"RWPD?;RIPD?\n") == b"30.000;150.000\n"
    lit.talk(b"PWLM 20\nSWPD 30\n", wait_s=0.1)
    assert lit.say(b"RWPD?\n") == b"20.000\n"
    lit.talk(b"PWLM 1000;SWPD 900\n", wait_s=0.1)
    assert lit.say(b"RILD?\n") == b"100.000\n"  # the current's limit
    lit.talk(b"SMOD CC;SILD 60\n", wait_s=0.1)
    assert lit.say(b"CALP 12.5;RWPD?\n") == b"12.500\n"


def test_the_tec_drives_by_current_or_temperature_and_says_what_limits_it(wire: Wire, twin: LDC501Twin) -> None:
    wire.talk(b"TEMP 27;TEON ON\n", wait_s=60.0)
    assert wire.say(b"TTRD?;TIRD?;TVRD?\n") == b"27.000;0.250;0.450\n"
    assert int(wire.say(b"TECR?\n")) == 0b111  # on, constant temperature, stable
    wire.talk(b"TILM 0.1\n", wait_s=60.0)
    assert wire.say(b"TTRD?\n") == b"24.000\n"  # 0.1 A hold 2 K
    assert int(wire.say(b"TECR?\n")) & 0b110100 == 1 << 4
    wire.talk(b"TEMP 10\n", wait_s=60.0)
    assert int(wire.say(b"TECR?\n")) & 0b110100 == 1 << 5
    wire.talk(b"TILM 4.5;TVLM 1;TMOD CC;TCUR 1\n", wait_s=60.0)
    assert wire.say(b"TTRD?\n") == b"42.000\n"
    assert int(wire.say(b"TECR?\n")) == 1 << 0 | 1 << 6
    assert int(wire.say(b"TMAX 40;TECR?\n")) & 1 << 8
    assert int(wire.say(b"TMAX 60;TMIN 50;TECR?\n")) & 1 << 9
    for fault, bit in (("tec_open", 10), ("thermal_runaway", 11)):
        wire.say(b"TEON ON\n")
        twin.device_fault(fault)
        assert wire.say(b"TEON?\n") == b"0\n"
        assert int(wire.say(b"TEEV?\n")) >> bit & 1
        twin.device_fault(fault, active=False)


@pytest.mark.parametrize(
    ("cause", "bit"),
    [(b"TEON OFF\n", 12), (b"TMAX 20\n", 13), (b"TMIN 30\n", 14), (b"SVLM 3.5\n", 10)],
)
def test_each_trip_puts_the_light_out(lit: Wire, cause: bytes, bit: int) -> None:
    lit.say(cause)
    assert lit.say(b"LDON?\n") == b"0\n"
    assert int(lit.say(b"LDEV?\n")) >> bit & 1
    assert not int(lit.say(b"LDEV?\n")) >> bit & 1  # cleared by reading


def test_a_missing_sensor_or_diode_trips(lit: Wire, twin: LDC501Twin) -> None:
    twin.device_fault("sensor_unplugged")
    assert lit.say(b"LDON?;TEON?\n") == b"0;0\n"
    assert int(lit.say(b"TECR?\n")) >> 7 & 1
    assert int(lit.say(b"LDEV?\n")) >> 15 & 1
    twin.device_fault("open_circuit")
    assert int(lit.say(b"LDEV?\n")) >> 11 & 1
    with pytest.raises(TwinError, match="interlock"):
        twin.device_fault("no such thing")


def test_without_tec_the_laser_stays_off_unless_that_trip_is_disarmed(wire: Wire) -> None:
    assert wire.say(b"SILD 60;LDON ON\nLEXE?;LDON?\n") == b"6;0\n"
    assert wire.say(b"ATOF OFF;LDON ON\nLEXE?;LDON?\n") == b"0;1\n"
    assert wire.say(b"RNGE LOW\nLEXE?\n") == b"6\n"  # only with the laser off


def test_a_message_longer_than_the_buffer_is_an_error(wire: Wire) -> None:
    assert wire.say(b"SILD?;" * 12 + b"\n") == b""
    assert wire.say(b"*IDN?\n").startswith(b"Stanford")


def test_the_terminator_can_be_set_and_constant_power_regulates(lit: Wire, table: FakeBench) -> None:
    assert lit.say(b"TERM CRLF;SILD?\n") == b"85.000\r\n"
    lit.talk(b"SMOD CP;SIPD 100\n", wait_s=0.1)
    assert table.knob("pump", "power_w").value(table.clock.now_ps()) == pytest.approx(0.02, rel=0.01)


def test_power_and_reset_leave_it_dark(lit: Wire, twin: LDC501Twin, table: FakeBench) -> None:
    lit.say(b"*RST\n")
    assert twin.peek()["laser_on"] is False
    lit.talk(b"SILD 60;TEON ON;LDON ON\n", wait_s=0.1)
    twin.reset_power()
    assert table.knob("pump", "power_w").value(table.clock.now_ps()) == 0.0
    assert lit.say(b"LDON?;TEON?\n") == b"0;0\n"


STREAM = b"".join(sent for sent, _ in SESSION)


def test_any_split_on_the_wire_gives_the_same_bytes(wire: Wire, pieces: Callable[[bytes], list[bytes]]) -> None:
    assert wire.say(*pieces(STREAM)) == b"".join(expected for _, expected in SESSION)
