"""Signals and the base class: what is declared is what goes over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, SoftSignal, parse_bool
from qlab.errors import (
    BadReplyError,
    BadRequestError,
    InstrumentError,
    LimitError,
    LinkTimeoutError,
    WrongIdentityError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.clock import SteppedClock

NO_ERROR = (b"SYST:ERR?\n", b'+0,"No error"\n')
HELLO = (b"*IDN?\n", b"Acme,Attenuator,1,3.2\n")


class Attenuator(ScpiInstrument):
    """All that a new SCPI instrument costs."""

    identity = "^Acme,Attenuator"

    class Settings(InstrumentSettings):
        loss_db: float | None = None

    loss_db = Cpt(
        ScpiSignal,
        query="LOSS?",
        command="LOSS {:.1f}",
        units="dB",
        precision=1,
        limits=(0, 60),
        settle_s=0.5,
        verify=0.05,
        kind="config",
    )
    power_w = Cpt(ScpiSignal, query="POW?", units="W", kind="hinted")
    shutter = Cpt(ScpiSignal, command="SHUT {:d}", initial=0, parse=parse_bool, kind="omitted")
    gain = Cpt(SoftSignal, initial=1.0, limits=(0, 2), kind="config")


@pytest.fixture
def attenuator(scripted: Callable, clock: SteppedClock) -> Callable:
    def make(*lines: tuple[bytes, bytes], settings: dict | None = None, **how: object) -> tuple:
        link, port = scripted(HELLO, *lines, **how)
        device = Attenuator(name="att", link=link, clock=clock, settings=settings)
        device.link.identify = device.check_identity
        device.link.open()
        return device, port

    return make


def test_connection_identifies_clears_errors_applies_settings_and_reads_the_configuration(
    scripted: Callable, clock: SteppedClock
) -> None:
    link, port = scripted(
        HELLO, (b"*CLS\n", b""), (b"LOSS 3.0\n", b""), NO_ERROR, (b"LOSS?\n", b"3.0\n"), (b"LOSS?\n", b"3.0\n")
    )
    device = Attenuator(name="att", link=link, clock=clock, settings={"loss_db": 3.0})

    device.connect()

    assert port.script == []
    assert device.firmware == "3.2"
    assert device.read_configuration()["att_loss_db"]["value"] == 3.0
    assert device.limits_text() == ["loss_db 0..60 dB"]
    device.disconnect()


def test_another_instrument_at_the_address_is_refused_by_name(scripted: Callable, clock: SteppedClock) -> None:
    link, _ = scripted((b"*IDN?\n", b"Other,Thing,1,1\n"))
    device = Attenuator(name="att", link=link, clock=clock)

    with pytest.raises(WrongIdentityError, match=r"att: another instrument answers.*Other,Thing"):
        device.connect()


def test_a_set_is_checked_in_the_error_queue_and_read_back_after_it_has_settled(
    attenuator: Callable, clock: SteppedClock
) -> None:
    device, port = attenuator((b"LOSS 12.0\n", b""), NO_ERROR, (b"LOSS?\n", b"12.0\n"))

    device.loss_db.set(12.0).wait(10)

    assert port.script == []
    assert clock.now_ps() == 500_000_000_000  # settle_s
    reading = device.read_configuration()["att_loss_db"]
    assert reading == {"value": 12.0, "timestamp": clock.now_s()}


def test_a_value_outside_the_limits_names_device_signal_value_and_limits_and_sends_nothing(
    attenuator: Callable,
) -> None:
    device, port = attenuator()

    with pytest.raises(LimitError, match=r"att: loss_db = 61 dB is outside its limits, 0 to 60 dB"):
        device.loss_db.set(61)
    with pytest.raises(LimitError, match="gain"):
        device.gain.set(3.0)
    assert port.script == []


def test_the_queues_own_words_end_the_status_and_all_errors_are_taken_out(attenuator: Callable) -> None:
    device, port = attenuator(
        (b"LOSS 7.0\n", b""),
        (b"SYST:ERR?\n", b'-222,"Data out of range"\n'),
        (b"SYST:ERR?\n", b'-100,"Command error"\n'),
        NO_ERROR,
    )

    status = device.loss_db.set(7.0)

    with pytest.raises(InstrumentError, match=r"att: the instrument refused.*LOSS 7\.0.*-222.*-100"):
        status.wait(10)
    assert port.script == []
    assert status.done
    assert not status.success


def test_a_set_that_was_not_taken_is_found_by_reading_back(attenuator: Callable) -> None:
    device, _ = attenuator((b"LOSS 7.0\n", b""), NO_ERROR, (b"LOSS?\n", b"6.0\n"))

    with pytest.raises(InstrumentError, match=r"did not take.*found '6\.0'.*expected 7\.0 dB"):
        device.loss_db.set(7.0).wait(10)


def test_a_set_is_never_repeated_when_its_check_times_out(attenuator: Callable) -> None:
    device, port = attenuator((b"LOSS 7.0\n", b""), (b"SYST:ERR?\n", b""), retries=3)

    with pytest.raises(LinkTimeoutError, match="SYST:ERR"):
        device.loss_db.set(7.0).wait(10)
    assert port.script == []


def test_a_reply_that_is_no_number_is_a_bad_reply_and_the_link_is_not_believed_after_it(attenuator: Callable) -> None:
    device, port = attenuator((b"POW?\n", b"hello\n"), HELLO, (b"POW?\n", b"1e-3\n"))

    with pytest.raises(BadReplyError, match=r"att: the reply is not a value of power_w.*hello"):
        device.power_w.fetch()
    assert device.power_w.fetch() == 1e-3
    assert port.plugged == 2  # it was opened again, and asked who it is


def test_a_reconnection_sets_the_last_value_again_and_not_the_lab_files(
    scripted: Callable, clock: SteppedClock
) -> None:
    connect = [(b"*CLS\n", b""), (b"LOSS 3.0\n", b""), NO_ERROR, (b"LOSS?\n", b"3.0\n"), (b"LOSS?\n", b"3.0\n")]
    change = [(b"LOSS 9.0\n", b""), NO_ERROR, (b"LOSS?\n", b"9.0\n")]
    again = [HELLO, (b"*CLS\n", b""), *change, (b"POW?\n", b"2.0\n")]
    link, port = scripted(HELLO, *connect, *change, *again)
    device = Attenuator(name="att", link=link, clock=clock, settings={"loss_db": 3.0})
    device.connect()
    device.loss_db.set(9.0).wait(10)

    link.close()
    device.trigger().wait(10)

    assert port.script == []
    assert device.read()["att_power_w"]["value"] == 2.0


def test_descriptions_carry_source_units_precision_and_limits(attenuator: Callable) -> None:
    device, _ = attenuator()

    key = device.describe_configuration()["att_loss_db"]

    assert key["units"] == "dB"
    assert key["precision"] == 1
    assert (key["lower_ctrl_limit"], key["upper_ctrl_limit"]) == (0, 60)
    assert key["source"] == "script LOSS?"
    assert key["dtype"] == "number"
    assert device.hints == {"fields": ["att_power_w"]}


def test_reading_sends_nothing_and_every_time_stamp_is_lab_time(attenuator: Callable, clock: SteppedClock) -> None:
    device, port = attenuator()

    stamps = [r["timestamp"] for r in [*device.read().values(), *device.read_configuration().values()]]

    assert stamps == [clock.epoch_s] * 3
    assert port.script == []


def test_settings_that_the_driver_does_not_know_are_refused_with_their_name(
    scripted: Callable, clock: SteppedClock
) -> None:
    link, _ = scripted()

    with pytest.raises(BadRequestError, match=r"att: setting loss = 3"):
        Attenuator(name="att", link=link, clock=clock, settings={"loss": 3})


def test_an_instrument_may_narrow_the_declared_limits(scripted: Callable, clock: SteppedClock) -> None:
    class Meter(ScpiInstrument):
        wavelength_nm = Cpt(ScpiSignal, query="WAV?", command="WAV {:g}", limits=(300, 900), ask_limits=True)

    link, _ = scripted((b"*IDN?\n", b"m\n"), (b"*CLS\n", b""), (b"WAV? MIN\n", b"400\n"), (b"WAV? MAX\n", b"1100\n"))
    device = Meter(name="m", link=link, clock=clock)
    link.open()
    device.check_identity(link)
    device.prepare()
    for signal in device.wire_signals():
        signal.fetch_limits()

    assert device.wavelength_nm.limits == (400, 900)


def test_a_programming_error_in_a_worker_ends_its_status_instead_of_hanging_the_engine(
    scripted: Callable, clock: SteppedClock
) -> None:
    link, _ = scripted()
    device = Instrument(name="i", link=link, clock=clock)

    status = device.in_thread("fail", lambda: [].nothing)  # type: ignore[attr-defined]

    assert isinstance(status.exception(10), AttributeError)
    assert status.clock_hold.released
