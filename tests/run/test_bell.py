"""The Bell test end to end: plans, run engine, drivers, bytes on sockets and ptys, twins, one world."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest

from plans.bell import align_polarisation, measure_chsh
from plans.recording import record_tags
from plans.source import characterise_source
from plans.stubs import Switch
from qlab.cli import main
from qlab.clock import PS_PER_S
from qlab.lab.build import open_lab
from qlab.lab.predict import predict_chsh
from qlab.run.engine import Session
from qlab.run.journal import find_run, read_run
from qlab.run.options import RunOptions
from qlab.run.report import render_report
from qlab.tags.files.hdf5_reader import read_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM = ("instruments.oven.twin.tau_s=5",)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    options = RunOptions(overrides=WARM, data_dir=tmp_path)
    with open_lab("bell", overrides=WARM, data_dir=tmp_path) as lab, Session(lab, options) as session:
        lab.devices["oven"].set(40.0).wait(30)
        yield session


def test_s_agrees_with_the_lab_file_and_the_documents_tell_everything(session: Session) -> None:
    d = session.lab.devices
    session.run(align_polarisation(d["tagger"], d["alice"], d["bob"], d["pump"]))
    result = session.run(measure_chsh(d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.5))
    assert result["s_sigma"] <= 0.01
    rate = result["counts"].sum() / 4 / result["live_s_per_setting"]
    theory = predict_chsh(session.lab.file, result["singles_hz"].mean(axis=0), rate, 2000)
    # independent of the world: sqrt(2) (t_z + t_x) less accidentals; the alignment's error lowers S by under 0.3 sigma
    assert abs(result["s"] - theory.s) < 3.0 * result["s_sigma"]
    assert d["pump"].emission.get() == 0

    record = read_run(find_run(session.data_dir / "runs", "-1"))
    assert record.stop["exit_status"] == "success"
    assert record.start["seed"] == 20261123
    assert len(record.start["lab_sha256"]) == 64
    assert record.start["instruments"]["pump"]["settings"]["current_a"] == [0.08, "A"]
    assert record.start["instruments"]["tagger"]["identity"].startswith("IDQuantique,ID900")
    assert record.events["analysis"][0]["chsh_s"] == pytest.approx(result["s"])

    pytest.importorskip("matplotlib")
    page = render_report(record, session.data_dir / "report").read_text()
    # S of the overridden lab file, and each setting with its plates (Alice's are not turned by the alignment) and correlation
    assert f"rates' accidentals: {theory.s:.4f}" in page
    row = next(row for row in page.split("<tr>") if row.startswith("<td>45°, 67.5°"))
    cells = [cell.split(">")[-1] for cell in row.split("</td>")]
    assert [float(cell) for cell in cells[1:3]] == pytest.approx([22.5, 45.0], abs=0.3)
    assert cells[5].startswith(f"{result['e'][3]:+.4f} ± ")
    assert cells[6] == f"{theory.e[3]:+.4f}"
    assert "current_a 0.08 A" in page
    assert "acquisition_s 0.5 s" in page
    primary = record.events["primary"]
    path = Path(record.resources[0]["uri"].removeprefix("file://localhost"))
    first = read_tags(path, primary[0]["tagger_row_start"], primary[0]["tagger_row_stop"])
    assert first.counts(4).tolist() == primary[0]["tagger_counts"]


def test_the_same_seed_gives_the_same_tags_through_the_whole_chain_and_another_seed_others(tmp_path: Path) -> None:
    def run(name: str, seed: int) -> str:
        overrides = (*WARM, f"seed={seed}")
        folder = tmp_path / name
        options = RunOptions(overrides=overrides, data_dir=folder)
        with open_lab("bell", overrides=overrides, data_dir=folder) as lab, Session(lab, options) as session:
            d = lab.devices
            d["oven"].set(40.0).wait(30)
            session.run(align_polarisation(d["tagger"], d["alice"], d["bob"], d["pump"], acquisition_s=0.2))
            session.run(record_tags([d["tagger"]], d["pump"], duration_s=0.3))
            block = d["tagger"].last_block
            end = str(lab.clock.now_ps()).encode()
            return hashlib.sha256(block.t.tobytes() + block.ch.tobytes() + end).hexdigest()

    assert run("a", 5) == run("b", 5) != run("c", 6)


def test_a_failing_plan_leaves_the_laser_off_and_its_tags_readable(session: Session) -> None:
    d = session.lab.devices

    def body() -> Iterator[Any]:
        yield from record_tags([d["tagger"]], None, duration_s=0.1)
        yield from bps.abs_set(Switch(d["pump"]), 1, group="on", wait=True)
        assert session.lab.twins["pump"]._laser_on is True
        msg = "the physicist stumbled"
        yield from bps.null()
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="stumbled"):
        session.run(body())
    assert session.lab.twins["pump"]._laser_on is False
    assert read_tags(d["tagger"].recorder.path).n == d["tagger"].last_block.n


def test_sleep_in_a_plan_is_lab_time(session: Session) -> None:
    before = session.lab.clock.now_ps()

    def plan() -> Iterator[Any]:
        yield from bps.sleep(3600.0)

    session.run(plan())
    assert session.lab.clock.now_ps() - before == 3600 * PS_PER_S


def test_the_command_line_runs_a_plan_and_renders_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data-dir", str(tmp_path), "--catalogue", "none", "--set", "optics.alice_fibre.rotation_seed=2"]
    assert main(["run", "measure_visibility", "acquisition_s=0.05", "points=4", "max_rounds=1", *data, "--report"]) == 0
    out = capsys.readouterr().out
    assert "visibility_hv" in out
    page = Path(out.split("report: ")[1].strip())
    assert "<img" in page.read_text()
    assert (page.parent / "fringes.png").stat().st_size > 10_000
    assert main(["report", "-1", "--data-dir", str(tmp_path)]) == 0
    assert main(["report", "ffffffff", "--data-dir", str(tmp_path)]) == 2
    assert "names no run" in capsys.readouterr().err


def test_plans_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert listed == sorted(listed)
    measuring = {"measure_chain", "measure_chsh", "measure_error_rates", "measure_tomography", "measure_visibility"}
    assert {"align_polarisation", "characterise_source", *measuring, "record_tags", "watch_nanowires"} <= set(listed)
    assert not any(name.startswith("_") for name in listed)


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [
        (["measure_chs"], "there is no plan 'measure_chs'"),
        (["measure_chsh", "aquisition_s=1"], "did you mean 'acquisition_s'?"),
        (["measure_chsh", "acquisition_s=long"], "acquisition_s = 'long'"),
        (["measure_chsh", "tagger=tager"], "did you mean 'tagger'?"),
        (["measure_chsh", "acquisition_s"], "'acquisition_s' is no plan, and as a parameter of measure_chsh it wants"),
        (["acquisition_s=1", "measure_chsh"], "stands before any plan"),
        (["--estimate", "record_tags", "measure_chsh"], "--estimate takes one plan at a time"),
    ],
)
def test_a_typing_mistake_gets_one_line(
    arguments: list[str], piece: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments, "--data-dir", str(tmp_path)]) == 2
    text = capsys.readouterr().err
    assert piece in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [
        (["record_tags", "duration_s=1", "align_polarisation", "target=phi"], "target 'phi'; expected one of phi+"),
        (["measure_visibility", "points=3"], "points = 3"),
        (["record_tags", "--data-dir", "{file}"], "cannot write the documents of runs to {file}/runs: Not a directory"),
    ],
)
def test_what_a_plan_cannot_do_is_said_before_anything_warms_up(
    arguments: list[str], piece: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    words = [word.format(file=file) for word in arguments]
    assert main(["run", "--catalogue", "none", "--data-dir", str(tmp_path / "data"), *words]) == 1
    said = capsys.readouterr()
    assert piece.format(file=file) in said.err
    assert not said.out


def test_a_source_is_characterised_as_the_lab_file_has_it(session: Session) -> None:
    d = session.lab.devices
    result = session.run(characterise_source(d["tagger"], d["pump"]))
    assert d["pump"].emission.get() == 0
    # A click is followed by 50 ns without another, and by an afterpulse with a chance of 1 %; both are not corrected.
    rate_hz = result["singles_hz"].mean()
    seen = (1 - rate_hz * 50e-9) / (1 + 0.01)
    for arm, loss_db in (("a", 0.3), ("b", 0.36)):
        # 0.5 of the detectors behind the fibre, both ports of a splitter; 100 and 120 m at 3 dB/km.  An arm's efficiency is
        # C / S of the other: afterpulses lengthen S, dead time takes from both.
        expected = 0.5 * 10 ** (-loss_db / 10) * seen
        assert result[f"efficiency_{arm}"] == pytest.approx(expected, rel=0.01)
        assert result[f"efficiency_{arm}_sigma"] < 0.002
    # four detectors with 500 dark clicks a second, 5 sigma; as many afterpulses as 1 %
    assert result["darks_hz"].sum() == pytest.approx(2020, abs=5 * 2020**0.5)
    # 20 kHz/mW of 30 mW less the 1 % of the tap; afterpulses count twice in S S / C, dead time cancels but for one
    pairs_hz = 20_000 * 0.6 * (80 - 30) * 0.99
    assert result["pair_rate_hz"] == pytest.approx(pairs_hz * 1.01**2, rel=0.01)


def test_the_chsh_limit_is_told_from_a_weak_state() -> None:
    lab = open_lab("bell", overrides=("optics.crystal.state.visibility=0.7",), connect=False)
    with lab:
        # S = 2 sqrt 2 V (1 - 2 e)^2, just below 2 for V = 0.7
        bare = 2 * 2**0.5 * 0.7 * 0.998**2
        predicted = predict_chsh(lab.file, np.full(4, 1e5), 1e4, 2000)
        assert predicted.s_state == pytest.approx(bare)
        # accidentals: (2e5)^2 pairs a second within 2.001 ns are 80.04 of the 10,000
        assert predicted.s == pytest.approx(bare * (1 - 80.04 / 1e4))


def test_the_plates_add_their_errors_to_s_and_the_p_value_says_what_it_takes_for_granted(session: Session) -> None:
    d = session.lab.devices
    parties = (d["tagger"], d["alice"], d["bob"], d["pump"])
    session.run(align_polarisation(*parties, acquisition_s=0.1))
    found = session.run(measure_chsh(*parties, acquisition_s=0.05, sigma=0.001, max_rounds=2, zero_deg=0.2))
    assert found["stopped_by"] == "max_rounds"
    assert found["rounds"] == 2
    # Four linear settings, plates at phi and phi / 2: a quarter-wave plate off by z and a half-wave plate off by z turn the
    # analysed vector by 2 z and 4 z, which each E = V cos(45 degrees) feels by V sin(45 degrees) times that.  A zero is the
    # same for all settings of a party; the repeatability (0.05 degrees, ELL14) is drawn anew in each of two rounds.
    assert found["s_sigma"] == pytest.approx(np.hypot(found["s_sigma_counts"], found["s_sigma_settings"]))
    exact = session.run(measure_chsh(*parties, acquisition_s=0.05, sigma=0.001, max_rounds=2))
    assert found["s_sigma_settings"] > exact["s_sigma_settings"] > 0.0
    assert found["s_shift_settings"] < exact["s_shift_settings"] < 0.0
    # About 2000 pairs with V = 0.97 at 0.035 bits each are 20 decades; the most that CHSH allows is 0.0463 bits.
    pairs = found["counts"].sum()
    assert -0.0463 * pairs * np.log10(2) < found["log10_p_value"] < -0.02 * pairs * np.log10(2)
    for piece in ("fair sampling", "random", "a setting holds for 0.05 s"):
        assert piece in found["p_value_assumes"]
    soon = session.run(measure_chsh(*parties, acquisition_s=0.05, sigma=1e-6, max_rounds=100, max_duration_s=8.0))
    assert soon["stopped_by"] == "max_duration_s"
    assert 1 <= soon["rounds"] < 20
