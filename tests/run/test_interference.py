"""The lab `swap` over the wire: dip and swapped state of two sources are those of an exact sum over Fock states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.interference import scan_hom
from plans.swapping import measure_swapping
from qlab.analysis.adaptive_dip import next_delay
from qlab.analysis.two_photon_interference import fit_dip
from qlab.errors import BadRequestError, LabFileError, LimitError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.loader import bind_parameters
from qlab.run.options import RunOptions
from qlab.run.report import render_report

from ..physics.fock import PSI_MINUS, PSI_PLUS, correlation, fock_bell_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What Fock states are summed for: pure photons, ideal splitters; 0.1 pairs a pulse, detectors of 80 %, 98 % overlap.
BRIGHT = [
    "optics.crystal_a.brightness_hz_per_mw=40000",
    "optics.crystal_b.brightness_hz_per_mw=40000",
    *(f"optics.crystal_{x}.pulsed.modes=1" for x in "ab"),
    *(f"optics.{x}.extinction_db=60" for x in ("station_c", "station_d", "alice_pbs", "bob_pbs")),
    *(f"instruments.{x}_{y}.twin.repeatability_deg=0" for x in ("alice", "bob") for y in ("hwp", "qwp")),
]
MEAN, ETA = 0.1, 0.8


@pytest.fixture(scope="module")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Session, Path]]:
    folder = tmp_path_factory.mktemp("swap")
    options = RunOptions(overrides=BRIGHT, data_dir=folder)
    with open_lab("swap", overrides=BRIGHT, data_dir=folder) as lab, Session(lab, options) as session:
        yield lab, session, folder


def test_the_swapped_state_has_the_fidelity_of_theory(swap: tuple[Any, Session, Path]) -> None:
    """F = (1 + sum s_k E_k)/4 limited by multi-pair emission, losses, threshold detectors and overlap, each E from the
    Fock states of up to four pairs (as in Scherer, Howard, Sanders, Tittel, PRA 80, 062310, 2009).  Along Y the sources'
    symmetry makes E the same as along X but for the sign: psi- has (-1, -1, -1), psi+ (-1, 1, 1)."""
    lab, session, folder = swap
    wishes = {"acquisition_s": "0.1", "search_s": "0.02", "sigma": "0.004"}
    arguments = bind_parameters(measure_swapping, wishes, lab.devices)
    assert arguments["delay_line"] is lab.devices["delay"]  # it stands far out when the lab is switched on
    found = session.run(measure_swapping(**arguments))
    assert found["fidelity_sigma"] <= 0.004
    v = math.sqrt(0.98)
    z, x = (
        fock_bell_pairs((angle, angle), (0.0, 0.0), (0.5, 0.5), mean=MEAN, eta=ETA, v=v) for angle in (0.0, math.pi / 4)
    )
    fidelities = []
    for name, heralds, sign in (("psi_minus", PSI_MINUS, -1), ("psi_plus", PSI_PLUS, 1)):
        e_z, e_x = correlation(z, heralds)[0], correlation(x, heralds)[0]
        theory = (1 - e_z + 2 * sign * e_x) / 4
        assert 0.94 < theory < 0.96  # of photons that are alike and come one pair at a time, 1
        assert found[f"{name}_fidelity"] == pytest.approx(theory, abs=4 * found[f"{name}_fidelity_sigma"])
        assert found[f"{name}_e"][:2] == pytest.approx([e_z, e_x], abs=4.5 * found[f"{name}_e_sigma"].max())
        fidelities.append(theory)
    assert found["fidelity"] == pytest.approx(np.mean(fidelities), abs=4 * found["fidelity_sigma"])
    record = read_run(find_run(folder / "runs", "-1"))
    assert record.events["analysis"][-1]["swapping_fidelity"] == found["fidelity"]
    assert "Correlations of photons that never met" in render_report(record, folder / "report").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.03, 0.06, 0.13])
def test_the_fidelity_falls_with_the_pairs_of_a_pulse(swap: tuple[Any, Session, Path], mean: float) -> None:
    """The pump's power sets the mean pair number: 1 - F is about 0.4 mean and half of 1 - overlap; to 1 %."""
    lab, session, _ = swap
    d = lab.devices
    d["delay"].set(0.0).wait(60)
    before = d["pump"].current_a.get()
    # Of 0.6 W/A above 30 mA half goes to each crystal, which makes 40,000 pairs a second of 1 mW; 8 million pulses.
    d["pump"].current_a.set(0.03 + mean * 8e6 / 40e6 / 0.3).wait(60)
    taggers = [d["tagger"], d["station_tagger"]]
    plan = measure_swapping(
        taggers, d["alice"], d["bob"], d["pump"], acquisition_s=0.2, search_s=0.1, sigma=0.0025, max_acquisitions=400
    )
    try:
        found = session.run(plan)
    finally:
        d["pump"].current_a.set(before).wait(60)
    assert found["fidelity_sigma"] <= 0.0025
    z, x = (
        fock_bell_pairs((angle, angle), (0.0, 0.0), (0.5, 0.5), mean=mean, eta=ETA, v=math.sqrt(0.98))
        for angle in (0.0, math.pi / 4)
    )
    fidelities = []
    for heralds, sign in ((PSI_MINUS, -1), (PSI_PLUS, 1)):
        fidelities.append((1 - correlation(z, heralds)[0] + 2 * sign * correlation(x, heralds)[0]) / 4)
    assert found["fidelity"] == pytest.approx(np.mean(fidelities), abs=4 * found["fidelity_sigma"])


def test_the_dip_of_heralded_photons_has_the_visibility_of_theory(swap: tuple[Any, Session, Path]) -> None:
    """V = 1 - C(0)/C(far) of four-folds in which nothing is asked of the other detectors; the dip is exp(-(sigma tau)^2),
    so 2 sqrt(ln 2)/sigma wide, but for what the further pairs do to its shape."""
    lab, session, _ = swap
    d = lab.devices
    taggers = [d["tagger"], d["station_tagger"]]
    plan = scan_hom(
        taggers, d["delay"], d["alice"], d["bob"], d["pump"], ports=[5, 7], range_ps=20, acquisition_s=0.03,
        search_s=0.02, sigma=0.03, max_points=40,
    )  # fmt: skip
    found = session.run(plan)
    assert found["visibility_sigma"] <= 0.03
    four = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 6  # Alice's and Bob's H, H of both ports
    level = []
    for v in (math.sqrt(0.98), 0.0):
        p = fock_bell_pairs((0.0, 0.0), (0.0, 0.0), (0.5, 0.5), mean=MEAN, eta=ETA, v=v)
        level.append(sum(p[k] for k in range(256) if k & four == four))
    assert found["visibility"] == pytest.approx(1 - level[0] / level[1], abs=4 * found["visibility_sigma"])
    assert found["level"] == pytest.approx(level[1] * 8e6 * 0.03, abs=4 * found["level_sigma"])
    assert abs(found["centre_ps"]) < 4 * found["centre_ps_sigma"] + 0.05
    # The adaptive points lie where they tell most: at the bottom and far out, none on the coarse grid's flanks only.
    record = read_run(find_run(session.data_dir / "runs", "-1"))
    assert "The dip" in render_report(record, session.data_dir / "report").read_text()
    late = found["points_ps"][9:]
    if late.size:
        assert np.abs(late).min() < 1.0


@pytest.mark.slow
def test_the_dip_of_heralded_photons_is_that_of_theory_to_one_per_cent(swap: tuple[Any, Session, Path]) -> None:
    lab, session, _ = swap
    d = lab.devices
    plan = scan_hom(
        [d["tagger"], d["station_tagger"]], d["delay"], d["alice"], d["bob"], d["pump"], ports=[5, 7], range_ps=20,
        acquisition_s=0.5, search_s=0.02, sigma=0.0035, max_points=80,
    )  # fmt: skip
    found = session.run(plan)
    assert found["visibility_sigma"] <= 0.0035
    four = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 6
    level = []
    for v in (math.sqrt(0.98), 0.0):
        p = fock_bell_pairs((0.0, 0.0), (0.0, 0.0), (0.5, 0.5), mean=MEAN, eta=ETA, v=v)
        level.append(sum(p[k] for k in range(256) if k & four == four))
    assert found["visibility"] == pytest.approx(1 - level[0] / level[1], abs=3 * found["visibility_sigma"])
    assert found["level"] == pytest.approx(level[1] * 8e6 * 0.5, rel=0.01)
    # Multi-pair emission makes a constant ground: the dip keeps its shape to first order.
    sigma = 2 * math.pi * 299792.458 / 1550.0**2 / (2 * math.sqrt(2 * math.log(2)))
    assert found["fwhm_ps"] == pytest.approx(2 * math.sqrt(math.log(2)) / sigma, rel=0.04)


def test_points_that_tell_most_beat_points_in_turn() -> None:
    """From the same coarse scan of a noiseless dip: the variance of V after 20 adaptive points is below that of 20 spread."""
    x = np.linspace(-12.0, 12.0, 9)

    def counts(at: np.ndarray) -> np.ndarray:
        return np.round(400 * (1 - 0.8 * np.exp(-4 * math.log(2) * (at / 5.0) ** 2)))

    adaptive = list(x)
    for _ in range(20):
        dip = fit_dip(np.array(adaptive), counts(np.array(adaptive)))
        adaptive.append(next_delay(dip, adaptive, np.linspace(-12, 12, 97)))
    spread = np.concatenate([x, np.linspace(-12.0, 12.0, 20)])
    sigmas = [fit_dip(np.asarray(p), counts(np.asarray(p))).visibility_sigma for p in (adaptive, spread)]
    assert sigmas[0] < 0.75 * sigmas[1]
    with pytest.raises(BadRequestError, match="0 delays to choose from"):
        next_delay(fit_dip(x, counts(x)), x, [])


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"ports": None}, "heralds=.1,3. ports=.5,7."),
        ({"coarse_points": 3}, "expected at least 6"),
        ({"sigma": 0.0}, "sigma = 0"),
        ({"max_points": 8}, "max_points = 8; expected above 0, at least 9"),
        ({"range_ps": 500.0}, "delay reaches -83.39 to 83.39 ps"),
        ({"ports": [1, 5]}, "expected different numbers"),
        ({"delays_ps": [0, 1]}, "expected 4"),
    ],
)
def test_a_scan_that_cannot_be_is_refused(swap: tuple[Any, Session, Path], wrong: dict[str, Any], text: str) -> None:
    lab, session, _ = swap
    d = lab.devices
    arguments = {"ports": [5, 7], **wrong}
    with pytest.raises(PlanError, match=text):
        session.run(scan_hom([d["tagger"], d["station_tagger"]], d["delay"], d["alice"], d["bob"], **arguments))


def test_a_dark_lab_tells_that_no_delays_are_found(swap: tuple[Any, Session, Path]) -> None:
    lab, session, _ = swap
    d = lab.devices
    with pytest.raises(PlanError, match="is the source on"):
        session.run(measure_swapping([d["tagger"], d["station_tagger"]], d["alice"], d["bob"], search_s=0.01))
    with pytest.raises(PlanError, match="targets"):
        session.run(measure_swapping([d["tagger"]], d["alice"], d["bob"], targets=["psi"]))


def test_the_stage_refuses_what_it_does_not_reach(swap: tuple[Any, Session, Path]) -> None:
    delay = swap[0].devices["delay"]
    with pytest.raises(LimitError, match=r"-83.39 to 83.39 ps"):
        delay.set(100.0)
    with pytest.raises(BadRequestError, match="finite"):
        delay.set(math.nan)
    delay.set(3.0).wait(60)
    assert delay.delay_ps.get() == pytest.approx(3.0, abs=2e-4)
    # 2 x / c, but for what the spindle misses: 0.2 um make 1.3 fs.
    truth_mm = swap[0].wiring.knob("delay", "position_mm").value(swap[0].clock.now_ps())
    assert (truth_mm - 12.5) * 2 / 0.299792458 == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("paths.3.to=station.c", r"paths.3.to: found 'station.c'; expected an input, station.a or station.b"),
        ("paths.3.to=station", r"paths.3.to: found 'station'; expected an input"),
        ("paths.3.to=station.b", r"crystal_a.idler and crystal_b.idler come to station.b; one photon"),
        ("paths.3.to=alice_t", r"no path ends at station.a"),
        ("paths.5.from=station.e", r"paths.5.from: found 'station.e'.*did you mean 'station.[cd]'"),
        ("optics.crystal_a.pulsed.modes=null", r"optics.crystal_a.pulsed.modes: found none \(Poissonian\).*expected 1 to 2"),
        ("optics.crystal_a.pulsed=null", r"crystal_a meet others, so it must pulse"),
        ("optics.crystal_a.pulsed.trigger.from=generator.CD", "crystal_a: generator.CD, crystal_b: generator.AB"),
        ("optics.stage.stage=delai", "did you mean 'delay'"),
        ("paths.5.to.transmitted=station.a", "what leaves an interferometer ends at detectors"),
        ("optics.station.overlap=1.2", "optics.station.overlap"),
    ],
)  # fmt: skip
def test_a_wrong_lab_file_is_told_with_its_key(override: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(LabFileError, match=text):
        open_lab("swap", overrides=[override], data_dir=tmp_path, connect=False)
