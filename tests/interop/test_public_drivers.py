"""Public drivers that nobody here wrote talk to our twins, in real time.  `make interop` installs them and runs this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import pyvisa

from qlab.clock import PS_PER_S, RealClock
from qlab.lab.build import Lab, open_lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

# Their code is as it is.
pytestmark = pytest.mark.filterwarnings("ignore")

LAB = """
qlab: 1
name: public
seed: 5
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.05}}
  meter: {class: devices.power.thorlabs_pm100d.PM100D, address: twin}
  a: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {afterpulse_probability: 0.0}}
  b: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {afterpulse_probability: 0.0}}
  tagger: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  tap: {kind: tap, fraction: 0.01}
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 5000}
  left: {kind: attenuator, loss_db: 1.0}
  right: {kind: attenuator, loss_db: 1.0}
paths:
  - {from: pump, via: [tap], to: {tapped: meter, through: crystal}}
  - {from: crystal.signal, via: [left], to: a}
  - {from: crystal.idler, via: [right], to: b}
cables:
  - {from: a, to: tagger.1}
  - {from: b, to: tagger.3}
"""
ON_W = 0.6 * 0.020  # slope times what the current has above threshold


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> ModuleType:
    """The driver's module, named by the test; asked for before the lab, which takes seconds to shine."""
    module: ModuleType = pytest.importorskip(request.param)
    return module


@pytest.fixture
def lab(driver: ModuleType, tmp_path: Path) -> Iterator[Lab]:
    """A lab in real time whose pump shines; our drivers of the other instruments stay away."""
    path = tmp_path / "public.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path, clock=RealClock(), connect=False) as lab:
        pump = lab.devices["pump"]
        pump.connect()
        pump.switch_on().wait(60)
        assert lab.bench is not None
        # These drivers allow 0.1 s more than what they count: the world draws its first clicks before, which takes longer.
        now_ps = lab.clock.now_ps()
        assert lab.bench.world.clicks(lab.bench.detector_id("a"), now_ps - PS_PER_S, now_ps).size > 0
        yield lab


@pytest.mark.parametrize("driver", ["ThorlabsPM100"], indirect=True)
def test_thorlabspm100_reads_the_power_meter(driver: ModuleType, lab: Lab) -> None:
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(lab.mounts["meter"].address, read_termination="\n", write_termination="\n") as session:
        meter = driver.ThorlabsPM100(inst=session)
        meter.sense.correction.wavelength = 405
        meter.sense.average.count = 5
        assert meter.sense.correction.wavelength == 405
        assert meter.sense.average.count == 5
        assert meter.system.sensor.idn.startswith("S154C")
        assert meter.read == pytest.approx(0.01 * ON_W, rel=0.01)  # noise of 0.1 % a sample


@pytest.mark.parametrize("driver", ["S15lib.instruments.usb_counter_fpga"], indirect=True)
def test_s15lib_counts_and_takes_timestamps_on_the_tdc1(driver: ModuleType, lab: Lab) -> None:
    tagger = driver.TimestampTDC1(lab.mounts["tagger"].address)
    try:
        tagger.level = "NIM"
        assert tagger.level == b"-0.500 V\r\n"
        tagger.int_time = 0.5
        assert tagger.int_time == 500
        # 12 mW less the tap, 5 kHz/mW, 1 dB, 0.5: 23.4 kHz of pairs' halves and 500 darks; dead time of 50 ns
        rate_hz = 5e6 * ON_W * 0.99 * 10**-0.1 * 0.5 + 500
        expected = 0.5 * rate_hz / (1 + rate_hz * 50e-9)
        counts = tagger.get_counts(0.5)
        assert np.array(counts)[[0, 2]] == pytest.approx(expected, abs=5 * expected**0.5)
        assert np.array(counts)[[1, 3]].tolist() == [0, 0]
        both = tagger.get_counts_and_coincidences(0.5)
        true = 0.5 * 5e6 * ON_W * 0.99 * (10**-0.1 * 0.5) ** 2
        assert both[4] == pytest.approx(true, rel=0.05)  # 5 sigma, and what bins of 2 ns take and add
        assert both[5:] == (0, 0, 0)
        t_ns, pattern = tagger.get_timestamps(0.5, legacy=False)
        assert np.count_nonzero(np.asarray(pattern) & 1) == pytest.approx(expected, abs=5 * expected**0.5)
        assert np.all(np.diff(np.asarray(t_ns, dtype=float)) >= 0)
        assert float(t_ns[-1]) == pytest.approx(0.5e9, rel=0.01)
    finally:
        tagger._com.close()


@pytest.mark.parametrize("driver", ["S15lib.instruments.single_photon_detector"], indirect=True)
def test_s15lib_drives_the_detector_module(driver: ModuleType, lab: Lab) -> None:
    detector = driver.SinglePhotonDetector(lab.mounts["a"].address)
    try:
        detector.hvolt = 170
        assert detector.hvolt == pytest.approx(170)
        assert detector.temperature == pytest.approx(-20.0, abs=0.5)
        # darks double in 8 K, and the light of the pump: what is counted in 1 s
        detector.time = 100
        assert detector.counts() > 1000
    finally:
        detector._com.close()
