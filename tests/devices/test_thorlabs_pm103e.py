"""The framed power meters' driver: exact bytes on a scripted wire, and its behaviour on its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devices.power.thorlabs_pm103e import PM103E
from qlab import roles
from qlab.errors import BadReplyError, InstrumentError
from qlab.twin.faults import WireFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock
    from qlab.lab.build import Lab
    from qlab.links.link import Link

METER = "{class: devices.power.thorlabs_pm103e.PM103E, address: twin, settings: {wavelength_nm: 810.0, averages: 10}}"


def test_it_measures_and_takes_its_settings(table: Callable[..., Lab]) -> None:
    meter = table(meter=METER).devices["meter"]
    assert isinstance(meter, roles.PowerMeter)
    assert meter.identity_text.startswith("Thorlabs,PM103E,")
    meter.trigger().wait(30)
    assert meter.power_w.get() >= 0.0
    assert (meter.wavelength_nm.get(), meter.averages.get()) == (810.0, 10)
    assert meter.check_health() == []
    with pytest.raises(InstrumentError, match="-113"):
        meter.tell("SENS:NONSENSE 3")


def test_a_long_answer_comes_in_segments(scripted: Callable[..., tuple[Link, object]], clock: SteppedClock) -> None:
    text = b"x" * 1500 + b"\n"
    reply = b"\xca\x00\xdd\x05" + text[:1436] + b"\xcb\x01\x41\x00" + text[1436:]
    link, _ = scripted((b"\xca\x00\x05\x00LONG?", reply))
    assert PM103E(name="meter", link=link, clock=clock).ask("LONG?") == "x" * 1500


@pytest.mark.parametrize("reply", [b"\xcb\x00\x02\x001\n", b"\xca\x01\x02\x001\n", b"\xca\x00\x00\x00"])
def test_a_wrong_segment_is_a_bad_reply(
    scripted: Callable[..., tuple[Link, object]], clock: SteppedClock, reply: bytes
) -> None:
    link, _ = scripted((b"\xca\x00\x02\x00A?", reply))
    with pytest.raises(BadReplyError, match="does not begin as it should"):
        PM103E(name="meter", link=link, clock=clock).ask("A?")


def test_a_meter_that_has_hung_up_is_called_again(table: Callable[..., Lab]) -> None:
    """As it does after 30 s of silence."""
    lab = table(meter=METER)
    meter = lab.devices["meter"]
    openings = meter.link.openings
    lab.clock.sleep(31.0)
    lab.mounts["meter"].faults.arm(WireFault("drop"))
    meter.trigger().wait(30)
    assert meter.link.openings > openings
    assert meter.power_w.get() >= 0.0
