r"""Facts of protocol sheet 05 one by one: types of values, user levels, what may be written, limits, monitoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim_devices.sources.decop import Item
from sim_devices.sources.toptica_dlcpro import DLCproTwin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import FakeBench, Wire

    from sim_devices.sources.decop import Value

DL = "laser1:dl:"


@pytest.fixture
def twin(table: FakeBench) -> DLCproTwin:
    """A controller with a tuple and a binary value more than the sheet lists."""
    twin = DLCproTwin.build("laser", table, {})
    kept: dict[str, Value] = {"pair": (1.5, False), "blob": b"\x00\xff"}

    def item(name: str) -> Item:
        return Item(lambda: kept[name], lambda value: kept.__setitem__(name, value))

    twin.tree = twin.tree.with_items({name: item(name) for name in kept})
    return twin


@pytest.fixture
def wire(visa: Callable[..., Wire], twin: DLCproTwin) -> Wire:
    wire = visa(twin)
    wire.hear(b"\n> ")
    return wire


def ask(wire: Wire, call: str) -> str:
    return wire.say(f"({call})\n".encode()).removesuffix(b"\n> ").decode()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("laser1:scan:enabled", "#t", "#t"),
        ("laser1:scan:enabled", "#f", "#f"),
        (f"{DL}cc:current-set", "100", "100.0"),
        (f"{DL}cc:current-set", "1.5e1", "15.0"),
        ("laser1:scan:signal-type", "2", "2"),
        ("system-label", '"two words"', '"two words"'),
        ("pair", "'(2.5 #t)", "(2.5 #t)"),
        ("blob", '"AQID"', '"AQID"'),
    ],
)
def test_a_value_of_each_type_is_written_and_read(wire: Wire, name: str, value: str, said: str) -> None:
    assert ask(wire, f"param-set! '{name} {value}") == "0"
    assert ask(wire, f"param-ref '{name}") == said
    assert ask(wire, f"param-gsv '{name}") == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("laser1:scan:enabled", "true"),
        (f"{DL}cc:current-set", '"100"'),
        ("laser1:scan:signal-type", "1.5"),
        ("system-label", "word"),
        ("pair", "'(2.5)"),
        ("pair", "(2.5 #t)"),
        ("pair", "'(#t 2.5)"),
        ("blob", '"no base64!"'),
    ],
)
def test_a_value_of_another_type_is_rejected_with_a_negative_status(wire: Wire, name: str, value: str) -> None:
    before = ask(wire, f"param-ref '{name}")
    answer = ask(wire, f"param-set! '{name} {value}")
    assert int(answer.removeprefix("Error: ").split()[0]) < 0
    assert ask(wire, f"param-ref '{name}") == before


def test_a_binary_value_is_base64_in_quotes(wire: Wire) -> None:
    assert ask(wire, "param-ref 'blob") == '"AP8="'


@pytest.mark.parametrize(("level", "password"), [(0, "internal"), (1, "service"), (2, "CAUTION"), (3, ""), (4, "")])
def test_the_user_level_is_changed_with_its_password(wire: Wire, level: int, password: str) -> None:
    assert ask(wire, f'exec \'change-ul {level} "{password}"') == str(level)
    assert ask(wire, "param-ref 'ul") == str(level)
    assert ask(wire, "exec 'change-ul 5") == "Error: -23 value out of range"


def test_a_command_may_have_lines_before_its_status(wire: Wire, twin: DLCproTwin) -> None:
    twin.device_fault("interlock")
    assert ask(wire, "exec 'system-messages:show-all") == "Interlock open\n0"
    assert ask(wire, "exec 'system-messages:mark-as-read 1") == "0"
    assert ask(wire, "param-ref 'system-messages:count-new") == "0"
    assert ask(wire, "exec 'no-such-command") == "Error: -21 unknown name"


WRITABLE = {
    "": "system-label emission-button-enabled echo",
    "laser1": "label enabled",
    "laser1:dl:cc": "enabled current-set current-clip voltage-clip forced-off feedforward-enabled feedforward-factor",
    "laser1:dl:tc": "enabled temp-set temp-roc-enabled temp-roc-limit",
    "laser1:dl:pc": "enabled voltage-set",
    "laser1:dl:lock": "lock-enabled hold setpoint",
    "laser1:scan": "enabled hold signal-type frequency output-channel amplitude offset start end",
    "laser1:ctl": "wavelength-set",
}
READ_ONLY = {
    "": "serial-number system-type system-model fw-ver uptime emission interlock-open frontkey-locked system-health "
    "system-health-txt ul time",
    "laser1": "type product-name emission health health-txt busy",
    "laser1:dl": "type model serial-number ontime ontime-txt",
    "laser1:dl:cc": "emission current-act current-clip-limit voltage-act pd status status-txt",
    "laser1:dl:tc": "temp-act ready fault status status-txt current-act voltage-act resistance",
    "laser1:dl:pc": "voltage-min voltage-max voltage-act heatsink-temp status status-txt",
    "laser1:dl:lock": "state state-txt",
    "laser1:scan": "unit",
    "laser1:ctl": "wavelength-act",
    "system-messages": "count count-new latest-message",
}


@pytest.mark.parametrize("branch", WRITABLE)
def test_what_may_be_written_takes_its_own_value_back(wire: Wire, branch: str) -> None:
    for leaf in WRITABLE[branch].split():
        name = f"{branch}:{leaf}".lstrip(":")
        value = ask(wire, f"param-ref '{name}")
        assert ask(wire, f"param-set! '{name} {value}") == "0", name


@pytest.mark.parametrize("branch", READ_ONLY)
def test_what_may_only_be_read_is_refused_with_its_code(wire: Wire, branch: str) -> None:
    for leaf in READ_ONLY[branch].split():
        name = f"{branch}:{leaf}".lstrip(":")
        value = ask(wire, f"param-ref '{name}")
        assert ask(wire, f"param-set! '{name} {value}") == "-22", name
        assert ask(wire, f"param-gsv '{name}") == "Error: -3 value not available", name


@pytest.mark.parametrize(
    ("name", "low", "high", "outside"),
    [
        ("cc:current-set", 0.0, 180.0, (-0.1, 180.1)),  # mA, the clip
        ("cc:current-clip", 0.0, 250.0, (-0.1, 250.1)),
        ("tc:temp-set", 15.0, 35.0, (14.9, 35.1)),
        ("pc:voltage-set", 0.0, 140.0, (-0.1, 140.1)),
    ],
)
def test_a_limit_is_where_the_controller_says(
    wire: Wire, name: str, low: float, high: float, outside: tuple[float, float]
) -> None:
    for value in (low, high):
        assert ask(wire, f"param-set! '{DL}{name} {value}") == "0"
    for value in outside:
        assert ask(wire, f"param-set! '{DL}{name} {value}") == "-23"
        assert float(ask(wire, f"param-ref '{DL}{name}")) == high


def test_a_clip_is_a_limit_that_moves(wire: Wire) -> None:
    assert ask(wire, f"param-set! '{DL}cc:current-clip 90.0") == "0"
    assert ask(wire, f"param-set! '{DL}cc:current-set 90.1") == "-23"
    assert ask(wire, f"param-set! '{DL}cc:current-set 90.0") == "0"


def test_the_monitoring_line_keeps_its_interval_and_has_no_prompt(visa: Callable[..., Wire], twin: DLCproTwin) -> None:
    wire = visa(twin.ports()["monitoring"])
    assert wire.say(b'(change-ul 3 "")\n') == b""
    first = wire.say(b"(add 'uptime 5000)\n")
    assert first.startswith(b"(2026-01-01T00:00:00.")
    assert first.endswith(b"Z 'uptime 0)\n")
    assert wire.talk(wait_s=4.9) == b""
    assert wire.talk(wait_s=0.2).endswith(b"Z 'uptime 5)\n")
    assert wire.talk(b"(remove 'uptime)\n", wait_s=10.0) == b""


def test_a_client_of_the_monitoring_line_does_not_need_the_command_line(
    visa: Callable[..., Wire], twin: DLCproTwin, wire: Wire
) -> None:
    other = visa(twin.ports()["monitoring"])
    wire.mount.close()
    assert other.say(b"(add 'emission)\n").endswith(b"Z 'emission #f)\n")
