"""The attenuator and the polarisation controller of OZ Optics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.polarisation.ozoptics_epc400 import EPC400
from devices.routing.ozoptics_dd100 import DD100
from qlab.errors import InstrumentError, LimitError
from qlab.lab.optic_models import SqueezersModel
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

VOA = "{class: devices.routing.ozoptics_dd100.DD100, address: twin, settings: {loss_db: 30.0}}"
EPC = "{class: devices.polarisation.ozoptics_epc400.EPC400, address: twin}"


def test_the_attenuator_homes_and_takes_the_lab_files_loss(table: Callable[..., Lab]) -> None:
    lab = table(voa=VOA)
    voa = lab.devices["voa"]
    assert voa.loss_db.get() == pytest.approx(30.0, abs=0.02)
    assert voa.insertion_loss_db == 1.2
    assert voa.loss_db.limits == (0.0, 60.0)
    voa.set(12.5).wait(60)
    assert voa.loss_db.get() == pytest.approx(12.5, abs=0.02)
    assert lab.twins["voa"].peek()["loss_db"] == pytest.approx(12.5, abs=0.02)
    with pytest.raises(LimitError, match="voa: loss_db = 61"):
        voa.set(61.0)


def test_a_stuck_motor_is_an_error_and_a_matter_of_health(table: Callable[..., Lab]) -> None:
    lab = table(voa=VOA)
    voa = lab.devices["voa"]
    lab.twins["voa"].device_fault("stuck_motor")
    with pytest.raises(InstrumentError, match="did not take a value"):
        voa.set(5.0).wait(60)
    assert not voa.health.ok.get()
    with pytest.raises(InstrumentError, match="refused a command"):
        voa.home().wait(60)


def test_after_a_power_cycle_it_says_that_its_zero_is_lost_and_does_not_home_by_itself(
    table: Callable[..., Lab],
) -> None:
    lab = table(voa=VOA)
    voa = lab.devices["voa"]
    lab.mounts["voa"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    voa.trigger().wait(60)
    assert voa.check_health() == ["it is not homed: its attenuation is unknown"]
    assert lab.twins["voa"].peek()["loss_db"] == pytest.approx(30.0, abs=0.02)
    voa.home().wait(60)
    assert voa.check_health() == []


def test_a_loss_is_not_set_from_a_lost_zero(table: Callable[..., Lab]) -> None:
    """At 30 dB a power cycle makes it show 0: 5 dB from there would be 35 dB in the beam."""
    lab = table(voa=VOA)
    voa = lab.devices["voa"]
    lab.mounts["voa"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    with pytest.raises(InstrumentError, match=r"zero is lost.*A5\.00.*home it"):
        voa.set(5.0).wait(60)
    assert lab.twins["voa"].peek()["loss_db"] == pytest.approx(30.0, abs=0.02)
    voa.home().wait(60)
    voa.set(5.0).wait(60)
    assert lab.twins["voa"].peek()["loss_db"] == pytest.approx(5.0, abs=0.02)


def test_four_voltages_are_set_at_once(table: Callable[..., Lab]) -> None:
    epc = table(epc=EPC).devices["epc"]
    epc.set([100.0, -2500.0, 5000.0, 0.0]).wait(30)
    epc.trigger().wait(30)
    assert [signal.get() for signal in epc.controls] == [100.0, -2500.0, 5000.0, 0.0]
    with pytest.raises(LimitError, match="voltage_2_mv"):
        epc.set([0.0, 5001.0, 0.0, 0.0])


def test_a_scrambling_controller_is_not_well(table: Callable[..., Lab]) -> None:
    epc = table(epc=EPC).devices["epc"]
    epc.mode.put("AC")
    assert epc.check_health() == ["it is in AC mode, in which it scrambles the polarisation"]


def test_voltages_are_set_again_after_a_power_cycle(table: Callable[..., Lab]) -> None:
    lab = table(epc=EPC)
    epc = lab.devices["epc"]
    epc.set([100.0, 200.0, 300.0, 400.0]).wait(30)
    lab.mounts["epc"].power_cycle()
    epc.trigger().wait(30)
    assert [signal.get() for signal in epc.controls] == [100.0, 200.0, 300.0, 400.0]


def test_an_error_line_names_the_command(table: Callable[..., Lab]) -> None:
    lab = table(epc=EPC)
    lab.mounts["epc"].faults.arm(WireFault("error"))
    with pytest.raises(InstrumentError, match=r"command 'V1,50'.*Error!"):
        lab.devices["epc"].voltage_1_mv.put(50.0)


def test_the_sheets_lines_are_read_to_the_empty_one(scripted: Callable) -> None:
    """QMI's and pylablib's own texts; `DPos` is no separate line, and what follows `Done` is swallowed."""
    link, port = scripted(
        (b"\r", b"Error!\r\n"),
        (b"CD\r", b"DD-100-MC\r\nIL:1.20\r\nMAX ATTEN:60.00\r\nDone\r\n\r\n"),
        (b"D\r", b"DPos:1234\r\nATTEN:23.50\r\nDone\r\n\r\n"),
        terminator=b"\r\n",
        command_terminator=b"\r",
    )
    voa = DD100(name="voa", link=link, clock=link.clock, settings={"home": False})
    voa.connect()
    assert (voa.insertion_loss_db, voa.loss_db.limits) == (1.2, (0.0, 60.0))
    voa.trigger().wait(10)
    assert voa.loss_db.get() == 23.5
    assert port.script == []


@pytest.mark.parametrize(("channel", "mv"), [(1, 2200.0), (2, 5000.0), (3, -1000.0), (4, -4000.0)])
def test_each_channels_voltage_is_found_in_the_sheets_line(channel: int, mv: float) -> None:
    line = "Voltage(mV): CH1 +2200 CH2 +5000 CH3 -1000 CH4 -4000"
    assert getattr(EPC400, f"voltage_{channel}_mv").kwargs["parse"](line) == mv


@pytest.mark.parametrize(("line", "mode"), [("Work Mode: DC", "DC"), ("Work Mode: AC(Sine)", "AC")])
def test_the_mode_is_found_in_the_sheets_line(line: str, mode: str) -> None:
    assert EPC400.mode.kwargs["parse"](line) == mode


def test_the_squeezers_axes_stand_as_the_sheet_says() -> None:
    assert SqueezersModel(kind="squeezers", instrument="epc").angles_deg == [0.0, 45.0, 0.0, 45.0]
