"""The rubidium oscillator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.timing.prs10_status import STATUS_BITS
from devices.timing.srs_prs10 import PRS10
from qlab import roles
from qlab.errors import InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

RB = "{class: devices.timing.srs_prs10.PRS10, address: twin, settings: {frequency_offset_1e12: 25}}"


def test_it_is_read_and_steered(table: Callable[..., Lab]) -> None:
    lab = table(rb=RB)
    rb = lab.devices["rb"]
    rb.trigger().wait(30)
    assert rb.read()["rb_lock"]["value"] == 1
    assert rb.locked
    assert isinstance(rb, roles.Clock)
    assert rb.read()["rb_case_c"]["value"] == pytest.approx(72.8)
    knob = lab.bench.knob("rb", "frequency")
    assert knob.value(lab.clock.now_ps()) == pytest.approx(25e-12)
    rb.set(-40).wait(30)
    assert knob.value(lab.clock.now_ps()) == pytest.approx(-40e-12)
    with pytest.raises(LimitError, match="frequency_offset_1e12"):
        rb.set(2001)
    assert rb.firmware == "3.24"


def test_what_it_does_not_take_is_an_error_although_it_says_nothing(table: Callable[..., Lab]) -> None:
    rb = table(rb=RB).devices["rb"]
    with pytest.raises(InstrumentError, match="a parameter is out of range; command 'GA99'"):
        rb.tell("GA99")
    with pytest.raises(InstrumentError, match="does not know a command"):
        rb.tell("QQ1")


def test_a_cold_oscillator_is_not_well_until_it_has_locked(table: Callable[..., Lab]) -> None:
    lab = table(rb=RB)
    rb = lab.devices["rb"]
    lab.mounts["rb"].power_cycle()
    assert not rb.refresh_health()
    assert "the frequency is not locked" in rb.health.reason.get()
    rb.wait_for_lock().wait(60)
    assert rb.refresh_health()
    assert rb.frequency_offset_1e12.fetch() == 25  # restored


@pytest.mark.parametrize(
    ("fault", "words"), [("lamp_failing", "the lamp is too dark"), ("case_too_hot", "the case is too hot")]
)
def test_faults_are_named(table: Callable[..., Lab], fault: str, words: str) -> None:
    lab = table(rb=RB)
    lab.twins["rb"].device_fault(fault)
    assert words in lab.devices["rb"].check_health()


def test_a_1_pps_that_is_followed_and_missing_is_named(table: Callable[..., Lab]) -> None:
    rb = table(rb=RB).devices["rb"]
    rb.follow_pps.put(1)
    assert rb.check_health() == ["there is no 1 pps"]


SHEET_BITS = (
    "supply is too low,supply is too high,heaters' supply is too low,heaters' supply is too high,lamp is too dark,"
    "lamp is too bright,gate voltage is too low,gate voltage is too high",
    "synthesiser is unlocked,varactor is too low,varactor is too high,VCO is too low,VCO is too high,gain control is too low,"
    "gain control is too high,bad parameter",
    "lamp is cold,lamp is too hot,crystal is cold,crystal is too hot,"
    "cell is cold,cell is too hot,case is cold,case is too hot",
    "not locked,lock is disabled,upper end,lower end,above 4.9 V,below 0.1 V",
    "no 1 pps is followed,fewer than 256 good,is followed,more than 256 bad,wrong intervals,begun again,saturated,no 1 pps",
    "lamp was restarted,watchdog,interrupt,memory was written,corrupt,command,parameter,reset",
)
QUIET = {(3, 1), (4, 0), (4, 1), (4, 2), (4, 5), (5, 0), (5, 2), (5, 3), (5, 5), (5, 6), (5, 7)}


@pytest.mark.parametrize(
    ("byte", "bit", "words"),
    [(n, bit, words) for n, row in enumerate(SHEET_BITS) for bit, words in enumerate(row.split(","))],
)
def test_each_status_bit_has_its_word(scripted: Callable, clock: SteppedClock, byte: int, bit: int, words: str) -> None:
    assert words in STATUS_BITS[byte][bit]
    status = ",".join(str(1 << bit if n == byte else 0) for n in range(6)).encode()
    link, _ = scripted((b"ST?\r", b"0,0,0,0,0,0\r"), (b"ST?\r", status + b"\r"), terminator=b"\r")
    found = PRS10(name="rb", link=link, clock=clock).check_health()
    assert found == ([] if (byte, bit) in QUIET else [STATUS_BITS[byte][bit]])


def test_the_sheets_replies_are_understood(scripted: Callable, clock: SteppedClock) -> None:
    link, port = scripted(
        (b"ID?\r", b"PRS10_3.24_SN_19957\r"), (b"AD10?\r", b"0.728\r"), (b"LO?\r", b"0\r"), terminator=b"\r"
    )
    rb = PRS10(name="rb", link=link, clock=clock)
    link.open()
    rb.check_identity(link)
    assert rb.firmware == "3.24"
    assert rb.case_c.fetch() == pytest.approx(72.8)  # 10 mV a degree
    assert rb.lock.fetch() == 0
    assert port.script == []
