"""A wrong lab file gets one message with file, line, key, what was found and what is expected; no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qlab.cli import main
from qlab.errors import LabFileError
from qlab.lab.build import open_lab
from qlab.lab.load import find_lab, load_lab

if TYPE_CHECKING:
    from collections.abc import Callable

BELL = find_lab("bell").read_text()


@pytest.fixture
def lab_file(tmp_path: Path) -> Callable[[str, str], str]:
    """Write the bell lab with one text replaced."""

    def write(old: str, new: str) -> str:
        assert old in BELL
        path = tmp_path / "mine.yaml"
        path.write_text(BELL.replace(old, new, 1))
        return str(path)

    return write


def _line(path: str, text: str) -> int:
    return next(i for i, line in enumerate(Path(path).read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("seed: 20261123", "sead: 20261123", ["sead", "unknown key", "did you mean 'seed'?"]),
        ("CLD1015\n", "CLD1016\n", ["instruments.pump.class", "CLD1016", "did you mean", "CLD1015"]),
        ("thorlabs_cld1015.CLD1015", "thorlabs_cld.CLD1015", ["instruments.pump.class", "there is no module"]),
        ("current_a: 0.08", "currant_a: 0.08", ["settings.currant_a", "unknown key", "current_a"]),
        ("threshold_a: 0.03", "threshold_a: -1", ["twin.threshold_a", "-1", "greater than or equal to 0"]),
        ("via: [bob_fibre, ", "via: [bob_fiber, ", ["paths.2", "there is no optic 'bob_fiber'"]),
        ("from: bob_r, to: tagger.4", "from: bob_r, to: taggr.4", ["cables.3.to", "there is no instrument 'taggr'"]),
        ("from: bob_r, to: tagger.4", "from: bob_r, to: tagger.3", ["cables.3.to", "two cables end at input 3"]),
        ("from: bob_r, to: tagger.4", "from: bob_r, to: tagger.9", ["cables.3.to", "found input 9", "inputs 1 to 5"]),
        ("reflected: 4", "reflected: 5", ["analysers.bob.reflected", "found input 5", "inputs 1 to 4"]),
        ("length_m: 100\n", "length_m: 20000 km\n", ["paths.1", "the light needs 97.9 ms", "at most 50 ms"]),
        ("length_m: 100\n", "length_m: -5\n", ["optics.alice_fibre.length_m", "-5"]),
        ("from: crystal.idler", "from: crystal.idle", ["optics.crystal", "no path begins at crystal.idler"]),
        ('unit: "3"', 'unit: "2"', ["share the bus", "unit"]),
        ("clock: {mode: stepped}", "clock: {mode: fast}", ["clock.mode", "'fast'", "stepped"]),
        ("  pump:  ", "\tpump:  ", ["not YAML", "tab"]),
        ("name: bell\n", "name: bell\nname: ball\n", ["stands here and on line"]),
    ],
)
def test_a_mistake_is_named_with_its_place(
    lab_file: Callable[[str, str], str], old: str, new: str, pieces: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = lab_file(old, new)
    assert main(["doctor", path]) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    assert text.startswith(f"qlab: {path}:")
    for piece in pieces:
        assert piece in text, text


@pytest.mark.parametrize(
    ("old", "new", "piece"),
    [
        (
            "current_a: 0.08",
            "current_a: 0.5",
            ":18: instruments.pump.settings.current_a: pump: current_a = 0.5 A is outside",
        ),
        ("to: tagger.4", "to: tagger.5", "analyser bob: no cable ends at tagger.4, its reflected input"),
    ],
)
def test_the_doctor_finds_what_only_the_instruments_know(
    lab_file: Callable[[str, str], str], old: str, new: str, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", lab_file(old, new)]) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if "WRONG" in line]
    assert len(wrong) == 1
    assert piece in wrong[0]


def test_the_line_is_the_line_of_the_mistake(lab_file: Callable[[str, str], str]) -> None:
    path = lab_file("seed: 20261123", "sead: 20261123")
    with pytest.raises(LabFileError, match=f":{_line(path, 'sead')}: sead"):
        load_lab(path)


def test_two_real_instruments_on_one_address_are_refused(lab_file: Callable[[str, str], str], tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "qlab: 1\nname: two\nclock: {mode: real}\ninstruments:\n"
        "  a: {class: devices.sources.thorlabs_tc200.TC200, address: /dev/ttyUSB9}\n"
        "  b: {class: devices.sources.thorlabs_tc200.TC200, address: /dev/ttyUSB9}\n"
    )
    with pytest.raises(LabFileError, match=r"two.yaml:6: instruments.b.address: a and b stand at one address"):
        open_lab(str(path))


def test_an_unreachable_instrument_is_named_by_the_doctor_which_goes_on(
    lab_file: Callable[[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = lab_file("address: twin                 # hardware: /dev/ttyUSB0", "address: /dev/no-such-port")
    assert main(["doctor", path, "--set", "clock.mode=real"]) == 1
    text = capsys.readouterr().out
    assert "WRONG oven: cannot be reached at /dev/no-such-port" in text
    assert "ok    tagger" in text
    assert "1 thing is wrong" in text


def test_the_shipped_lab_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "Thorlabs,CLD1015" in text
    assert "0.36 dB" in text  # 120 m at 3 dB/km
    assert "nothing is wrong" in text


def test_a_new_lab_file_is_sound_and_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    assert main(["new", str(path)]) == 0
    assert load_lab(str(path)).lab.name == "mine"
    assert main(["new", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_override_of_what_others_are_copied_from_changes_only_that(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("""
qlab: 1
name: two
instruments:
  a: &same {class: devices.sources.srs_dg645.DG645, address: twin, settings: {a_s: 1}}
  b: *same
""")
    found = load_lab(str(path), ["instruments.a.settings.a_s=2"]).lab.instruments
    assert [found[name].settings["a_s"] for name in "ab"] == [2, 1]


def test_overrides_change_the_file_and_its_hash() -> None:
    plain, other = load_lab("bell"), load_lab("bell", ["seed=7", "optics.crystal.state.visibility=0.9"])
    assert other.lab.seed == 7
    assert plain.sha256 != other.sha256


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert '"instruments"' in capsys.readouterr().out
