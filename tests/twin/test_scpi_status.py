"""Status model and common commands against IEEE 488.2 and SCPI-1999."""

from __future__ import annotations

import pytest

from qlab.clock import SteppedClock
from qlab.twin.scpi import ScpiError, ScpiTwin, command, parameter, query
from qlab.twin.scpi_status import ErrorQueue, StatusGroup

CME, EXE, QYE, DDE, OPC, PON = 32, 16, 4, 8, 1, 128


class OvenTwin(ScpiTwin):
    identity = "Acme,Oven,1,1"
    error_queue_length = 3
    hot = False
    level = parameter("LEVel", 1.0, limits=(0.0, 5.0))
    serial = parameter("SERial", "A1", stored=True)

    @command("HEAT")
    def heat(self) -> None:
        self.begin_operation(2.0)

    @command("FAIL")
    def break_down(self, code: str) -> None:
        raise ScpiError(int(code))

    def refresh_status(self) -> None:
        self.status["QUEStionable"].set_bits(1 << 4, on=self.hot)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def twin(clock: SteppedClock) -> OvenTwin:
    return OvenTwin(clock)


def ask(twin: OvenTwin, text: str) -> str:
    return twin.connect().receive(text.encode() + b"\n").decode().removesuffix("\n")


def test_power_on_sets_its_bit_and_clears_the_masks(twin: OvenTwin) -> None:
    assert ask(twin, "*ESR?") == str(PON)
    ask(twin, "*ESE 255;*SRE 255;:STAT:OPER:ENAB 5;:LEV 3;:NONS")
    twin.reset_power()
    assert ask(twin, "*ESR?;*ESE?;*SRE?;:STAT:OPER:ENAB?;:SYST:ERR:COUN?;:LEV?") == f"{PON};0;0;0;0;1.000000E+00"


@pytest.mark.parametrize(("code", "bit"), [(-113, CME), (-222, EXE), (-330, DDE), (42, DDE), (-410, QYE)])
def test_each_class_of_error_has_its_event_bit(twin: OvenTwin, code: int, bit: int) -> None:
    ask(twin, f"*CLS;FAIL {code}")
    assert ask(twin, "*ESR?") == str(bit)
    assert ask(twin, "SYST:ERR?").startswith(f"{code:+d},")


def test_the_event_register_is_cleared_by_reading_and_by_cls(twin: OvenTwin) -> None:
    assert ask(twin, "*ESR?;*ESR?") == f"{PON};0"
    ask(twin, "NONSense")
    assert ask(twin, "*CLS;*ESR?;:SYST:ERR?") == '0;+0,"No error"'


def test_a_full_queue_keeps_its_oldest_entries_and_ends_with_overflow(twin: OvenTwin) -> None:
    ask(twin, "FAIL -221;FAIL -222;FAIL -223;FAIL -224")
    assert ask(twin, "SYST:ERR:COUN?") == "3"
    assert ask(twin, "SYST:ERR:ALL?") == '-221,"Settings conflict",-222,"Data out of range",-350,"Queue overflow"'
    assert ask(twin, "SYST:ERR:NEXT?") == '+0,"No error"'
    assert ErrorQueue().pop() == '+0,"No error"'


def test_status_byte_sums_up_queue_events_groups_and_itself(twin: OvenTwin) -> None:
    assert ask(twin, "*CLS;*STB?") == "0"
    ask(twin, "NONSense")
    assert ask(twin, "*STB?") == "4"  # error queue (SCPI-1999, 9)
    ask(twin, f"*ESE {CME}")
    assert ask(twin, "*STB?;*STB?") == f"{4 + 32};{4 + 32 + 16}"  # the second sees a reply waiting: MAV
    ask(twin, "*SRE 32")
    assert ask(twin, "*STB?") == str(4 + 32 + 64)
    twin.hot = True
    ask(twin, "*CLS;STAT:QUES:ENAB 16")
    assert ask(twin, "*STB?") == "8"


def test_sre_has_no_bit_for_the_master_summary(twin: OvenTwin) -> None:
    assert ask(twin, "*SRE 255;*SRE?") == "191"


def test_condition_is_live_event_latches_and_reset_leaves_the_masks(twin: OvenTwin) -> None:
    ask(twin, "STAT:QUES:ENAB 48;PTR 16;NTR 16")
    twin.hot = True
    assert ask(twin, "STAT:QUES:COND?;EVEN?;EVEN?") == "16;16;0"
    twin.hot = False
    assert ask(twin, "STATus:QUEStionable:CONDition?;:STAT:QUES?") == "0;16"
    ask(twin, "*RST")
    assert ask(twin, "STAT:QUES:ENAB?;PTR?;NTR?;PTRansition?") == "48;16;16;16"
    ask(twin, "STAT:PRES")
    assert ask(twin, "STAT:QUES:ENAB?;PTR?;NTR?") == "0;32767;0"


def test_filters_decide_which_edge_latches() -> None:
    group = StatusGroup()
    group.positive, group.negative = 0, 8
    group.set_bits(8, on=True)
    assert group.event == 0
    group.set_bits(8, on=False)
    assert (group.read_event(), group.read_event()) == (8, 0)


def test_bit_15_stays_zero_and_a_mask_of_more_than_16_bits_is_refused(twin: OvenTwin) -> None:
    assert ask(twin, "STAT:OPER:ENAB #HFFFF;ENAB?") == "32767"
    assert ask(twin, "STAT:OPER:ENAB 65536;:SYST:ERR?") == '-222,"Data out of range"'
    assert ask(twin, "STAT:OPER:ENAB;:SYST:ERR?") == '-109,"Missing parameter"'


def test_operation_complete_waits_for_the_operation(twin: OvenTwin, clock: SteppedClock) -> None:
    conversation = twin.connect()
    conversation.receive(b"*CLS;HEAT;*OPC\n")
    assert conversation.receive(b"*ESR?\n") == b"0\n"
    assert conversation.receive(b"*OPC?\n") == b""
    assert conversation.due_ps() == 2_000_000_000_000
    clock.sleep(2.0)
    assert conversation.wake() == b"1\n"
    assert conversation.receive(b"*ESR?\n") == f"{OPC}\n".encode()
    assert conversation.receive(b"*OPC;*ESR?;*OPC?\n") == f"{OPC};1\n".encode()


def test_wait_holds_back_what_follows(twin: OvenTwin, clock: SteppedClock) -> None:
    conversation = twin.connect()
    assert conversation.receive(b"HEAT;*WAI;LEV?\n") == b""
    clock.sleep(2.0)
    assert conversation.wake() == b"1.000000E+00\n"


def test_cls_forgets_that_completion_was_asked_for(twin: OvenTwin, clock: SteppedClock) -> None:
    ask(twin, "HEAT;*OPC;*CLS")
    clock.sleep(3.0)
    assert ask(twin, "*ESR?") == "0"


def test_stored_settings_outlive_reset_and_power(twin: OvenTwin) -> None:
    ask(twin, "SER B2;LEV 3;*RST")
    assert ask(twin, "SER?;LEV?") == "B2;1.000000E+00"
    twin.reset_power()
    assert ask(twin, "SER?") == "B2"
    assert twin.peek() == {"level": 1.0, "serial": "B2"}


def test_queries_of_the_base_answer(twin: OvenTwin) -> None:
    assert ask(twin, "*IDN?;*TST?;:SYST:VERS?") == "Acme,Oven,1,1;0;1999.0"


def test_a_declined_message_queues_an_error_or_says_so(twin: OvenTwin) -> None:
    assert twin.refuse(b"LEV?", "error", "") == b""
    assert ask(twin, "SYST:ERR?") == '-200,"Execution error"'
    assert twin.refuse(b"LEV?", "busy", "ask later") == b"ask later\n"


class TalkativeTwin(ScpiTwin):
    """The dialect of the ID900: every command is answered, errors too, values carry units, frames have no end."""

    wire = "zmq"
    answers_sets = True
    answers_errors = True
    delay_ps = parameter("DELAy1:VALUe", 0.0, limits=(0.0, 1e12), fmt=".0f", units="TB")

    @query("DELAy1:STATe?")
    def state(self) -> str:
        return f":DELA1:VALU {self.delay_ps:.0f}TB"

    def error_reply(self, error: ScpiError) -> str:
        return "SCPI_ERR_INVALID_CMD" if error.event_bit == CME else "SCPI_ERR_PARAM_TYPE"


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (b"DELA1:VALU 1000TB", b"DELA1:VALU 1000TB"),
        (b"DELA1:VALU 2GTB;VALU?;STAT?", b"DELA1:VALU 2GTB;2000000000;:DELA1:VALU 2000000000TB"),
        (b"NONS", b"SCPI_ERR_INVALID_CMD"),
        (b"DELA1:VALU -1", b"SCPI_ERR_PARAM_TYPE"),
        (b"DELA1:VALU 1 V", b"SCPI_ERR_INVALID_CMD"),
    ],
)
def test_a_dialect_answers_everything_in_one_frame(frame: bytes, reply: bytes) -> None:
    assert TalkativeTwin(SteppedClock()).connect().receive(frame) == reply
    assert TalkativeTwin(SteppedClock()).refuse(frame, "error", "") == b"SCPI_ERR_PARAM_TYPE"
