"""One script of IEEE 488.2's common commands, unchanged on every SCPI instrument (protocol sheets 00 and 22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim_devices.power.thorlabs_pm100d import PM100DTwin
from sim_devices.repeaters.qrm import QRMTwin
from sim_devices.sources.keysight_33500b import Keysight33500BTwin
from sim_devices.sources.thorlabs_cld1015 import CLD1015Twin
from sim_devices.timing.srs_fs740 import FS740Twin

if TYPE_CHECKING:
    from conftest import FakeBench

OPC, QYE, DDE, EXE, CME, URQ, PON = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
EAV, MAV, ESB, MSS = 0x04, 0x10, 0x20, 0x40


@pytest.fixture(params=[QRMTwin, FS740Twin, PM100DTwin, CLD1015Twin, Keysight33500BTwin], ids=lambda cls: cls.__name__)
def ask(request: pytest.FixtureRequest, bench: FakeBench) -> Any:
    """Say lines to a twin that has just been switched on; without the instrument's own terminators."""
    talk = request.param.build("it", bench, {}).connect()
    return lambda line: talk.receive(line + b"\n").strip()


def test_the_common_commands_mean_the_same_everywhere(ask: Any) -> None:
    assert len(ask(b"*IDN?").split(b",")) == 4
    assert int(ask(b"*ESR?")) == PON  # since power-on, read and cleared
    assert int(ask(b"*ESR?")) == 0
    assert ask(b"*ESE 49") == b""  # no answer to a set
    assert ask(b"*SRE 36") == b""
    assert (int(ask(b"*ESE?")), int(ask(b"*SRE?"))) == (49, 36)
    assert int(ask(b"*STB?")) == 0
    assert ask(b"NOSUCHTHING 1") == b""
    byte = int(ask(b"*STB?"))
    assert byte & (EAV | ESB | MSS) == EAV | ESB | MSS
    assert int(ask(b"*STB?")) == byte  # reading does not clear it
    assert int(ask(b"*ESR?")) == CME
    assert ask(b"SYST:ERR?").startswith(b"-113,")
    assert int(ask(b"SYST:ERR?").split(b",")[0]) == 0
    assert int(ask(b"*STB?")) == 0
    assert ask(b"*OPC") == b""
    assert int(ask(b"*ESR?")) & OPC
    assert ask(b"*OPC?") == b"1"
    assert ask(b"*TST?").lstrip(b"+") == b"0"
    assert ask(b"*WAI;*OPC?") == b"1"
    assert ask(b"*ESR?;*STB?").split(b";")[1] == b"%d" % MAV  # an answer waits
    ask(b"NOSUCHTHING")
    assert ask(b"*RST") == b""
    assert (int(ask(b"*ESE?")), int(ask(b"*SRE?"))) == (49, 36)  # masks and queue outlive a reset
    assert int(ask(b"*STB?")) & EAV
    assert ask(b"*CLS") == b""
    assert (int(ask(b"*ESR?")), int(ask(b"*STB?"))) == (0, 0)
    assert int(ask(b"SYST:ERR?").split(b",")[0]) == 0
