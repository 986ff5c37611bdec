"""Public drivers of motors, plates and fibre parts on our twins, in real time.

`make interop` installs pyKDC101 and QMI.  thorlabs-apt-device, elliptec, thorlabs-elliptec and pylablib are under the GPL:
they are not installed, and run beside where they are already there.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from qlab.clock import RealClock
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Their code is as it is.
pytestmark = pytest.mark.filterwarnings("ignore")

K10CR1, KDC101 = "polarisation.thorlabs_k10cr1.K10CR1", "polarisation.thorlabs_k10cr1.KDC101"
Z825B, ELL14 = "routing.thorlabs_z825b.Z825B", "polarisation.thorlabs_elliptec.ELL14"
K10CR1_STEPS = 136533  # a degree, as Thorlabs states
PATIENCE_S, LOOK_S = 60.0, 0.1


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Put one twin on the wire, without our driver; return where it is: a pseudo-terminal, or a port of a serial server."""
    labs = []

    def make(cls: str, *, more: str = "", tcp: bool = False) -> str:
        path = tmp_path / "one.yaml"
        where = 'address: "twin:bus", unit: "0"' if cls == ELL14 else "address: twin"
        path.write_text(f"qlab: 1\nname: one\ninstruments:\n  it: {{class: devices.{cls}, {where}{more}}}\n")
        labs.append(open_lab(str(path), data_dir=tmp_path, clock=RealClock(), connect=False, serial_tcp=tcp))
        address: str = labs[-1].mounts["it"].address
        return address.removeprefix("socket://")

    yield make
    for lab in labs:
        lab.close()


def wait_until(true: Callable[[], Any]) -> None:
    """Wait on the wall for what a driver's own thread will see."""
    pause = Event()
    for _ in range(int(PATIENCE_S / LOOK_S)):
        if true():
            return
        pause.wait(LOOK_S)
    assert true()


def test_pykdc101_turns_the_mount(twin: Callable[..., str]) -> None:
    mount = pytest.importorskip("pyKDC101").KDC(port=twin(KDC101))
    try:
        mount.move_home_wait()
        mount.move_abs_wait(12.0)
        assert mount.get_pos_angle() == pytest.approx(12.0, abs=0.1)
        mount.move_rel_wait(-3.0)
        assert mount.get_pos_angle() == pytest.approx(9.0, abs=0.1)
        assert mount.get_serial() > 0
    finally:
        mount.closestage()


def test_qmi_drives_a_stage_of_the_kdc101(
    twin: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("qmi.instruments.thorlabs.kdc101")
    context = pytest.importorskip("qmi.core.context").QMI_Context("interop")
    monkeypatch.setenv("QMI_HOME", str(tmp_path))
    context.start()
    stage = module.Thorlabs_Kdc101(context, "it", f"serial:{twin(Z825B)}:baudrate=115200", "Z925")
    stage.open()
    try:
        assert stage.get_idn().model == "KDC101"
        stage.move_home()
        stage.wait_move_complete(PATIENCE_S)
        stage.move_absolute(5.0)
        stage.wait_move_complete(PATIENCE_S)
        assert stage.get_absolute_position() == pytest.approx(5.0, abs=1e-3)
    finally:
        stage.close()
        context.stop()


def test_thorlabs_apt_device_turns_both_mounts(twin: Callable[..., str]) -> None:
    devices = pytest.importorskip("thorlabs_apt_device")
    base = pytest.importorskip("thorlabs_apt_device.devices.aptdevice_motor").APTDevice_Motor
    usb = pytest.importorskip("thorlabs_apt_device.enums").EndPoint.USB
    mount = devices.KDC101(serial_port=twin(KDC101), serial_number=None, home=True)
    try:
        wait_until(lambda: mount.status["homed"])
        mount.move_absolute(20000)
        wait_until(lambda: mount.status["position"] == 20000)
        mount.set_velocity_params(acceleration=1000, max_velocity=100000)
        wait_until(lambda: mount.velparams["max_velocity"] == 100000)
    finally:
        mount.close()
    mount = base(
        serial_port=twin(K10CR1), home=True, controller=None, bays=(usb,), channels=(1,), status_updates="polled"
    )
    try:
        wait_until(lambda: mount.status_[0][0]["homed"])
        mount.move_absolute(22 * K10CR1_STEPS)
        wait_until(lambda: mount.status_[0][0]["position"] == 22 * K10CR1_STEPS)
    finally:
        mount.close()


@pytest.mark.parametrize(
    ("cls", "scale", "there", "close"),
    [(K10CR1, "K10CR1", 45.0, 1e-3), (KDC101, "PRM1-Z8", 10.0, 1e-2), (Z825B, "Z825", 2e-3, 1e-6)],
)
def test_pylablib_moves_what_speaks_apt(
    twin: Callable[..., str], cls: str, scale: str, there: float, close: float
) -> None:
    thorlabs = pytest.importorskip("pylablib.devices.Thorlabs")
    # A pseudo-terminal has no modem lines, which it insists on: it is given a serial server instead.
    motor = thorlabs.KinesisMotor(("network", twin(cls, tcp=True)), scale=scale)
    try:
        assert motor.get_device_info().serial_no > 0
        motor.home(force=True)
        motor.wait_for_home(timeout=PATIENCE_S)
        motor.move_to(there)
        motor.wait_move(timeout=PATIENCE_S)
        assert motor.get_position() == pytest.approx(there, abs=close)
        assert motor.get_velocity_parameters().max_velocity > 0
        assert "homed" in motor.get_status()
    finally:
        motor.close()


def test_elliptec_turns_a_plate(twin: Callable[..., str]) -> None:
    module = pytest.importorskip("elliptec")
    with module.Controller(twin(ELL14), debug=False) as controller:
        plate = module.Rotator(controller, address="0", debug=False)
        plate.home()
        assert plate.set_angle(45.0) == pytest.approx(45.0, abs=0.01)
        assert plate.shift_angle(-10.0) == pytest.approx(35.0, abs=0.01)
        assert plate.get_angle() == pytest.approx(35.0, abs=0.01)


def test_thorlabs_elliptec_turns_a_plate(twin: Callable[..., str]) -> None:
    plate = pytest.importorskip("thorlabs_elliptec").ELLx(twin(ELL14))
    try:
        assert plate.model_number.startswith("ELL14")
        plate.home(blocking=True)
        plate.move_absolute(30.0, blocking=True)
        assert plate.get_position() == pytest.approx(30.0, abs=0.01)
        plate.move_relative(15.0, blocking=True)
        assert plate.get_position() == pytest.approx(45.0, abs=0.01)
    finally:
        plate.close()


def test_pylablib_turns_a_plate(twin: Callable[..., str]) -> None:
    plate = pytest.importorskip("pylablib.devices.Thorlabs").ElliptecMotor((twin(ELL14), 9600))
    try:
        assert plate.get_device_info().model_no == 14
        plate.home()
        plate.move_to(33.0)
        assert plate.get_position() == pytest.approx(33.0, abs=0.01)
        plate.move_by(7.5)
        assert plate.get_position() == pytest.approx(40.5, abs=0.02)
        assert plate.get_status() == "ok"
    finally:
        plate.close()


def test_pylablib_attenuates_and_squeezes(twin: Callable[..., str]) -> None:
    oz = pytest.importorskip("pylablib.devices.OZOptics")
    attenuator = oz.DD100((twin("routing.ozoptics_dd100.DD100"), 9600))
    try:
        attenuator.home()
        assert attenuator.set_attenuation(10.0) == pytest.approx(10.0, abs=0.05)
        assert attenuator.get_max_attenuation() == 60.0
    finally:
        attenuator.close()
    squeezer = oz.EPC04((twin("polarisation.ozoptics_epc400.EPC400"), 9600))
    try:
        assert squeezer.get_mode() == "dc"
        squeezer.set_voltage(1, 5.0)
        assert squeezer.get_voltages()[1] == pytest.approx(5.0, abs=0.01)
    finally:
        squeezer.close()
