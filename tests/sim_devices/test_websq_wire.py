"""The WebSQ's twin against protocol sheet 08: pyvisa over TCP, bytes written by hand; ETB ends what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qlab.errors import TwinError
from sim_devices.detectors.singlequantum_websq import WebSQTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

LABELS = """NumberOfDetectors BiasCurrent TriggerLevel BiasVoltage DetectorEnable InptMeasurementPeriod StartAutoIV
BiasCurrentAutoIV DarkCountsAutoIV IVScanEnable IVScanStart IVScanEnd IVScanIncrement ic_scan_history iv_scan_history
temperature_long_memory"""


def parse(data: bytes) -> list[dict[str, Any]]:
    """Read groups of glued objects, each ended by ETB."""
    assert not data or data.endswith(b"\x17")
    found = []
    for group in data.split(b"\x17")[:-1]:
        found += json.loads("[" + group.decode().replace("}{", "},{") + "]")
    return found


def command(name: str, label: str, value: object) -> bytes:
    return json.dumps({"command": name, "label": label, "value": value}).encode()


@pytest.fixture
def twin(table: FakeBench) -> WebSQTwin:
    return WebSQTwin.build("wires", table, {"detectors": 2})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: WebSQTwin) -> Wire:
    return visa(twin)


def test_all_labels_come_with_their_properties(wire: Wire) -> None:
    props = {each["label"]: each["value"] for each in parse(wire.say(b'{"request":"labelProps","value":"None"}'))}
    assert set(LABELS.split()) <= set(props)
    assert props["NumberOfDetectors"]["value"] == 2
    assert props["BiasCurrent"] == {"value": [0.0, 0.0], "bounds": [-90.9, 90.9], "unit": "uA"}
    assert len(props["TriggerLevel"]["value"]) == 2


@pytest.mark.parametrize(
    ("said", "label", "value"),
    [
        (command("SetAllBiasCurrents", "BiasCurrent", [12.5, -3.0]), "BiasCurrent", [12.5, -3.0]),
        (command("SetAllTriggerLevels", "TriggerLevel", [150, 160]), "TriggerLevel", [150.0, 160.0]),
        (command("DetectorEnable", "DetectorEnable", True), "DetectorEnable", True),
        (command("SetMeasurementPeriod", "InptMeasurementPeriod", 10), "InptMeasurementPeriod", 10),
        (b'{"command":"DarkCountsAutoIV","value":[5,6]}', "DarkCountsAutoIV", [5.0, 6.0]),
        (b'{"label":"IVScanStart","value":-90.9}', "IVScanStart", -90.9),
        (b'{"label":"IVScanEnd","value":90.9}', "IVScanEnd", 90.9),
        (b'{"label":"IVScanIncrement","value":0.5}', "IVScanIncrement", 0.5),
    ],
)
def test_a_set_is_told_to_all_clients_and_not_answered_otherwise(
    wire: Wire, twin: WebSQTwin, said: bytes, label: str, value: object
) -> None:
    other = twin.connect()
    assert parse(wire.say(said)) == [{"label": label, "value": value}]
    assert parse(other.wake()) == [{"label": label, "value": value}]
    assert other.due_ps() is None
    assert wire.say(said) == b""  # nothing has changed
    assert other.due_ps() is None


@pytest.mark.parametrize(
    "said",
    [
        command("SetAllBiasCurrents", "BiasCurrent", [91.0, 0.0]),
        command("SetAllBiasCurrents", "BiasCurrent", [1.0]),
        command("SetAllBiasCurrents", "BiasCurrent", "much"),
        command("SetMeasurementPeriod", "InptMeasurementPeriod", 9.9),
        command("Fly", "Height", 3),
        b'{"label":"IVScanStart","value":91}',
    ],
)
def test_what_it_cannot_do_is_told_in_an_error_label(wire: Wire, said: bytes) -> None:
    (error,) = parse(wire.say(said))
    assert "Error" in error["label"]
    assert error["value"]


def test_objects_need_no_terminator_and_may_be_glued_or_split(wire: Wire) -> None:
    both = command("DetectorEnable", "DetectorEnable", True) + b'{"label":"IVScanEnd","value":5}'
    assert [each["label"] for each in parse(wire.say(both))] == ["DetectorEnable", "IVScanEnd"]
    single = b'{"request":"BiasVoltage","text":"a } and a \\" in it"}'
    assert parse(wire.say(*(single[i : i + 1] for i in range(len(single))))) == [
        {"label": "BiasVoltage", "value": [0.0, 0.0]}
    ]
    assert wire.say(b"}}nonsense]") == b""
    assert parse(wire.say(b'{"request":"BiasVoltage"}')) == [{"label": "BiasVoltage", "value": [0.0, 0.0]}]


def test_bias_flows_when_it_is_enabled_and_a_latch_ends_at_zero(wire: Wire, twin: WebSQTwin, table: FakeBench) -> None:
    wire.say(command("SetAllBiasCurrents", "BiasCurrent", [18.0, 10.0]))
    detector = table.detectors["wires.1"]
    assert detector.efficiency.value(table.clock.now_ps()) == 0.0
    wire.say(command("DetectorEnable", "DetectorEnable", True))
    assert detector.efficiency.value(table.clock.now_ps()) == pytest.approx(0.85, rel=1e-3)
    twin.device_fault("latch", channel=1)
    assert detector.efficiency.value(table.clock.now_ps()) == 0.0
    volts = parse(wire.say(b'{"request":"BiasVoltage"}'))[0]["value"]
    assert volts == [180.0, 0.0]
    wire.say(command("DetectorEnable", "DetectorEnable", False))
    wire.say(command("DetectorEnable", "DetectorEnable", True))
    assert parse(wire.say(b'{"request":"BiasVoltage"}'))[0]["value"] == [180.0, 0.0]  # it had no time to cool down
    wire.talk(command("DetectorEnable", "DetectorEnable", False), wait_s=0.005)
    wire.say(command("DetectorEnable", "DetectorEnable", True))
    assert parse(wire.say(b'{"request":"BiasVoltage"}'))[0]["value"] == [0.0, 0.0]
    wire.say(command("SetAllBiasCurrents", "BiasCurrent", [25.0, 10.0]))  # above the switching current
    assert parse(wire.say(b'{"request":"BiasVoltage"}'))[0]["value"] == [250.0, 0.0]
    with pytest.raises(TwinError, match="expected latch of 1 to 2"):
        twin.device_fault("latch", channel=3)


def test_the_search_finds_the_bias_for_the_wanted_darks(wire: Wire) -> None:
    wire.say(b'{"command":"DarkCountsAutoIV","value":[10,1]}')
    assert parse(wire.say(b'{"command":"AutoCaliBiasCurrents","value":true}')) == [
        {"label": "StartAutoIV", "value": True}
    ]
    wire.talk(wait_s=1.0)
    assert parse(wire.say(b'{"request":"StartAutoIV"}')) == [{"label": "StartAutoIV", "value": True}]
    told = {each["label"]: each["value"] for each in parse(wire.talk(wait_s=2.5))}
    assert told["StartAutoIV"] is False
    high, low = told["BiasCurrentAutoIV"]
    assert told["BiasCurrent"] == [high, low]
    assert low < high < 20.0


def test_a_scan_counts_at_each_bias_and_keeps_the_history(wire: Wire, table: FakeBench) -> None:
    table.world.interval_ps = 10**9
    wire.say(b'{"label":"IVScanStart","value":16}{"label":"IVScanEnd","value":24}{"label":"IVScanIncrement","value":4}')
    assert parse(wire.say(command("IVScanEnable", "IVScanEnable", True))) == [{"label": "IVScanEnable", "value": True}]
    wire.talk(wait_s=0.5)
    told = {each["label"]: each["value"] for each in parse(wire.say(b'{"request":"IVHistory"}'))}
    assert [each["biasCurrent"] for each in told["ic_scan_history"]] == [16.0, 20.0, 24.0]
    assert told["ic_scan_history"][0]["y1"] == 100  # 0.1 s of clicks each millisecond
    assert [each["v2"] for each in told["iv_scan_history"]] == [0.0, 0.0, 240.0]


def test_temperatures_are_read_directly_under_their_label(wire: Wire) -> None:
    wire.talk(wait_s=150.0)
    (history,) = parse(wire.say(b'{"request":"TemperatureHistory"}'))
    assert history["label"] == "temperature_long_memory"
    assert history["x"] == ["01-Jan-26 00:00:00.000000", "01-Jan-26 00:01:00.000000", "01-Jan-26 00:02:00.000000"]
    assert history["T"] == [2.5, 2.5, 2.5]
    assert {"T2", "V_avrg", "BoardTemp1", "BoardTemp2"} <= set(history)


def test_a_warm_stage_latches_all_and_is_an_error_label(wire: Wire, table: FakeBench) -> None:
    wire.say(
        command("SetAllBiasCurrents", "BiasCurrent", [19.0, 19.0]) + command("DetectorEnable", "DetectorEnable", True)
    )
    table.knob("wires", "temperature_k").set(4.0, table.clock.now_ps())
    wire.talk(wait_s=2.5)
    error, voltage = parse(wire.say(b'{"request":"BiasVoltage"}'))
    assert error["label"] == "TemperatureError"
    assert "2.9 K" in error["value"]
    assert voltage["value"] == [190.0, 190.0]


def test_counts_come_as_a_line_a_period_to_each_client(
    visa: Callable[..., Wire], twin: WebSQTwin, table: FakeBench
) -> None:
    table.world.interval_ps = 10**9
    counts = visa(twin.ports()["counts"])
    lines = counts.talk(wait_s=0.35).decode().splitlines()
    assert lines == [f"{1767225600 + n / 10:.6f}, 100, 100" for n in (1, 2, 3)]
    twin.connect().receive(command("SetMeasurementPeriod", "InptMeasurementPeriod", 20))
    counts.talk(wait_s=0.05)
    assert all(line.endswith(", 20, 20") for line in counts.talk(wait_s=0.1).decode().splitlines())


def test_a_power_cycle_takes_the_bias_away(wire: Wire, twin: WebSQTwin, table: FakeBench) -> None:
    wire.say(
        command("SetAllBiasCurrents", "BiasCurrent", [18.0, 18.0]) + command("DetectorEnable", "DetectorEnable", True)
    )
    twin.reset_power()
    assert table.detectors["wires.1"].efficiency.value(table.clock.now_ps()) == 0.0
    assert parse(wire.say(b'{"request":"DetectorEnable"}')) == [{"label": "DetectorEnable", "value": False}]
