"""Facts of protocol sheet 08 one by one, beside the messages: several clients, edges of the ranges, how a scan ends."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from sim_devices.detectors.singlequantum_websq import WebSQTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

    from qlab.twin.host import TwinHost


def told(data: bytes) -> dict[str, Any]:
    """Return the labels of groups of glued objects, each group ended by ETB."""
    assert not data or data.endswith(b"\x17")
    groups = ["[" + group.decode("utf-8").replace("}{", "},{") + "]" for group in data.split(b"\x17")[:-1]]
    return {each["label"]: each["value"] for group in groups for each in json.loads(group)}


def command(name: str, value: object) -> bytes:
    return json.dumps({"command": name, "label": name, "value": value}).encode()


@pytest.fixture
def twin(table: FakeBench) -> WebSQTwin:
    return WebSQTwin.build("wires", table, {"detectors": 2})


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: WebSQTwin) -> Wire:
    return visa(twin)


def test_control_and_counts_are_two_ports(twin: WebSQTwin) -> None:
    assert list(twin.ports()) == ["control", "counts"]
    assert twin.ports()["control"] is twin


def test_each_client_of_the_counts_has_its_own_line(visa: Callable[..., Wire], twin: WebSQTwin) -> None:
    first, second = visa(twin.ports()["counts"]), visa(twin.ports()["counts"])
    line = first.talk(wait_s=0.1)
    assert line == second.collect()
    assert line.count(b"\n") == 1
    assert line.startswith(b"1767225600.1")
    stamp, *counts = line.decode().strip().split(", ")
    assert float(stamp) == pytest.approx(1767225600.1)
    assert counts == ["100", "100"]  # counts of the period, not a rate


def test_what_one_client_sets_all_are_told(host: TwinHost, twin: WebSQTwin) -> None:
    mount = host.mount_tcp(twin)
    _, name, port, _ = mount.address.split("::")
    with (
        socket.create_connection((name, int(port)), 5) as first,
        socket.create_connection((name, int(port)), 5) as second,
    ):
        for client in (first, second):  # both are known before the set
            client.sendall(b'{"request":"DetectorEnable"}')
            assert told(client.recv(4096)) == {"DetectorEnable": False}
        first.sendall(command("DetectorEnable", True))
        assert told(first.recv(4096)) == {"DetectorEnable": True}
        while mount.busy:
            os.sched_yield()
        host.clock.sleep(1e-6)  # in stepped time the others are told when it moves
        assert told(second.recv(4096)) == {"DetectorEnable": True}


@pytest.mark.parametrize("ua", [-90.9, 90.9])
def test_a_bias_goes_to_90_9_ua_either_way(wire: Wire, ua: float) -> None:
    assert told(wire.say(command("SetAllBiasCurrents", [ua, 0.0]))) == {"BiasCurrent": [ua, 0.0]}
    assert "CommandError" in told(wire.say(command("SetAllBiasCurrents", [ua * 1.001, 0.0])))


@pytest.mark.parametrize("label", ["IVScanStart", "IVScanEnd", "IVScanIncrement"])
def test_a_scan_goes_as_far(wire: Wire, label: str) -> None:
    for value in (-90.9, 90.9):
        assert told(wire.say(json.dumps({"label": label, "value": value}).encode())) == {label: value}
        assert "CommandError" in told(wire.say(json.dumps({"label": label, "value": value * 1.01}).encode()))


@pytest.mark.parametrize(("ms", "good"), [(10, True), (9.99, False)])
def test_a_period_has_10_ms_at_least(wire: Wire, ms: float, good: bool) -> None:
    assert ("InptMeasurementPeriod" in told(wire.say(command("SetMeasurementPeriod", ms)))) is good


def test_vectors_have_as_many_entries_as_there_are_detectors(visa: Callable[..., Wire], table: FakeBench) -> None:
    wire = visa(WebSQTwin.build("wires", table, {"detectors": 5}))
    props = told(wire.say(b'{"request":"labelProps","value":"None"}'))
    assert props["NumberOfDetectors"]["value"] == 5
    for label in ("BiasCurrent", "TriggerLevel", "BiasVoltage", "BiasCurrentAutoIV", "DarkCountsAutoIV"):
        assert len(props[label]["value"]) == 5
        assert set(props[label]) >= {"value", "bounds", "unit"}
    assert len(told(wire.say(b'{"request":"BiasVoltage"}'))["BiasVoltage"]) == 5


def test_a_scan_is_stopped_by_false(wire: Wire) -> None:
    wire.say(b'{"label":"IVScanStart","value":0}{"label":"IVScanEnd","value":20}{"label":"IVScanIncrement","value":1}')
    assert told(wire.say(command("IVScanEnable", True)))["IVScanEnable"] is True
    wire.talk(wait_s=0.25)
    said = told(wire.say(command("IVScanEnable", False)))
    assert said["IVScanEnable"] is False
    assert [each["biasCurrent"] for each in said["ic_scan_history"]] == [0.0, 1.0]


def test_a_latch_ends_with_zero_bias_too(wire: Wire, twin: WebSQTwin) -> None:
    wire.say(command("SetAllBiasCurrents", [18.0, 18.0]) + command("DetectorEnable", True))
    twin.device_fault("latch", channel=2)
    assert told(wire.say(b'{"request":"BiasVoltage"}'))["BiasVoltage"] == [0.0, 180.0]
    wire.say(command("SetAllBiasCurrents", [18.0, 0.0]))
    wire.talk(wait_s=0.1)  # while the wire cools down
    wire.say(command("SetAllBiasCurrents", [18.0, 18.0]))
    assert told(wire.say(b'{"request":"BiasVoltage"}'))["BiasVoltage"] == [0.0, 0.0]


def test_the_temperature_history_has_200_points_of_each_kind(wire: Wire) -> None:
    wire.talk(wait_s=60.0 * 250)
    history = json.loads(wire.say(b'{"request":"TemperatureHistory"}').removesuffix(b"\x17"))
    assert [len(history[key]) for key in ("x", "T", "T2", "V_avrg", "BoardTemp1", "BoardTemp2")] == [200] * 6
    assert history["x"][0] == "01-Jan-26 00:51:00.000000"
