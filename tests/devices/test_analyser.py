"""The analyser's angles against Jones matrices written here, independently of the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.polarisation.analyser import WavePlateAnalyser, analysed_vector, plate_angles_deg
from devices.worker import done_status
from qlab import roles
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from devices.worker import WorkerStatus
    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

H = np.array([1.0, 0.0], dtype=complex)


def _plate(retardance: float, angle_deg: float) -> NDArray[np.complex128]:
    """Jones matrix of a retarder with its fast axis at a: R(a) diag(1, exp(i d)) R(-a), Hecht, Optics, sect. 8.13."""
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return turn @ np.diag([1.0, np.exp(1j * retardance)]) @ turn.T


def _ket(z: float, x: float, y: float) -> NDArray[np.complex128]:
    """Return the pure state with this Bloch vector; y = 1 is R = (H - iV)/sqrt 2 (James et al., PRA 64, 052312)."""
    rho = 0.5 * np.array([[1 + z, x + 1j * y], [x - 1j * y, 1 - z]])
    return np.linalg.eigh(rho)[1][:, 1]


def _transmission(vector: tuple[float, float, float], qwp_deg: float, hwp_deg: float) -> float:
    """Return the probability that the state passes QWP, HWP and the splitter's H port, in this order."""
    out = _plate(np.pi, hwp_deg) @ _plate(np.pi / 2, qwp_deg) @ _ket(*vector)
    return float(abs(np.vdot(H, out)) ** 2)


@given(st.floats(-1, 1), st.floats(0, 2 * np.pi))
def test_any_state_goes_through_the_transmitted_port_and_its_opposite_does_not(y: float, phase: float) -> None:
    r = np.sqrt(max(1.0 - y * y, 0.0))
    vector = (float(r * np.cos(phase)), float(r * np.sin(phase)), y)

    qwp_deg, hwp_deg = plate_angles_deg(vector)

    assert 0.0 <= qwp_deg < 180.0
    assert 0.0 <= hwp_deg < 180.0
    assert _transmission(vector, qwp_deg, hwp_deg) == pytest.approx(1.0, abs=1e-9)
    opposite = (-vector[0], -vector[1], -vector[2])
    assert _transmission(opposite, qwp_deg, hwp_deg) == pytest.approx(0.0, abs=1e-9)


@given(st.floats(0, 180), st.floats(0, 180))
def test_the_analysed_vector_is_the_one_that_passes(qwp_deg: float, hwp_deg: float) -> None:
    z, x, y = analysed_vector(qwp_deg, hwp_deg)
    assert _transmission((float(z), float(x), float(y)), qwp_deg, hwp_deg) == pytest.approx(1.0, abs=1e-9)


class Plate:
    """A mount that is there at once."""

    repeatability_deg = 0.05

    def __init__(self, name: str, clock: SteppedClock) -> None:
        self.name = name
        self.clock = clock
        self.at_deg = 0.0

    def set(self, angle_deg: float) -> WorkerStatus:
        self.at_deg = angle_deg
        return done_status(self.clock, self.name)

    def stop(self, *, success: bool = False) -> None:
        return None


@pytest.fixture
def analyser(clock: SteppedClock) -> WavePlateAnalyser:
    plates = {name: Plate(name, clock) for name in ("hwp", "qwp")}
    return WavePlateAnalyser(name="alice", clock=clock, transmitted=1, reflected=2, **plates)


def test_a_linear_angle_is_measured_in_the_transmitted_port(analyser: WavePlateAnalyser) -> None:
    assert isinstance(analyser, roles.PolarisationAnalyser)

    analyser.set(22.5).wait(5)

    linear = (np.cos(np.pi / 4), np.sin(np.pi / 4), 0.0)  # Bloch vector at twice the angle
    assert _transmission(linear, analyser.qwp.at_deg, analyser.hwp.at_deg) == pytest.approx(1.0)
    reading = analyser.read()
    assert reading["alice_linear_deg"]["value"] == pytest.approx(22.5)
    assert reading["alice_qwp_deg"]["value"] == pytest.approx(22.5)
    assert reading["alice_bloch_z"]["value"] == pytest.approx(np.sqrt(0.5))


def test_the_frame_turns_what_is_wanted_into_what_the_bare_analyser_must_do(analyser: WavePlateAnalyser) -> None:
    frame = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # Z goes to X

    analyser.set_frame(frame)
    analyser.set_bloch((1.0, 0.0, 0.0)).wait(5)

    assert _transmission((0.0, 1.0, 0.0), analyser.qwp.at_deg, analyser.hwp.at_deg) == pytest.approx(1.0)
    assert analyser.read_configuration()["alice_frame"]["value"].tolist() == frame.ravel().tolist()
    assert analyser.bloch_z.get() == 1.0  # the documents say what was wanted


@pytest.mark.parametrize("bad", [np.eye(2), np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3)])
def test_a_frame_that_is_no_rotation_is_refused(analyser: WavePlateAnalyser, bad: NDArray[np.float64]) -> None:
    with pytest.raises(BadRequestError, match="alice: the frame must be a proper rotation"):
        analyser.set_frame(bad)


def test_a_vector_that_is_no_direction_is_refused(analyser: WavePlateAnalyser) -> None:
    with pytest.raises(BadRequestError, match="not a unit Bloch vector"):
        analyser.set_bloch((1.0, 1.0, 0.0))


def test_plates_on_one_bus_turn_at_once_to_the_angles(table: Callable[..., Lab]) -> None:
    lab = table("hwp", "qwp")
    alice = WavePlateAnalyser(
        name="alice", clock=lab.clock, hwp=lab.devices["hwp"], qwp=lab.devices["qwp"], transmitted=1, reflected=2
    )

    alice.set_bloch((0.0, 0.0, 1.0)).wait(30)

    for name, wanted in (("qwp", alice.qwp_deg.get()), ("hwp", alice.hwp_deg.get())):
        away = (lab.devices[name].angle_deg.get() - wanted + 180.0) % 360.0 - 180.0
        assert abs(away) < 0.2
    alice.destroy()


def test_the_covariance_is_the_spread_of_the_vector_when_plates_stray(analyser: WavePlateAnalyser) -> None:
    turn = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    analyser.set_frame(turn)
    analyser.set_bloch((0.48, 0.64, 0.6)).wait(5)
    rng = np.random.default_rng(2)
    qwp = analyser.qwp_deg.get() + rng.normal(0.0, 0.05, 4000)
    hwp = analyser.hwp_deg.get() + rng.normal(0.0, 0.05, 4000)
    vectors = np.array([turn.T @ analysed_vector(q, h) for q, h in zip(qwp, hwp, strict=True)])
    assert vectors.mean(axis=0) == pytest.approx([0.48, 0.64, 0.6], abs=3e-4)
    spread = np.cov(vectors.T)
    # elements of a covariance of 4000 samples are known to 2 to 3 % of the largest
    assert analyser.bloch_covariance() == pytest.approx(spread, abs=0.08 * spread.max())
