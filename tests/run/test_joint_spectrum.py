"""The joint spectrum that a plan measures behind fibres is that of the lab file: both bandwidths, and the Schmidt number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.joint_spectrum import measure_joint_spectrum
from qlab.analysis.joint_arrivals import JointArrivals
from qlab.analysis.joint_spectrum import ArrivalSpread, joint_spectrum, spread_of_sums
from qlab.errors import BadRequestError, PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from pathlib import Path

LAB = "spectrum"
BEHIND = ("optics.spool_a.dispersion_ps_nm_km=-30", "optics.spool_b.dispersion_ps_nm_km=20")


def run(folder: Path, overrides: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    with (
        open_lab(LAB, overrides=overrides, data_dir=folder) as lab,
        Session(lab, RunOptions(data_dir=folder)) as session,
    ):
        d = lab.devices
        found: dict[str, Any] = session.run(
            measure_joint_spectrum(d["tagger"], d["pump"], search_ps=20_000_000, **arguments)
        )
    return found


def test_widths_and_schmidt_number_are_those_of_the_lab_file(tmp_path: Path) -> None:
    run(tmp_path, sigma=0.01, acquisition_s=1.0)
    found = run(
        tmp_path,
        BEHIND,
        dispersion_a_ps_nm=-300.0,
        dispersion_b_ps_nm=180.0,
        reference="-1",
        sigma=0.008,
        acquisition_s=1.0,
    )
    assert found["stopped_by"] == "sigma"
    assert found["lag_ps"] == pytest.approx(-1468.0 / 299_792_458 * 1e12, abs=100)  # a kilometre less of fibre
    assert abs(found["signal_nm"] - 2.0) < 3.5 * found["signal_nm_sigma"] < 0.1
    assert abs(found["idler_nm"] - 2.0 * (1610 / 1550) ** 2) < 3.5 * found["idler_nm_sigma"] < 0.1
    # Thermal pulses of mu pairs have mu/K more of pairs of strangers than displaced ones: 1 % less correlation.
    assert abs(found["correlation"] + math.sqrt(1 - 1 / 1.5**2)) < 3.5 * found["correlation_sigma"] < 0.05
    assert abs(found["purity"] - 1 / 1.5) < 3.5 * found["purity_sigma"]
    assert abs(found["schmidt_number"] - 1.5) < 3.5 * found["schmidt_number_sigma"] < 0.1
    page = render_report(read_run(find_run(tmp_path / "runs", "-1")), tmp_path / "report")
    assert "Joint spectrum" in page.read_text()


def drawn(rng: np.random.Generator, rho: float, pairs: int = 2500, darks: float = 0.02) -> TagBlock:
    """Return tags of a source of 1 MHz: triggers on 0, pairs of 200 and 300 ps on 1 and 2, the idler's 3 pulses later."""
    pulses = 100_000
    emitted = np.sort(rng.integers(0, pulses - 10, pairs))  # Poissonian: pairs of one pulse, too, make accidentals
    x, y = rng.multivariate_normal([0, 0], [[4e4, rho * 6e4], [rho * 6e4, 9e4]], pairs).T
    times = [np.arange(pulses) * 10**6, emitted * 10**6 + 400_000 + x, (emitted + 3) * 10**6 + 700_000 + y]
    for k in (1, 2):
        times[k] = np.concatenate([times[k], rng.uniform(0, pulses * 1e6, int(darks * pulses))])
    t = np.concatenate([np.rint(one).astype(np.int64) for one in times])
    ch = np.repeat(np.arange(3, dtype=np.uint8), [one.size for one in times])
    order = np.argsort(t, kind="stable")
    return TagBlock(t[order], ch[order], 0, pulses * 10**6)


@pytest.mark.parametrize("rho", [0.0, -0.6])
def test_stated_errors_are_those_of_repeated_draws(rho: float) -> None:
    rng, found = np.random.default_rng(6), []
    for _ in range(60):
        arrivals = JointArrivals(0, 1, 2, 1, 5e6, 8000.0)
        arrivals.feed(drawn(rng, rho))
        assert arrivals.lag_ps == pytest.approx(3_300_000, abs=300)
        found.append(joint_spectrum(arrivals.spread(), (100.0, 100.0)))
    away = np.array([(one.correlation - rho) / one.correlation_sigma for one in found])
    assert abs(away.mean()) < 4 / math.sqrt(60)
    assert away.std(ddof=1) == pytest.approx(1.0, abs=4 / math.sqrt(120))
    held = np.mean([one.purity.low <= math.sqrt(1 - rho**2) <= one.purity.high for one in found])
    assert abs(held - 0.6827) < 3 * math.sqrt(0.6827 * 0.3173 / 60)
    wide = np.array([(one.idler_nm - 2.3548200450309493 * 3.0) / one.idler_nm_sigma for one in found])
    assert abs(wide.mean()) < 4 / math.sqrt(60)
    assert wide.std(ddof=1) == pytest.approx(1.0, abs=4 / math.sqrt(120))


def test_missing_triggers_and_fewer_triggers_than_pulses_cost_pairs_only() -> None:
    block = drawn(np.random.default_rng(7), -0.6)
    whole, thinned, fourth = (JointArrivals(0, 1, 2, n, 5e6, 8000.0) for n in (1, 1, 4))
    whole.feed(block)
    lost = (block.ch == 0) & (np.random.default_rng(8).random(block.n) < 0.1)
    thinned.feed(TagBlock(block.t[~lost], block.ch[~lost], block.start_ps, block.stop_ps))
    kept = (block.ch != 0) | (block.t // 10**6 % 4 == 0)
    fourth.feed(TagBlock(block.t[kept], block.ch[kept], block.start_ps, block.stop_ps))
    spreads = [one.spread() for one in (whole, thinned, fourth)]
    assert spreads[2].pairs == pytest.approx(spreads[0].pairs, rel=0.001)
    assert spreads[2].covariance == pytest.approx(spreads[0].covariance, rel=0.01)
    # 1 - (1 - 0.1)^2 of the intervals lack one of their triggers, for each photon
    assert spreads[1].pairs / spreads[0].pairs == pytest.approx(0.81**2, abs=0.03)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    nothing = ArrivalSpread(100.0, np.eye(2), np.eye(3))
    with pytest.raises(BadRequestError, match="expected dispersion in both arms"):
        joint_spectrum(nothing, (100.0, 0.0))
    with pytest.raises(BadRequestError, match="arrivals that it spreads"):
        joint_spectrum(nothing, (100.0, 100.0), nothing)
    with pytest.raises(BadRequestError, match="at least 20"):
        spread_of_sums(np.eye(6), np.eye(6), 1.0)
    narrow = JointArrivals(0, 1, 2, 1, 5e6, 1500.0)
    narrow.feed(drawn(np.random.default_rng(9), 0.0))
    with pytest.raises(BadRequestError, match="which cuts them off"):
        narrow.spread()
    with pytest.raises(BadRequestError, match="tags of the trigger"):
        JointArrivals(5, 1, 2, 1, 5e6, 1500.0).feed(drawn(np.random.default_rng(9), 0.0))
    for arguments, words in (
        ({"dispersion_a_ps_nm": 100.0}, "in both arms or in none"),
        ({"inputs": [1, 4]}, "expected three channels"),
    ):
        with pytest.raises(PlanError, match=words):
            measure_joint_spectrum(None, **arguments).send(None)
    with pytest.raises(PlanError, match="tags of the trigger"):
        run(tmp_path, trigger=2, acquisition_s=0.01)
