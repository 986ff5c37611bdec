"""Drivers of QMI, qcodes-contrib and SRS talk to our twins, in real time.  `make interop` installs them and runs this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qlab.clock import RealClock
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qlab.lab.build import Lab

# Their code is as it is.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Callable[..., tuple[Lab, str]]]:
    """Put one twin on the wire, without our driver; return the lab and the address."""
    labs: list[Lab] = []

    def make(cls: str, more: str = "") -> tuple[Lab, str]:
        path = tmp_path / "one.yaml"
        path.write_text(f"qlab: 1\nname: one\ninstruments:\n  it: {{class: devices.{cls}, address: twin{more}}}\n")
        labs.append(open_lab(str(path), data_dir=tmp_path, clock=RealClock(), connect=False))
        return labs[-1], labs[-1].mounts["it"].address

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def qmi(
    twin: Callable[..., tuple[Lab, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Open an instrument of QMI on a twin."""
    context_module = pytest.importorskip("qmi.core.context")
    monkeypatch.setenv("QMI_HOME", str(tmp_path))
    context = context_module.QMI_Context("interop")
    context.start()
    opened: list[Any] = []

    def make(module: str, name: str, cls: str, more: str = "", baud: str = "") -> Any:
        _, address = twin(cls, more)
        parts = address.split("::")
        transport = f"tcp:{parts[1]}:{parts[2]}" if parts[0].startswith("TCPIP") else f"serial:{address}{baud}"
        instrument = getattr(pytest.importorskip(f"qmi.instruments.{module}"), name)(context, "it", transport)
        instrument.open()
        opened.append(instrument)
        return instrument

    make.context = context  # type: ignore[attr-defined]
    yield make
    for instrument in opened:
        instrument.close()
    context.stop()


def test_qmi_heats_the_oven(qmi: Callable[..., Any]) -> None:
    oven = qmi("thorlabs.tc200", "Thorlabs_TC200", "sources.thorlabs_tc200.TC200")
    oven.set_temperature(35.0)
    oven.set_temperature_limit(100.0)
    oven.set_power_limit(10.0)
    oven.set_pid_gains(100, 1, 2)
    oven.enable()
    assert (oven.is_enabled(), oven.has_alarm(), oven.get_temperature_setpoint()) == (True, False, 35.0)
    assert (oven.get_temperature_limit(), oven.get_power_limit(), oven.get_pid_gains()) == (100.0, 10.0, (100, 1, 2))
    oven.disable()
    assert not oven.is_enabled()


def test_qmi_reads_the_power_meter(qmi: Callable[..., Any]) -> None:
    meter = qmi("thorlabs.pm100d", "Thorlabs_PM100D", "power.thorlabs_pm100d.PM100D")
    meter.set_wavelength(810.0)
    meter.set_range(1e-3)
    assert (meter.get_wavelength(), meter.get_range(), meter.get_autorange()) == (810.0, 1e-3, False)
    assert meter.get_sensor_info().name == "S154C"
    assert abs(meter.get_power()) < 1e-7  # dark
    assert abs(meter.get_current()) < 1e-7


def test_qmi_tunes_and_sweeps_the_laser(qmi: Callable[..., Any]) -> None:
    laser = qmi("santec.tsl_570", "Santec_Tsl570", "sources.santec_tsl570.TSL570")
    assert (laser.get_minimum_wavelength(), laser.get_maximum_wavelength()) == (1500.0, 1630.0)
    laser.set_wavelength(1555.0)
    laser.set_power_level(1.0)
    laser.set_wavelength_fine(10.0)
    laser.set_coherence_control_status(True)
    assert (laser.get_wavelength(), laser.get_power_level(), laser.get_wavelength_fine()) == (1555.0, 1.0, 10.0)
    laser.set_sweep_start_wavelength(1550.0)
    laser.set_sweep_stop_wavelength(1560.0)
    laser.set_sweep_speed(10)
    assert (laser.get_sweep_start_wavelength(), laser.get_sweep_speed()) == (1550.0, 10.0)
    assert laser.get_errors() == []


def test_qmi_counts(qmi: Callable[..., Any]) -> None:
    counter = qmi("tektronix.fca3000", "Tektronix_FCA3000", "counters.pendulum_cnt91.CNT91")
    counter.set_initiate_continuous(False)
    counter.configure_frequency(1, aperture=0.01, trigger_level=0.5, timestamp=True)
    assert counter.get_trigger_level(1) == 0.5
    assert counter.read_timestamped_value() == (0.0, 9.91e37)  # nothing is connected
    assert counter.get_errors() == []


def test_qmi_squeezes_attenuates_and_switches(qmi: Callable[..., Any]) -> None:
    squeezers = qmi(
        "ozoptics.epc_driver", "OzOptics_EpcDriver", "polarisation.ozoptics_epc400.EPC400", "", ":baudrate=9600"
    )
    squeezers.set_voltage(1, 1200)
    squeezers.set_high(2)
    squeezers.set_low(3)
    assert squeezers.get_voltages() == (1200, 5000, -5000, 0)
    attenuator = qmi("ozoptics.dd100mc", "OZOptics_DD100MC", "routing.ozoptics_dd100.DD100")
    attenuator.home()
    attenuator.set_attenuation(12.5)
    assert attenuator.get_position().attenuation == 12.5
    switch = qmi("agiltron.ff1x4", "Agiltron_FF1x4", "routing.agiltron_ff.AgiltronFF")
    switch.set_channel_active(3)
    assert switch.get_active_channel() == 3


def test_qmi_turns_a_mount_and_paddles(qmi: Callable[..., Any]) -> None:
    mount = qmi("thorlabs.k10cr1", "Thorlabs_K10CR1", "polarisation.thorlabs_k10cr1.K10CR1")
    home = mount.get_home_params()
    assert (home.home_direction.name, home.home_velocity) == ("REVERSE", 5.0)
    mount.move_home()
    mount.wait_move_complete(80.0)
    mount.move_absolute(22.5)
    mount.wait_move_complete(30.0)
    assert mount.get_absolute_position() == pytest.approx(22.5, abs=1e-3)
    paddles = qmi("thorlabs.mpc320", "Thorlabs_Mpc320", "polarisation.thorlabs_mpc320.MPC320")
    paddles.enable_channels([1, 2, 3])
    paddles.home_channel(1)
    assert paddles.is_channel_homed(1, 10.0)
    paddles.move_absolute(1, 60.0)
    assert paddles.is_move_completed(1, 10.0)
    assert paddles.get_status_update(1).position == pytest.approx(60.0, abs=0.2)


def test_qmi_biases_a_nanowire(qmi: Callable[..., Any]) -> None:
    slots = ", settings: {slots: {2: qoamp}}, twin: {slots: {2: qoamp}}"
    rack = qmi("stanford_research_systems.sim900", "Sim900", "detectors.srs_sim900.SIM900", slots, ":baudrate=9600")
    amplifier = pytest.importorskip("qmi.instruments.quantum_opus.amp_sim_module").AmpSimModule(
        qmi.context,  # type: ignore[attr-defined]
        "amplifier",
        rack,
        2,
    )
    amplifier.set_device_bias_current(20000)
    assert amplifier.get_device_bias_current() == 20000
    assert amplifier.get_device_voltage() == 0
    amplifier.initiate_auto_bias_function()
    assert amplifier.get_device_bias_current() == round(0.95 * 20.0 / 25.0 * 65535)


def test_qcodes_sets_an_isolated_voltage(twin: Callable[..., tuple[Lab, str]]) -> None:
    module = pytest.importorskip("qcodes_contrib_drivers.drivers.StanfordResearchSystems.SIM928")
    lab, address = twin("detectors.srs_sim900.SIM900")
    source = module.SIM928("source", f"ASRL{address}::INSTR", slot_names={1: "wire"}, visalib="@py")
    try:
        assert source.find_modules() == [1]
        source.volt_wire(1.2)
        assert source.volt_wire() == 1.2
        assert source.get_module_idn(1)["model"] == "SIM928"
    finally:
        source.close()
    assert lab.twins["it"].modules[1].channel.bias_ua == 0.0  # it is not switched on


def test_srs_own_driver_sets_the_delay_generator(twin: Callable[..., tuple[Lab, str]]) -> None:
    module = pytest.importorskip("srsinst.dg645")
    lab, address = twin("sources.srs_dg645.DG645")
    host, port = address.split("::")[1:3]
    generator = module.DG645()
    generator.connect("tcpip", host, int(port))
    try:
        assert generator.check_id()[0].startswith("DG645")
        generator.trigger.trigger_rate = 1000.0
        generator.delays.delay["A"]["T0"] = 1e-6
        generator.delays.delay["B"]["A"] = 2e-6
        assert (generator.trigger.trigger_rate, generator.delays.link["B"]) == (1000.0, 2)
        generator.burst.burst_count = 7
        assert generator.burst.burst_count == 7
        assert generator.status.get_status_text() == "ESR bit 7, PON is set"
        assert generator.query_text("LERR?") == "0"
    finally:
        generator.disconnect()
    assert lab.twins["it"].peek()["edges_s"][3] == pytest.approx(3e-6)
