"""Drivers of pymeasure, qcodes and vendors talk to our twins, in real time.  `make interop` installs them and runs this."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qlab.clock import RealClock
from qlab.lab.build import Lab, open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Their code is as it is.
pytestmark = pytest.mark.filterwarnings("ignore")

LINES = "\n"


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Callable[[str], tuple[Lab, str]]]:
    """Put one twin on the wire, without our driver; return the lab and the address."""
    labs: list[Lab] = []

    def make(cls: str) -> tuple[Lab, str]:
        path = tmp_path / "one.yaml"
        path.write_text(f"qlab: 1\nname: one\ninstruments:\n  it: {{class: {cls}, address: twin}}\n")
        labs.append(open_lab(str(path), data_dir=tmp_path, clock=RealClock(), connect=False))
        return labs[-1], labs[-1].mounts["it"].address

    yield make
    for lab in labs:
        lab.close()


def test_lakeshores_own_driver_regulates_the_cryostat(twin: Callable[[str], tuple[Lab, str]]) -> None:
    vendor = pytest.importorskip("lakeshore")
    enums = pytest.importorskip("lakeshore.model_336").Model336Enums
    _, address = twin("devices.cryogenics.lakeshore_336.LakeShore336")
    host, port = address.split("::")[1:3]
    controller = vendor.Model336(ip_address=host, tcp_port=int(port))
    try:
        assert controller.get_all_kelvin_reading() == [2.5, 40.0, 295.15, 295.15]
        assert controller.get_kelvin_reading("A") == 2.5
        assert not controller.get_input_reading_status("A").invalid_reading
        controller.set_control_setpoint(1, 4.0)
        assert controller.get_control_setpoint(1) == 4.0
        controller.set_heater_pid(1, 20, 10, 0)
        assert controller.get_heater_pid(1) == {"gain": 20.0, "integral": 10.0, "derivative": 0.0}
        controller.set_heater_output_mode(1, enums.HeaterOutputMode.CLOSED_LOOP, enums.InputChannel.CHANNEL_A)
        assert controller.get_heater_output_mode(1)["mode"] == enums.HeaterOutputMode.CLOSED_LOOP
        controller.set_heater_range(1, enums.HeaterRange.LOW)
        assert controller.get_heater_range(1) == enums.HeaterRange.LOW
        controller.all_heaters_off()
        assert controller.get_heater_range(1) == enums.HeaterRange.OFF
        assert controller.get_heater_status(1) == 0
    finally:
        controller.disconnect_tcp()


def test_qcodes_reads_and_sets_the_cryostat(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("qcodes.instrument_drivers.Lakeshore")
    _, address = twin("devices.cryogenics.lakeshore_336.LakeShore336")
    controller = drivers.LakeshoreModel336("it", address, visalib="@py", terminator="\r\n")
    try:
        assert controller.get_idn()["vendor"] == "LSCI"
        assert (controller.A.temperature(), controller.B.temperature()) == (2.5, 40.0)
        assert controller.A.sensor_status() == "OK"
        controller.output_1.mode("closed_loop")
        controller.output_1.setpoint(5.0)
        controller.output_1.output_range("low")
        assert controller.output_1.mode() == "closed_loop"
        assert controller.output_1.setpoint() == 5.0
        assert controller.output_1.output_range() == "low"
        controller.output_1.output_range("off")
        assert controller.output_1.output_range() == "off"
    finally:
        controller.close()


def test_pymeasure_drives_the_laser_diode(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.srs")
    lab, address = twin("devices.sources.srs_ldc501.LDC501")
    laser = drivers.LDC500Series(address, visa_library="@py", read_termination=LINES, write_termination=LINES)
    try:
        assert laser.id.startswith("Stanford Research Systems,LDC501")
        laser.write("TOKN ON")  # it reads ON and CLOSED
        assert laser.ld.interlock_closed is True
        laser.ld.current_limit = 100
        laser.ld.current_setpoint = 60
        laser.tec.temperature_setpoint = 22.0
        laser.tec.enabled = True
        laser.ld.enabled = True
        assert laser.ld.enabled is True
        assert laser.ld.current == pytest.approx(60.0)
        assert lab.bench is not None
        power = lab.bench.pump_power("it")
        above_a = 0.06 - 0.035 * math.exp(-3.0 / 170.0)  # the threshold is lower at 22 degC, and the slope steeper
        expected_w = math.exp(3.0 / 500.0) * above_a * (1 - 0.2 * above_a)
        assert power.value(lab.clock.now_ps() + 10**11) == pytest.approx(expected_w, rel=1e-3)
        assert laser.tec.temperature == pytest.approx(22.0, abs=0.1)
        laser.ld.enabled = False
        assert laser.ld.current == 0.0
        assert (laser.last_execution_error, laser.last_command_error) == (0, 0)
    finally:
        laser.adapter.close()


def test_topticas_own_library_reads_sets_and_monitors_the_laser(twin: Callable[[str], tuple[Lab, str]]) -> None:
    vendor = pytest.importorskip("toptica.lasersdk.dlcpro.v3_3_3")
    client = pytest.importorskip("toptica.lasersdk.client")
    lab, address = twin("devices.sources.toptica_dlcpro.DLCpro")
    monitoring = int(lab.mounts["it.monitoring"].address.split("::")[2])
    host, command = address.split("::")[1:3]
    with vendor.DLCpro(vendor.NetworkConnection(host, int(command), monitoring)) as laser:
        assert laser.system_type.get() == "DLC pro"
        assert laser.serial_number.get() == "DLC PRO_012345"
        laser.laser1.dl.cc.current_set.set(99.5)
        assert laser.laser1.dl.cc.current_set.get() == 99.5
        assert laser.laser1.dl.cc.current_clip_limit.get() == 250.0
        laser.laser1.dl.cc.enabled.set(True)
        assert laser.laser1.dl.cc.emission.get() is True
        assert laser.emission.get() is True
        assert lab.bench is not None
        assert lab.bench.pump_power("it").value(lab.clock.now_ps() + 10**11) == pytest.approx(0.8 * 0.0595, rel=1e-2)
        assert laser.laser1.dl.lock.state.get() == 0
        assert laser.laser1.dl.tc.temp_set.get() == 22.0
        laser.system_label.set("rehearsal")
        assert laser.system_label.get() == "rehearsal"
        heard: list[float] = []
        with laser.laser1.dl.cc.current_set.subscribe(lambda _, __, value: heard.append(value.value)):
            laser.laser1.dl.cc.current_set.set(80.0)
            for _ in range(40):
                laser.poll()
                if 80.0 in heard:
                    break
                lab.clock.sleep(0.05)
        assert heard[-1] == 80.0
        with pytest.raises(client.DecopError):
            laser.laser1.dl.cc.current_set.set(1000.0)
        with pytest.raises(client.DecopError, match="unavailable"):
            laser.laser2.dl.cc.current_set.get()
        laser.laser1.dl.cc.enabled.set(False)
        assert laser.emission.get() is False


def test_pymeasure_drives_the_waveform_generator(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.agilent")
    lab, address = twin("devices.sources.keysight_33500b.Keysight33500B")
    awg = drivers.Agilent33500(address, visa_library="@py", read_termination=LINES, write_termination=LINES)
    try:
        assert awg.id == "Agilent Technologies,33622A,MY50000123,A.01.10-2.25-03-64-02"
        for channel in (awg, awg.ch_2):
            channel.shape = "SIN"
            channel.output_load = 50
            channel.amplitude_unit = "VPP"
            channel.frequency, channel.amplitude, channel.offset, channel.phase = 2e6, 3.0, 0.5, 90.0
            found = (channel.shape, channel.frequency, channel.amplitude, channel.offset, channel.phase)
            assert found == ("SIN", 2e6, 3.0, 0.5, 90.0)
            assert (channel.voltage_high, channel.voltage_low) == (2.0, -1.0)
            channel.frequency = 1e3
            channel.shape = "PULS"
            channel.pulse_hold = "WIDT"
            channel.pulse_period, channel.pulse_width, channel.pulse_transition = 1e-3, 1e-4, 1e-8
            assert (channel.pulse_period, channel.pulse_width, channel.pulse_transition) == (1e-3, 1e-4, 1e-8)
            assert channel.pulse_dutycycle == pytest.approx(10.0)
            channel.square_dutycycle, channel.ramp_symmetry = 25.0, 75.0
            assert (channel.square_dutycycle, channel.ramp_symmetry) == (25.0, 75.0)
            channel.burst_mode, channel.burst_ncycles, channel.burst_period = "TRIG", 3, 0.01
            channel.burst_state = True
            assert (channel.burst_mode, channel.burst_ncycles, channel.burst_period) == ("TRIG", 3, 0.01)
            assert channel.burst_state is True
            channel.burst_state = False
            channel.data_volatile_clear()
            channel.data_arb("steps", range(-10000, 10000, 1000), data_format="DAC")
            channel.data_arb("line", [i / 10 for i in range(-10, 11)], data_format="float")
            channel.arb_file = "line"
            channel.arb_srate, channel.arb_filter, channel.arb_advance = 1e6, "OFF", "SRAT"
            channel.shape = "ARB"
            assert channel.arb_file == '"line"'
            assert (channel.arb_srate, channel.arb_filter, channel.arb_advance) == (1e6, "OFF", "SRAT")
            channel.output = True
            assert channel.output is True
        awg.phase_sync()
        awg.beep()
        assert awg.check_errors() == []
        assert lab.bench is not None
        now_ps = lab.clock.now_ps()
        assert lab.bench.knob("it", "frequency_hz.2").value(now_ps) == pytest.approx(1e6 / 21)  # 21 points
    finally:
        awg.adapter.close()


def test_qcodes_drives_the_waveform_generator(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("qcodes.instrument_drivers.Keysight")
    _, address = twin("devices.sources.keysight_33500b.Keysight33500B")
    awg = drivers.Keysight33622A("awg", address, visalib="@py", silent=True)
    try:
        awg.ch2.function_type("SQU")
        awg.ch2.frequency(1e5)
        awg.ch2.amplitude_unit("VRMS")
        awg.ch2.amplitude(0.5)
        awg.ch2.trigger_source("BUS")
        awg.ch2.trigger_count(2)
        awg.ch2.burst_ncycles("INF")
        awg.ch2.burst_state("ON")
        awg.ch2.output("ON")
        found = (awg.ch2.function_type(), awg.ch2.frequency(), awg.ch2.amplitude(), awg.ch2.trigger_count())
        assert found == ("SQU", 1e5, pytest.approx(0.5), 2)
        assert (awg.ch2.burst_ncycles(), awg.ch2.burst_mode(), awg.ch2.output()) == (math.inf, "N Cycle", "ON")
        assert awg.ch2.pulse_width() > 0
        awg.sync.source(2)
        assert (awg.sync.source(), awg.sync.output()) == (2, "ON")
        awg.force_trigger()
        awg.sync_channel_phases()
        assert awg.error() == (0, "No error")
    finally:
        awg.close()


def test_pymeasure_counts_with_the_counter(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.pendulum")
    _, address = twin("devices.counters.pendulum_cnt91.CNT91")
    counter = drivers.CNT91(address, visa_library="@py", write_termination=LINES, timeout=5000)
    try:
        assert counter.id.startswith("PENDULUM, CNT-91")
        assert counter.batch_size == 10_000
        counter.external_start_arming_source, counter.external_arming_start_slope = "B", "NEG"
        assert (counter.external_start_arming_source, counter.external_arming_start_slope) == ("B", "NEG")
        counter.external_start_arming_source = "IMM"
        counter.interpolator_autocalibrated = False
        assert counter.interpolator_autocalibrated is False
        counter.buffer_frequency_time_series("A", 8, gate_time=0.01)
        assert (counter.format, counter.continuous, counter.gate_time) == ("ASCII", False, 0.01)
        values = counter.read_buffer(8)
        assert values == [9.91e37] * 8  # nothing is connected: not a number, as SCPI writes it
    finally:
        counter.adapter.close()


def test_pymeasure_tunes_the_laser(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.santec")
    lab, address = twin("devices.sources.santec_tsl570.TSL570")
    laser = drivers.TSL570(address, visa_library="@py", read_termination="\r", write_termination="\r")
    try:
        assert laser.id.startswith("SANTEC,TSL-570")
        assert laser.command_set == "Legacy"
        assert (laser.wavelength_min, laser.wavelength_max) == (1500.0, 1630.0)
        assert laser.frequency_min == pytest.approx(183.92175)
        laser.wavelength_setpoint = 1555.5
        assert laser.wavelength_setpoint == 1555.5
        laser.power_unit = "dBm"
        laser.power_setpoint = 3.0
        assert (laser.power_unit, laser.power_setpoint, laser.output_enabled) == ("dBm", 3.0, False)
        laser.output_enabled = True
        assert laser.output_enabled is True
        assert laser.power == -60.0  # the shutter is closed
        assert lab.bench is not None
        assert lab.bench.pump_power("it").value(lab.clock.now_ps()) == 0.0
    finally:
        laser.adapter.close()


def test_pymeasure_regulates_the_cryostat(twin: Callable[[str], tuple[Lab, str]]) -> None:
    module = pytest.importorskip("pymeasure.instruments.lakeshore.lakeshore3xx")
    _, address = twin("devices.cryogenics.lakeshore_336.LakeShore336")
    cryostat = module.LakeShore3xx(address, visa_library="@py", read_termination="\r\n", write_termination="\n")
    try:
        assert cryostat.id.startswith("LSCI,MODEL336")
        assert cryostat.input_A.kelvin == pytest.approx(2.5, abs=0.1)
        cryostat.output_1.setpoint = 5.0
        cryostat.output_1.heater_range = "low"
        assert (cryostat.output_1.setpoint, cryostat.output_1.heater_range) == (5.0, "low")
        cryostat.output_1.heater_range = "off"
        cryostat.output_2.mout = 12
        assert cryostat.output_2.mout == 12
    finally:
        cryostat.adapter.close()


def test_pymeasure_reads_the_power_meter(twin: Callable[[str], tuple[Lab, str]]) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.thorlabs")
    _, address = twin("devices.power.thorlabs_pm100d.PM100D")
    meter = drivers.ThorlabsPM100USB(address, visa_library="@py", read_termination="\n", write_termination="\n")
    try:
        assert (meter.wavelength_min, meter.wavelength_max) == (400.0, 1100.0)
        meter.wavelength = 810
        assert meter.wavelength == 810
        assert abs(meter.power) < 1e-8  # dark, and noise
    finally:
        meter.adapter.close()


@pytest.mark.parametrize("name", ["Agilent33220A", "Agilent33521A"])
def test_pymeasures_drivers_of_other_models_drive_the_waveform_generator(
    twin: Callable[[str], tuple[Lab, str]], name: str
) -> None:
    drivers = pytest.importorskip("pymeasure.instruments.agilent")
    lab, address = twin("devices.sources.keysight_33500b.Keysight33500B")
    generator = getattr(drivers, name)(address, visa_library="@py", read_termination="\n", write_termination="\n")
    try:
        generator.shape = "SQU"
        generator.frequency = 1e5
        generator.amplitude = 1.0
        generator.offset = 0.1
        assert (generator.shape, generator.frequency) == ("SQU", 1e5)
        assert (generator.amplitude, generator.offset) == (1.0, 0.1)
        generator.burst_ncycles = 5
        assert generator.burst_ncycles == 5
        generator.output = True
        assert generator.output
        assert lab.twins["it"].peek()["output_on"]
        generator.output = False
        assert not generator.output
        assert not lab.twins["it"].peek()["output_on"]
        assert not generator.check_errors()
    finally:
        generator.adapter.close()
