"""Optical switches: the Polatis, the Agiltron, and photons that follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.routing.agiltron_ff import AgiltronFF
from devices.routing.polatis_oxc import PolatisOXC
from qlab import roles
from qlab.errors import InstrumentError, LabFileError, LimitError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab

SAMPLES = [
    ("Polatis,N-VST-192x192-LU1-DMHNV-801,001310,6.5.2.18", (192, 192, False)),
    ("Polatis,N-OST-24x24-LA1-DMHNS-801,001310,6.5.2.18", (24, 24, True)),
]
OXC = "{class: devices.routing.polatis_oxc.PolatisOXC, address: twin, settings: {routes: {1: 17}}, twin: {inputs: 4}}"
FF = "{class: devices.routing.agiltron_ff.AgiltronFF, address: twin}"


@pytest.mark.parametrize(("identity", "size"), SAMPLES)
def test_the_size_stands_in_the_model(scripted: Callable, clock: SteppedClock, identity: str, size: tuple) -> None:
    link, _ = scripted((b"*IDN?\n", identity.encode() + b"\r\n"), terminator=b"\r\n", command_terminator=b"\n")
    oxc = PolatisOXC(name="oxc", link=link, clock=clock)
    link.open()
    oxc.check_identity(link)
    assert (oxc.inputs, oxc.outputs, oxc.any_pair) == size


@pytest.mark.parametrize(
    ("text", "pairs"), [("(@1,2),(@17,18)", [[1, 17], [2, 18]]), ("(@),(@)", []), ("(@5),(@21)\r\n", [[5, 21]])]
)
def test_the_map_is_read_as_the_sheet_has_it(text: str, pairs: list[list[int]]) -> None:
    assert PolatisOXC.connections.kwargs["parse"](text).tolist() == pairs


def test_the_small_switch_speaks_the_sheets_bytes(scripted: Callable, clock: SteppedClock) -> None:
    asks, tells = bytes.fromhex("01110000"), bytes.fromhex("01120003")
    link, port = scripted(
        (asks, bytes.fromhex("01110001")), (tells, tells), (asks, bytes.fromhex("01110003")), terminator=b""
    )
    ff = AgiltronFF(name="ff", link=link, clock=clock)
    link.open()
    assert ff.ask_channel() == 1
    ff.switch_to(3)
    assert port.script == []
    link, _ = scripted((tells, bytes.fromhex("01120001")), (asks, bytes.fromhex("01110003")), terminator=b"")
    with pytest.raises(InstrumentError, match="did not switch"):  # the whole echo is compared
        AgiltronFF(name="ff", link=link, clock=clock).switch_to(3)


def test_the_switch_makes_the_lab_files_connections_and_more(table: Callable[..., Lab]) -> None:
    lab = table(oxc=OXC.replace("17", "5"))
    oxc = lab.devices["oxc"]
    assert isinstance(oxc, roles.Switch)
    assert (oxc.inputs, oxc.outputs, oxc.routes) == (4, 16, {1: 5})
    oxc.set({2: 6, 3: 7}).wait(30)
    assert oxc.routes == {1: 5, 2: 6, 3: 7}
    oxc.set({4: 5}).wait(30)  # 5 moves
    assert oxc.routes == {2: 6, 3: 7, 4: 5}
    assert oxc.read()["oxc_connections"]["value"].tolist() == [[2, 6], [3, 7], [4, 5]]
    oxc.disconnect_all().wait(30)
    assert oxc.routes == {}


@pytest.mark.parametrize("routes", [{1: 2}, {0: 5}, {1: 21}, {5: 6}])
def test_an_impossible_connection_is_refused_before_anything_is_sent(
    table: Callable[..., Lab], routes: dict[int, int]
) -> None:
    lab = table(oxc=OXC.replace("17", "5"))
    before = lab.mounts["oxc"].received
    with pytest.raises(LimitError, match=r"an input from 1 to 4 and an output from 5 to 20"):
        lab.devices["oxc"].set(routes)
    assert lab.mounts["oxc"].received == before


def test_connections_that_a_restart_took_apart_are_made_again(table: Callable[..., Lab]) -> None:
    lab = table(oxc=OXC.replace("17", "5").replace("inputs: 4", "inputs: 4, keeps_connections: false"))
    oxc = lab.devices["oxc"]
    oxc.set({2: 6}).wait(30)
    lab.mounts["oxc"].power_cycle(boot_s=1.0)
    assert lab.twins["oxc"].peek()["connections"] == []
    lab.clock.sleep(2.0)
    oxc.trigger().wait(60)
    assert oxc.routes == {1: 5, 2: 6}
    assert lab.twins["oxc"].peek()["connections"] == [(1, 5), (2, 6)]
    oxc.disconnect_all().wait(30)
    lab.mounts["oxc"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    oxc.trigger().wait(60)
    assert oxc.routes == {}


def test_a_port_that_fails_in_a_restart_leaves_the_others_working(table: Callable[..., Lab]) -> None:
    lab = table(oxc=OXC.replace("17", "5").replace("inputs: 4", "inputs: 4, keeps_connections: false"))
    oxc = lab.devices["oxc"]
    oxc.set({2: 6}).wait(30)
    lab.twins["oxc"].device_fault("port_failed", port=5)
    lab.mounts["oxc"].power_cycle(boot_s=1.0)
    lab.clock.sleep(2.0)
    oxc.trigger().wait(60)
    assert oxc.routes == {2: 6}
    assert oxc.check_health() == ["port 5 out of order", "ports 1 and 5 are no longer joined"]
    oxc.set({1: 7}).wait(30)
    lab.twins["oxc"].device_fault("port_failed", port=5, active=False)
    assert oxc.check_health() == []


def test_an_ost_model_joins_two_inputs(table: Callable[..., Lab]) -> None:
    oxc = table(oxc=OXC.replace("17", "2").replace("inputs: 4", "any_pair: true")).devices["oxc"]
    assert oxc.any_pair
    assert oxc.routes == {1: 2}
    with pytest.raises(LimitError):
        oxc.set({3: 3})


def test_powers_are_read_where_there_are_monitors(table: Callable[..., Lab]) -> None:
    line = OXC.replace("{routes: {1: 17}}", "{power_monitors: true}")
    oxc = table(oxc=line.replace("inputs: 4", "inputs: 200, outputs: 100, power_monitors: true")).devices["oxc"]
    oxc.trigger().wait(30)
    assert oxc.read()["oxc_powers_dbm"]["value"].tolist() == [-60.0] * 300  # in the dark; two queries
    assert oxc.describe()["oxc_powers_dbm"]["units"] == "dBm"


def test_a_model_without_monitors_reads_no_powers(table: Callable[..., Lab]) -> None:
    oxc = table(oxc=OXC.replace("17", "5")).devices["oxc"]
    assert "oxc_powers_dbm" not in oxc.read()


def test_a_failed_port_is_named(table: Callable[..., Lab]) -> None:
    lab = table(oxc=OXC.replace("17", "5"))
    oxc = lab.devices["oxc"]
    lab.twins["oxc"].device_fault("port_failed", port=9)
    assert oxc.check_health() == ["port 9 out of order"]
    with pytest.raises(InstrumentError, match=r"out of order"):
        oxc.set({2: 9}).wait(30)
    assert not oxc.health.ok.get()


def test_the_small_switch_switches_and_says_when_it_is_stuck(table: Callable[..., Lab]) -> None:
    lab = table(ff=FF)
    ff = lab.devices["ff"]
    assert isinstance(ff, roles.Switch)
    assert ff.routes == {1: 1}
    ff.set({1: 4}).wait(30)
    assert ff.routes == {1: 4}
    ff.set(2).wait(30)
    lab.twins["ff"].device_fault("stuck")
    with pytest.raises(InstrumentError, match=r"did not switch.*is it stuck"):
        ff.set(3).wait(30)
    with pytest.raises(LimitError, match="1 to 4"):
        ff.set(5)


@pytest.mark.parametrize("routes", [{2: 1}, {}, {1: 2, 2: 3}])
def test_the_small_switch_has_the_one_input(table: Callable[..., Lab], routes: dict[int, int]) -> None:
    lab = table(ff=FF)
    before = lab.mounts["ff"].received
    with pytest.raises(LimitError, match="expected input 1 alone"):
        lab.devices["ff"].set(routes)
    assert lab.mounts["ff"].received == before


WAYS = """
qlab: 1
name: ways
seed: 11
instruments:
  pump: {class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, settings: {current_limit_a: 0.12, current_a: 0.08}}
  meter: {class: devices.power.thorlabs_pm100d.PM100D, address: twin}
  voa: {class: devices.routing.ozoptics_dd100.DD100, address: twin, settings: {loss_db: 0.0}}
  ff: {class: devices.routing.agiltron_ff.AgiltronFF, address: twin}
  a: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {efficiency: 0.6, dark_rate_hz: 0}}
  b: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {efficiency: 0.6, dark_rate_hz: 0}}
  c: {class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {efficiency: 0.6, dark_rate_hz: 0}}
  tagger: {class: devices.taggers.sfifteen_tdc1.TDC1, address: twin}
optics:
  tap: {kind: tap, fraction: 0.01}
  crystal: {kind: pair_source, pump: pump, brightness_hz_per_mw: 20000, bandwidth_nm: 1.0}
  loss: {kind: variable_attenuator, instrument: voa, insertion_loss_db: 1.2}
  switch: {kind: switch, instrument: ff, loss_db: 1.0, crosstalk_db: 60}
paths:
  - {from: pump, via: [tap], to: {tapped: meter, through: crystal}}
  - {from: crystal.signal, via: [loss, switch], to: {"1": a, "2": b}}
  - {from: crystal.idler, to: c}
cables:
  - {from: a, to: tagger.1}
  - {from: b, to: tagger.2}
  - {from: c, to: tagger.3}
"""


@pytest.fixture
def ways(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "ways.yaml"
        path.write_text(text)
        return path

    return write


def test_photons_go_where_the_switch_sends_them_and_fewer_through_the_attenuator(
    ways: Callable[[str], Path], tmp_path: Path
) -> None:
    with open_lab(str(ways(WAYS)), data_dir=tmp_path) as lab:
        d = lab.devices
        d["pump"].switch_on().wait(60)

        def counts() -> list[int]:
            d["tagger"].trigger().wait(60)
            block = d["tagger"].last_block
            return [int(n) for n in block.counts(4)[:3]]

        a, b, c = counts()
        assert b < 20 < 1000 < a < c
        d["ff"].set(2).wait(30)
        a2, b2, _ = counts()
        assert a2 < 20
        assert b2 == pytest.approx(a, abs=6 * a**0.5)
        d["voa"].set(10.0).wait(60)
        _, b3, c3 = counts()
        assert b3 == pytest.approx(b2 / 10.0, abs=6 * (b2 / 10) ** 0.5)  # 10 dB
        assert c3 == pytest.approx(c, abs=6 * c**0.5)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"1": a, "2": b', "one: a", "a switch ends a path: expected to: {\"1\": ..., \"2\": ...}, by output number"),
        ("instrument: ff", "instrument: fff", "there is no instrument 'fff'; did you mean 'ff'?"),
        ("instrument: voa,", "instrument: vao,", "there is no instrument 'vao'; did you mean 'voa'?"),
        ("to: c}", "to: c.1}", "'c.1' is a SPD, which has no detector '1'"),
        ("tapped: meter", "tapped: a", "'a' detects single photons; a laser's light would blind it"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_ways_is_explained(ways: Callable[[str], Path], old: str, new: str, complaint: str) -> None:
    assert old in WAYS
    with pytest.raises(LabFileError) as error:
        open_lab(str(ways(WAYS.replace(old, new))))
    assert complaint in str(error.value)
