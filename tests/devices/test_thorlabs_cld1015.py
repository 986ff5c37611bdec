"""The pump laser: light only on request, and dark after everything else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky.utils import FailedStatus

from devices.sources.thorlabs_cld1015 import CLD1015
from qlab import roles
from qlab.errors import InstrumentError, InterlockError, LimitError, LinkClosedError, WrongIdentityError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from bluesky import RunEngine

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

NO_ERROR = (b"SYST:ERR?\n", b'+0,"No error"\n')
OFF = [(b"OUTP:STAT 0\n", b""), NO_ERROR, (b"OUTP:STAT?\n", b"0\n")]


def test_connecting_applies_the_lab_files_settings_and_makes_no_light(table: Callable[..., Lab]) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]

    assert isinstance(pump, roles.PhotonSource)
    assert pump.current_a.get() == 0.08
    assert pump.current_limit_a.get() == 0.12
    assert pump.emission.get() == 0
    assert pump.firmware == "1.7.0"
    assert pump.check_health() == []


def test_switching_on_settles_the_diode_and_lasts_the_soft_start(table: Callable[..., Lab]) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]
    begin_ps = lab.clock.now_ps()

    pump.emission.set(1).wait(30)
    pump.trigger().wait(10)

    assert pump.emission.get() == 1
    assert abs(pump.measured_temperature_c.get() - 25.0) < 0.06  # TEC_TOLERANCE_C and a digit
    assert pump.measured_current_a.get() == pytest.approx(0.08, abs=0.002)
    assert lab.clock.now_ps() - begin_ps >= 600_000_000_000  # SOFT_START_S

    pump.switch_off().wait(10)
    assert pump.emission.get() == 0
    assert pump.current_a.fetch() == pytest.approx(0.08)  # the current stays


def test_a_current_above_the_current_limit_is_refused_before_it_is_sent(table: Callable[..., Lab]) -> None:
    pump = table("pump").devices["pump"]

    with pytest.raises(LimitError, match=r"pump: current_a = 0\.2 A is outside its limits, 0 to 0\.12 A"):
        pump.current_a.set(0.2)


@pytest.mark.parametrize(
    ("node", "words"), [("INTL", "interlock"), ("KEYL", "key switch"), ("OTEM", "too hot"), ("CONN", "connector")]
)
def test_a_refused_emission_names_the_protection_that_tripped(
    scripted: Callable, clock: SteppedClock, node: str, words: str
) -> None:
    nodes = ["INTL", "KEYL", "OTEM", "CONN", "VOLT"]
    trips = [(f"OUTP:PROT:{n}:TRIP?\n".encode(), b"1\n" if n == node else b"0\n") for n in nodes]
    link, port = scripted(
        (b"OUTP2:STAT?\n", b"1\n"),
        (b"SENS2:TEMP:DATA?\n", b"25.01\n"),
        (b"OUTP:STAT 1\n", b""),
        (b"SYST:ERR?\n", b'-221,"Settings conflict"\n'),
        NO_ERROR,
        *trips,
    )
    pump = CLD1015(name="pump", link=link, clock=clock)

    with pytest.raises(InterlockError, match=rf"pump: the output stays off: .*{words}.*OUTP:STAT 1.*-221"):
        pump.switch_on().wait(10)
    assert port.script == []


def test_an_open_interlock_on_the_twin_keeps_the_laser_dark(table: Callable[..., Lab]) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]
    lab.twins["pump"].device_fault("interlock")

    with pytest.raises(InterlockError, match="the interlock is open"):
        pump.switch_on().wait(30)
    assert pump.check_health() == ["the interlock is open"]


def test_light_that_goes_out_by_itself_is_an_error_of_the_next_measurement(table: Callable[..., Lab]) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]
    pump.switch_on().wait(30)
    lab.twins["pump"].device_fault("interlock")

    with pytest.raises(InterlockError, match="the interlock is open"):
        pump.trigger().wait(10)


def test_a_lost_connection_comes_back_with_its_settings_and_without_light(table: Callable[..., Lab]) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]
    pump.switch_on().wait(30)
    pump.current_a.set(0.06).wait(10)

    lab.mounts["pump"].power_cycle()

    with contextlib.suppress(LinkClosedError, InterlockError, InstrumentError):  # whatever is lost is said so
        pump.trigger().wait(30)
    pump.trigger().wait(30)
    assert pump.emission.get() == 0  # never by itself
    assert pump.current_a.fetch() == pytest.approx(0.06)  # the last value, not the lab file's


def test_another_instrument_behind_the_address_is_refused(table: Callable[..., Lab]) -> None:
    lab = table("pump", connect=False)
    lab.mounts["pump"].faults.arm(WireFault("wrong_identity", count=None))

    with pytest.raises(WrongIdentityError, match="pump: another instrument answers"):
        lab.devices["pump"].connect()


def test_leaving_a_stage_and_a_failed_stop_switch_off_and_a_good_end_does_not(
    scripted: Callable, clock: SteppedClock
) -> None:
    link, port = scripted(*OFF, *OFF)
    pump = CLD1015(name="pump", link=link, clock=clock)
    link.open()

    pump.stage()
    pump.unstage().wait(10)
    assert len(port.script) == 3
    assert pump.emission.stop(success=True) is None
    status = pump.emission.stop(success=False)
    assert status is not None
    status.wait(10)
    assert port.script == []


def test_a_laser_that_does_not_go_off_is_said_so(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"OUTP:STAT 0\n", b""), NO_ERROR, (b"OUTP:STAT?\n", b"1\n"))
    pump = CLD1015(name="pump", link=link, clock=clock)
    link.open()

    with pytest.raises(InstrumentError, match=r"still on.*switch it off at the instrument"):
        pump.make_safe()


def test_a_plan_that_fails_leaves_the_laser_off(table: Callable[..., Lab], engine: RunEngine) -> None:
    lab = table("pump")
    pump = lab.devices["pump"]
    seen: list[int] = []

    def plan():
        @bpp.stage_decorator([pump])
        def inner():
            yield from bps.mv(pump.emission, 1)
            seen.append(pump.emission.get())
            yield from bps.mv(pump.current_a, 0.5)

        return (yield from inner())

    with pytest.raises((LimitError, FailedStatus)):
        engine(plan())

    assert seen == [1]
    assert pump.emission.fetch() == 0


@pytest.mark.parametrize(
    "identity", [b"Thorlabs,CLD1015,M00123456,1.7.0\n", b"THORLABS,ITC4020,E12345678,1.4.0/2.0.3/1.6.0\n"]
)
def test_the_mount_and_its_bench_top_kin_are_known(scripted: Callable, clock: SteppedClock, identity: bytes) -> None:
    link, _ = scripted((b"*IDN?\n", identity))
    link.open()
    pump = CLD1015(name="pump", link=link, clock=clock)
    pump.check_identity(link)
    assert pump.identity_text == identity.decode().strip()
