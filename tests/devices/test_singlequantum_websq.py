"""The WebSQ's driver on its twin, and on a scripted wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.detectors.singlequantum_websq import WebSQ
from qlab import roles
from qlab.errors import BadReplyError, LimitError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab
    from qlab.links.link import Link

WIRES = (
    "{class: devices.detectors.singlequantum_websq.WebSQ, address: twin, twin: {detectors: 3},"
    " settings: {bias_ua: {1: 18.0, 3: 15.0}}}"
)


def test_biases_are_set_and_each_nanowire_is_a_detector(table: Callable[..., Lab]) -> None:
    lab = table(wires=WIRES)
    wires = lab.devices["wires"]
    assert isinstance(wires, roles.NanowireSystem)
    assert list(wires.detectors) == ["1", "2", "3"]
    wires.trigger().wait(30)
    assert [each.bias_ua.get() for each in wires.detectors.values()] == [18.0, 0.0, 15.0]
    wires.detectors["2"].set(12.0).wait(30)
    assert [channel.bias_ua for channel in lab.twins["wires"].channels] == [18.0, 12.0, 15.0]
    assert "wires_channel4_bias_ua" not in wires.read()
    with pytest.raises(LimitError, match=r"-90.9 to 90.9 uA"):
        wires.detectors["2"].set(100.0)


def test_a_latch_is_seen_and_recovered(table: Callable[..., Lab]) -> None:
    lab = table(wires=WIRES)
    wires = lab.devices["wires"]
    assert wires.check_health() == []
    lab.twins["wires"].device_fault("latch", channel=3)
    assert wires.check_health() == ["the nanowire on channel 3 has latched"]
    assert wires.detectors["3"].latched
    wires.detectors["3"].recover().wait(30)
    assert wires.check_health() == []
    assert wires.detectors["3"].bias_ua.get() == 15.0
    assert not wires.detectors["3"].latched


def test_after_a_power_cycle_the_biases_return(table: Callable[..., Lab]) -> None:
    lab = table(wires=WIRES)
    lab.mounts["wires"].power_cycle(boot_s=0.5)
    lab.devices["wires"].trigger().wait(120)
    assert [channel.bias_ua for channel in lab.twins["wires"].channels] == [18.0, 0.0, 15.0]


def test_a_channel_that_is_not_there_is_a_mistake(table: Callable[..., Lab]) -> None:
    with pytest.raises(LinkError, match="names channel 5, but there are 3"):
        table(wires=WIRES.replace("3: 15.0", "5: 15.0"))


def test_what_is_no_label_is_a_bad_reply(scripted: Callable[..., tuple[Link, object]], clock: SteppedClock) -> None:
    link, _ = scripted((b'{"request": "BiasVoltage", "value": "None"}', b"[1, 2]\x17"), terminator=b"\x17")
    wires = WebSQ(name="wires", link=link, clock=clock)
    with pytest.raises(BadReplyError, match="no label in JSON"):
        wires.measure() if wires.identity_text else wires._request("BiasVoltage", "BiasVoltage")


def test_any_label_with_error_in_its_name_is_a_complaint(table: Callable[..., Lab]) -> None:
    lab = table(wires=WIRES)
    wires, twin = lab.devices["wires"], lab.twins["wires"]
    twin.labels["HeliumErrorOfTheCompressor"] = "the compressor is off"
    assert wires.check_health() == ["the compressor is off"]
    twin.labels["HeliumErrorOfTheCompressor"] = ""
    assert wires.check_health() == []
