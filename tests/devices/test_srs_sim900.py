"""Nanowires on a SIM900: bias, latches, recovery, and a cryostat that warms up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.detectors.srs_sim900 import SIM900
from qlab.errors import BadRequestError, InstrumentError, LabFileError, LimitError, LinkTimeoutError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

RACK = """{class: devices.detectors.srs_sim900.SIM900, address: twin,
    settings: {slots: {1: sim928, 2: qoamp}, bias_ua: {1: 15.0}}, twin: {slots: {1: sim928, 2: qoamp}}}"""


def test_biases_are_set_and_read_back(table: Callable[..., Lab]) -> None:
    lab = table(rack=RACK)
    rack = lab.devices["rack"]
    rack.trigger().wait(30)
    reading = rack.read()
    assert reading["rack_slot1_bias_ua"]["value"] == 15.0
    assert reading["rack_slot2_bias_ua"]["value"] == 0.0
    assert "rack_slot2_wire_mv" in reading
    assert not [key for key in reading if "slot3" in key or key == "rack_slot1_wire_mv"]
    rack.slot2.set(12.5).wait(30)
    assert lab.twins["rack"].peek()["slot_2"]["bias_ua"] == pytest.approx(12.5, abs=1e-3)
    with pytest.raises(LimitError, match="bias_ua = 26"):
        rack.slot2.set(26.0)


def test_a_latched_wire_is_seen_where_the_module_sees_it_and_recovered(table: Callable[..., Lab]) -> None:
    lab = table(rack=RACK)
    rack, twin = lab.devices["rack"], lab.twins["rack"]
    rack.slot2.set(15.0).wait(30)
    assert rack.refresh_health()
    twin.device_fault("latch", slot=2)
    assert not rack.refresh_health()
    assert rack.health.reason.get() == "the nanowire on slot 2 has latched"
    assert rack.slot2.latched
    assert rack.slot1.latched is None  # a SIM928 does not see it
    rack.slot2.recover().wait(30)
    assert rack.refresh_health()
    assert twin.peek()["slot_2"] == {"bias_ua": pytest.approx(15.0, abs=1e-3), "latched": False}


def test_what_a_source_complains_of_is_a_matter_of_health(table: Callable[..., Lab]) -> None:
    lab = table(rack=RACK)
    rack, twin = lab.devices["rack"], lab.twins["rack"]
    twin.device_fault("overload", slot=1)
    assert not rack.refresh_health()
    assert rack.health.reason.get() == "the source is overloaded in slot 1"
    twin.device_fault("overload", slot=1, active=False)
    twin.device_fault("trip", slot=1)
    assert not rack.refresh_health()
    assert "tripped" in rack.health.reason.get()
    assert twin.peek()["slot_1"]["bias_ua"] == 0.0
    rack.slot1.recover().wait(30)
    assert rack.refresh_health()
    assert twin.peek()["slot_1"]["bias_ua"] == 15.0


def test_another_module_than_the_lab_file_says_is_an_error(table: Callable[..., Lab]) -> None:
    lab = table(connect=False, rack=RACK.replace("twin: {slots: {1: sim928", "twin: {slots: {1: qoamp"))
    with pytest.raises((InstrumentError, LinkTimeoutError), match=r"slot 1 (holds another module|does not answer)"):
        lab.devices["rack"].connect()
    wrong = table(connect=False, rack=RACK.replace("bias_ua: {1: 15.0}", "bias_ua: {5: 15.0}"))
    with pytest.raises(BadRequestError, match=r"names slot 5, but settings.slots has \[1, 2\]"):
        wrong.devices["rack"].connect()


COLD = """
qlab: 1
name: cold
seed: 4
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  cryo: {class: devices.cryogenics.lakeshore_336.LakeShore336, address: twin, settings: {warm_above_k: 2.9}}
  rack:
    class: devices.detectors.srs_sim900.SIM900
    address: twin
    cold_stage: cryo.A
    settings: {slots: {1: sim928, 2: sim928}, bias_ua: {1: 18.0, 2: 18.0}}
    twin: {slots: {1: sim928, 2: sim928}}
  tagger: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 2000, bandwidth_nm: 1.0}
paths:
  - {from: pump, to: crystal}
  - {from: crystal.signal, to: rack.1}
  - {from: crystal.idler, to: rack.2}
cables:
  - {from: rack.1, to: tagger.1}
  - {from: rack.2, to: tagger.2}
"""


@pytest.fixture
def cold(tmp_path: Path) -> Callable[..., Lab]:
    def make(text: str = COLD) -> Lab:
        path = tmp_path / "cold.yaml"
        path.write_text(text)
        return open_lab(str(path), data_dir=tmp_path)

    return make


def rates(lab: Lab) -> tuple[int, int]:
    lab.devices["tagger"].trigger().wait(60)
    counts = lab.devices["tagger"].last_block.counts(4)
    return int(counts[0]), int(counts[1])


def test_photons_are_detected_with_the_efficiency_that_the_bias_gives(cold: Callable[..., Lab]) -> None:
    with cold() as lab:
        lab.devices["pump"].switch_on().wait(60)
        full, other = rates(lab)
        assert full == pytest.approx(other, abs=6 * full**0.5)
        lab.devices["rack"].slot1.set(12.0).wait(30)  # half of the plateau
        half, _ = rates(lab)
        assert half == pytest.approx(full / 2, rel=0.05)
        lab.devices["rack"].slot1.set(0.0).wait(30)
        assert rates(lab)[0] == 0


def test_when_the_compressor_stops_the_nanowires_latch_and_zero_bias_at_the_base_temperature_clears_it(
    cold: Callable[..., Lab],
) -> None:
    with cold() as lab:
        d = lab.devices
        d["pump"].switch_on().wait(60)
        before, _ = rates(lab)
        lab.twins["cryo"].device_fault("compressor_off")
        lab.clock.sleep(300.0)
        assert not d["cryo"].refresh_health()
        assert rates(lab) == (0, 0)
        lab.twins["cryo"].device_fault("compressor_off", active=False)
        lab.clock.sleep(8 * 3600.0)
        assert d["cryo"].refresh_health()
        assert rates(lab) == (0, 0)  # still latched
        d["rack"].slot1.recover().wait(30)
        d["rack"].slot2.recover().wait(30)
        assert rates(lab)[0] == pytest.approx(before, abs=8 * before**0.5)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("cold_stage: cryo.A", "cold_stage: cyro.A", "there is no instrument 'cyro'; did you mean 'cryo'?"),
        ("to: rack.2}", "to: rack.5}", "'rack.5' is a SIM900, which has no detector '5'; expected rack.1, rack.2"),
        ("to: rack.2}", "to: rack}", "'rack' is a SIM900, which detects no single photons; expected rack.1, rack.2"),
        ("from: rack.2, to", "from: rack.7, to", "'rack.7' is no single-photon detector; expected rack.1, rack.2"),
    ],
)
def test_a_mistake_with_channels_is_explained(cold: Callable[..., Lab], old: str, new: str, complaint: str) -> None:
    assert old in COLD
    with pytest.raises(LabFileError) as error:
        cold(COLD.replace(old, new))
    assert complaint in str(error.value)


SOURCE_LEXE = "illegal value|wrong token|bit"
SOURCE_LCME = (
    "illegal command|unknown command|cannot be asked|only be asked|missing|too many parameters|empty|too long|"
    "not a number|whole number|number of a token|value of a token|hexadecimal|unknown token"
)
SOURCE_CESR = "parity|framing|noise|too fast|overflowed|held the line|held back|break"
FRAME_LEXE = "port|token|carried out|time-out|bit|value|checksum|interface"
FRAME_LCME = (
    "first character|name|unknown command|question mark|cannot be asked|only be asked|missing|no parameters|too soon|"
    "message is too long|hexadecimal|command is too long|string|hexadecimal|binary|count|too short|empty|"
    "too many parameters|port|whole number|whole number|whole number|unknown token|string|hexadecimal|binary"
)


def numbered(query: str, words: str) -> list[tuple[str, int, str]]:
    return [(query, code, each) for code, each in enumerate(words.split("|"), 1)]


SOURCE_WORDS = numbered("LEXE?", SOURCE_LEXE) + numbered("LCME?", SOURCE_LCME)
SOURCE_WORDS += [(query, 1 << code - 1, words) for query, code, words in numbered("CESR?", SOURCE_CESR)]
FRAME_WORDS = numbered("LEXE?", FRAME_LEXE) + numbered("LCME?", FRAME_LCME)


@pytest.mark.parametrize(("query", "code", "words"), SOURCE_WORDS)
def test_what_a_source_finds_wrong_is_told_in_words(
    rack: SIM900, replies: dict[str, int], query: str, code: int, words: str
) -> None:
    replies[f"1 {query}"] = code
    (found,) = rack.slot1.complaints()
    assert words in found


@pytest.mark.parametrize(("query", "code", "words"), FRAME_WORDS)
def test_what_the_mainframe_finds_wrong_is_told_in_words(
    rack: SIM900, replies: dict[str, int], query: str, code: int, words: str
) -> None:
    replies[query] = code
    (found,) = rack.slot1.complaints()
    assert words in found


@pytest.fixture
def replies() -> dict[str, int]:
    """What is answered to a query, or to a query of a slot; 0 to all others."""
    return {}


@pytest.fixture
def rack(scripted: Callable, clock: SteppedClock, replies: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> SIM900:
    link, _ = scripted()
    rack = SIM900(name="rack", link=link, clock=clock)
    monkeypatch.setattr(rack, "ask_module", lambda slot, query: str(replies.get(f"{slot} {query}", 0)))
    monkeypatch.setattr(link, "ask_value", lambda query, parse: parse(str(replies.get(query, 0))))
    return rack


def test_a_bias_that_is_refused_is_explained(table: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    lab = table(rack=RACK)
    rack = lab.devices["rack"]
    monkeypatch.setattr(
        "devices.detectors.sim900_slot.UA_PER_V", 0.1
    )  # so that the source is asked for more than it has
    with pytest.raises(InstrumentError, match="slot 1 did not take a bias: illegal value"):
        rack.slot1.bias_ua.put(5.0)
