"""The ID900 twin against protocol sheet 10: pyzmq REQ sockets, frames written by hand.

The download service is in `test_id900_datalink_wire.py`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import TwinError
from qlab.tags.stream import Gap
from sim_devices.taggers.idquantique_id900 import ID900Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Dial, FakeBench

    from qlab.twin.host import TwinHost

    Ask = Callable[..., list[bytes]]

INVALID = b"SCPI_ERR_INVALID_CMD"
WRONG = b"SCPI_ERR_PARAM_TYPE"
MS = 1_000_000_000

INPUT_STATE = (
    b"ENAB ON;COUP DC;EDGE RISING;THRE 0.499712V;SELE UNSHAPED;RESY AUTO;:INPU1:COUNTER:INTEGRATIONTIME 1000;MODE CYCLE"
)
START_STATE = (
    b"ENAB OFF;COUP DC;EDGE RISING;THRE 0.999424V;SELE UNSHAPED;DELA 0TB;:START:COUNTER:INTEGRATIONTIME 1000;MODE CYCLE"
)
HISTOGRAM_STATE = (
    b"HIST1:INPORT:STOP:LINK TSCO6;:HIST1:INPORT:REF:LINK TSCO5;:HIST1:INPORT:ENAB:LINK REC;"
    b":HIST1:MIN 0TB;BWID 100TB;BCOUNT 1000;"
)

STATES = [
    (b"*IDN?", b"IDQuantique,ID900,2020A0001,2.1.0"),
    (b"INPUT1:STATE?", INPUT_STATE),
    (b"INPU:STAT?", INPUT_STATE),  # number omitted = 1
    (b"START:STATE?", START_STATE),
    (b"STAR:STAT?", START_STATE),
    (b"DELAY1:STATE?", b":DELA1:VALU 0TB;INPO:LINK INPU1;"),
    (b"DEVICE:STATE?", b"DEVICE:SYNC INTERNAL;RES LOWRES"),
    (b"HIST1:STOP:LINK TSCO6;:HIST1:REF:LINK TSCO5;:HIST1:STATE?", b"TSCO6;TSCO5;" + HISTOGRAM_STATE),
]

INPUTS = [
    row
    for head in (b"INPU1", b"INPUt4", b"START")
    for row in (
        (head + b":ENAB ON;ENAB?", b"ON;ON"),
        (head + b":ENABle off;ENAB?", b"OFF;OFF"),
        (head + b":COUP AC;COUPling?", b"AC;AC"),
        (head + b":COUP DC;COUP?", b"DC;DC"),
        (head + b":EDGE FALLING;EDGE?", b"FALLING;FALLING"),
        (head + b":EDGE RISI;EDGE?", b"RISING;RISING"),
        (head + b":THRE 0.5V;THREshold?", b"0.499712V;0.499712V"),  # steps of 1.024 mV, rounded down
        (head + b":THRE 1;THRE?", b"0.999424V;0.999424V"),
        (head + b":THRE 100mV", b"0.099328V"),
        (head + b":THRE -0.5", b"-0.499712V"),
        (head + b":SELE SHAPED;SELE?", b"SHAPED;SHAPED"),
        (head + b":SELE LOOP;SELE OUTPUT;SELE UNSHAPED;SELEct?", b"LOOP;OUTPUT;UNSHAPED;UNSHAPED"),
        (head + b":DELA 1000;DELAy?", b"1000TB;1000TB"),
        (head + b":DELA 2000TB;DELA?", b"2000TB;2000TB"),
        (head + b":DELA 0.001GTB", b"1000000TB"),
        (head + b":COUN?", b"0"),
        (head + b":COUN:MODE ACCUM;MODE?", b"ACCUM;ACCUM"),
        (head + b":COUNter:MODE CYCLE;MODE?", b"CYCLE;CYCLE"),
        (head + b":COUN:INTE 1000.0;INTEgrationtime?", b"1000;1000"),  # a float for an integer
        (head + b":COUN:INTE 1;INTE 65535;INTE?", b"1;65535;65535"),
        (head + b":COUN:RESE", b"Counter value set to 0 "),  # with the trailing blank
        (head + b":COUN:INTE 0", head + b":COUN:INTE 0 " + WRONG),
        (head + b":COUN:INTE 65536", head + b":COUN:INTE 65536 " + WRONG),
        (head + b":EDGE UP", head + b":EDGE UP " + WRONG),
        (head + b":THRE 3V", head + b":THRE 3V " + WRONG),
        (head + b":THRE 1A", head + b":THRE 1A " + WRONG),
        (head + b":ENAB MAYBE", head + b":ENAB MAYBE " + WRONG),
        (head + b":COUN 5", head + b":COUN 5 " + INVALID),  # it is only asked for
        (head + b":STAT ON", head + b":STAT ON " + INVALID),
    )
]
ONLY_INPUTS = [
    (b"INPU2:RESY MANUAL;RESYncpolicy?", b"MANUAL;MANUAL"),
    (b"INPU2:RESY AUTO;RESY?", b"AUTO;AUTO"),
    (b"START:RESY AUTO", b"START:RESY AUTO " + INVALID),
    (b"INPU2:HIRE:ERRO?", b"0"),
    (b"INPUt2:HIREs:ERROr?", b"0"),
    (b"INPU2:HIRE:ERRO:CLEA", b"Cleared Highres errors"),
    (b"INPU1:DELA 1S;DELA 1000000000001", b"1000000000000TB;DELA 1000000000001 " + WRONG),
]

DELAYS = [
    (b"DELA1:VALU?", b"0TB"),
    (b"DELA1:LINK?", b"INPU1"),
    (b"DELA4:INPO:LINK?", b"INPU4"),
    (b"DELA5:LINK?", b"NONE"),
    (b"DELAy8:VALUe 1000;VALU?", b"1000TB;1000TB"),
    (b"DELA2:VALU 4US;VALU?", b"4000000TB;4000000TB"),
    (b"DELA2:LINK START;LINK?", b"STAR;STAR"),
    (b"DELA2:INPOrt:LINK INPUT3;LINK?", b"INPU3;INPU3"),
    (b"DELA2:LINK DELA1;LINK NONE;LINK?", b"DELA1;NONE;NONE"),
    (b"DELA2:VALU -1", b"DELA2:VALU -1 " + WRONG),
    (b"DELA2:VALU 2S", b"DELA2:VALU 2S " + WRONG),
    (b"DELA2:LINK INPU9", b"DELA2:LINK INPU9 " + WRONG),
    (b"DELA9:VALU?", b"DELA9:VALU? " + INVALID),
]

COINCIDENCES = [
    (b"TSCO5:FIR:LINK?;:TSCO6:FIR:LINK?;:TSCO7:FIRst:LINK?;:TSCO8:FIRS:LINK?", b"DELA1;DELA2;DELA3;DELA4"),
    (b"TSCO1:FIR:LINK INPU2;LINK?", b"INPU2;INPU2"),
    (b"TSCO1:SECond:LINK INPU3;LINK?", b"INPU3;INPU3"),
    (b"TSCO1:OPIN AND;OPIN?;OPOUt OR;OPOU?", b"AND;AND;OR;OR"),
    (b"TSCO1:OPIN ONLYFIR;OPIN ONLYSEC;OPIN MUTE;OPIN?", b"ONLYFIR;ONLYSEC;MUTE;MUTE"),
    # the subtree is kept: BEGI under WIND, EDGE under BEGI
    (b"TSCO1:WIND:ENAB ON;BEGI:DELA 0;EDGE RISING", b"ON;0TB;RISING"),
    (b"TSCO1:WIND:BEGI:LINK INPU1;DELA 100;EDGE FALLING;LINK?;DELA?;EDGE?", b"INPU1;100TB;FALLING;INPU1;100TB;FALLING"),
    (b"TSCO1:WINDow:END:LINK STAR;DELA 0.5NS;EDGE RISI;LINK?;DELA?;EDGE?", b"STAR;500TB;RISING;STAR;500TB;RISING"),
    (b"TSCO1:WIND:ENAB OFF;ENAB?", b"OFF;OFF"),
    (b"TSCO24:COUN?", b"0"),
    (b"TSCO3:COUN:MODE ACCUM;INTE 10;RESE;MODE?;INTE?", b"ACCUM;10;Counter value set to 0 ;ACCUM;10"),
    (b"TSCO1:OPIN XOR", b"TSCO1:OPIN XOR " + WRONG),
    (b"TSCO25:COUN?", b"TSCO25:COUN? " + INVALID),
    (b"TSGE3:ENAB ON;ENAB?", b"ON;ON"),
    (b"TSGE8:ENAB OFF;ENAB?", b"OFF;OFF"),
]

PLAYERS = [
    row
    for head in (b"REC", b"GENerator8")
    for row in (
        (head + b":ENAB OFF;ENAB?;ENAB ON", b"OFF;OFF;ON"),
        (head + b":PPER 1000;PPERiod?", b"1000TB;1000TB"),
        (head + b":PWID 500TB;PWIDth?", b"500TB;500TB"),
        (head + b":DUR 1MS;DURation?;PWID?", b"1000000000TB;1000000000TB;1000000000TB"),
        (head + b":PNUM 5;PNUM?;NUM?", b"5;5;5"),
        (head + b":NUM INF;NUM?;PNUM?;NUMBER?", b"INF;INF;INF;INF"),
        (head + b":TRIG:ARM:MODE MANU;MODE?", b"MANUAL;MANUAL"),
        (head + b":TRIGger:ARM:MODE AUTO;MODE?", b"AUTO;AUTO"),
        (head + b":TRIG:LINK INPU1;LINK?;DELA 200;DELA?", b"INPU1;INPU1;200TB;200TB"),
        (head + b":TRIG:LINK NONE", b"NONE"),
        (head + b":STAG?", b"IDLE"),
        (head + b":PLAY;STAGe?;STOP;STAG?", b"PLAY;PLAYING;STOP;IDLE"),
        (head + b":PLAY;ENAB OFF;STAG?;PLAY;STAG?", b"PLAY;OFF;IDLE;PLAY;IDLE"),
        (head + b":TRIG:LINK INPU1;:" + head + b":PLAY;STAG?", b"INPU1;PLAY;ARMED"),
        (head + b":NUM 0", head + b":NUM 0 " + WRONG),
        (head + b":PLAY?", head + b":PLAY? " + INVALID),
    )
]

HISTOGRAMS = [
    (b"HIST1:REF:LINK INPU1;LINK?", b"INPU1;INPU1"),
    (b"HISTogram4:INPOrt:STOP:LINK INPU2;LINK?", b"INPU2;INPU2"),
    (b"HIST2:FILT FALL;FILT ALL;FILT RISI;FILTer?", b"FALL;ALL;RISI;RISI"),
    (b"HIST2:ENAB:LINK?;LINK TSGE8;LINK REC", b"REC;TSGE8;REC"),
    (b"HIST2:MIN 1000;MINimum?", b"1000TB;1000TB"),
    (b"HIST2:BWID 200;BWIDth?", b"200TB;200TB"),
    (b"HIST2:BWID 99", b"HIST2:BWID 99 " + WRONG),  # LOWRES has 100 ps
    (b"DEVI:RES HIRES;:HIST2:BWID 1;BWID 0", b"HIRES;1TB;BWID 0 " + WRONG),
    (b"HIST2:BCOU 16384;BCOUnt?", b"16384;16384"),
    (b"HIST2:BCOU 16385", b"HIST2:BCOU 16385 " + WRONG),
    (b"HIST2:BCOU 4;DATA?", b"4;[0,0,0,0]"),
    (b"HIST2:FLUS", b"Flushed Histogram!"),
    (b"HIST5:DATA?", b"HIST5:DATA? " + INVALID),
]

RAW = [
    (b"RAW1:REF:LINK?;:RAW1:STOP:LINK?", b"NONE;INPU1"),
    (b"RAW2:REF:LINK INPU1;LINK NONE;LINK?", b"INPU1;NONE;NONE"),
    (b"RAW2:STOP:LINK TSCO2;LINK?", b"TSCO2;TSCO2"),
    (b"RAW4:SEND?;SEND ON;SEND?;SEND OFF;SEND?", b"OFF;ON;ON;OFF;OFF"),
    (b"RAW1:NUME?;DENO?", b"1;1"),
    (b"RAW1:NUMErator?;DENOminator?", b"1;1"),
    (b"RAW1:ERRORS?", b"0"),
    (b"RAW1:ERRORS:CLEAR", b"Cleared errors"),
    (b"RAW5:SEND ON", b"RAW5:SEND ON " + INVALID),
]

DEVICE = [
    (b"DEVI:RES HIRES;RES?", b"HIRES;HIRES"),
    (b"DEVIce:RESolution LOWRES;RES?", b"LOWRES;LOWRES"),
    (b"DEVI:RES:BWID?", b"100TB"),
    (b"DEVI:RES HIRES;RES:BWID?", b"HIRES;1TB"),
    (b"DEVI:SYNC EXT;SYNC?", b"EXTERNAL;EXTERNAL"),
    (b"DEVI:SYNC INTERNAL;SYNC?", b"INTERNAL;INTERNAL"),
    (b"DEVI:SAMP:RECA", b"Calibration done"),
    (b"DEVI:LEDS OFF;LEDS?;LEDS ON", b"OFF;OFF;ON"),
    (b"DEVI:CONF:LOAD INIT", b"INIT"),
    (b"DEVI:CONF:LOAD HISTO", b"HISTO"),
    (b"DEVI:CONFiguration:LOAD BLANK;:DELA1:LINK?;:TSCO1:FIR:LINK?", b"BLANK;NONE;NONE"),
    (b"INPU1:THRE 1;:DEVI:CONF:LOAD INIT;:INPU1:THRE?", b"0.999424V;INIT;0.499712V"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO6:FIR:LINK?;:TSCO6:SEC:LINK?;:TSCO6:OPIN?", b"COUNT;INPU1;INPU2;AND"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO7:FIR:LINK?;:TSCO7:SEC:LINK?", b"COUNT;INPU1;INPU3"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO8:FIR:LINK?;:TSCO8:SEC:LINK?", b"COUNT;INPU1;INPU4"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO3:FIR:LINK?;:TSCO3:SEC:LINK?", b"COUNT;INPU2;INPU3"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO4:FIR:LINK?;:TSCO4:SEC:LINK?", b"COUNT;INPU2;INPU4"),
    (b"DEVI:CONF:LOAD COUNT;:TSCO5:FIR:LINK?;:TSCO5:SEC:LINK?", b"COUNT;INPU3;INPU4"),
    (b"DEVI:CONF:LOAD OTHER", b"DEVI:CONF:LOAD OTHER " + WRONG),
    (b"DEVI:RES MIDRES", b"DEVI:RES MIDRES " + WRONG),
]

GRAMMAR = [
    (b"input3:enab?;:InPu:Enable?;:inpu2:enable?", b"ON;ON;ON"),
    (b"STARt:ENAB?;:star:ENAB?;:Start:Enable?", b"OFF;OFF;OFF"),
    (b"RECord:NUM?;:rec:number?;:GEN1:PNUM?;:gen:pnumber?;:Generator:PNUM?", b"1;1;1;1;1"),
    (b"", INVALID),  # a REQ client would wait for ever
    (b" ; ; ", INVALID),
    (b"FOO", b"FOO " + INVALID),
    (b"FOO:BAR? 1", b"FOO:BAR? 1 " + INVALID),
    (b"INPU5:ENAB ON", b"INPU5:ENAB ON " + INVALID),
    (b"INPU0:ENAB?", b"INPU0:ENAB? " + INVALID),
    (b"INPU1", b"INPU1 " + INVALID),
    (b"INPU1:ENAB?;FOO?;:INPU2:ENAB?", b"ON;FOO? " + INVALID),  # an error ends the line
    (b"INPU1:ENAB?;INPU2:ENAB?", b"ON;INPU2:ENAB? " + INVALID),  # no way back to the root without a colon
    (b"INPU1:ENAB?;:INPU2:ENAB?\nCOUP?", b"ON;ON;DC"),
    (b":inpu1:enab?", b"ON"),
    (b"INPU1:ENAB? ", b"ON"),
    (b"INPU1:COUN:INTE 1000x", b"INPU1:COUN:INTE 1000x " + WRONG),
    (b"INPU1:DELA 1e999", b"INPU1:DELA 1e999 " + WRONG),
    (b"\xff\xfe", "\ufffd\ufffd ".encode() + INVALID),
]

ROWS = [*STATES, *INPUTS, *ONLY_INPUTS, *DELAYS, *COINCIDENCES, *PLAYERS, *HISTOGRAMS, *RAW, *DEVICE, *GRAMMAR]


@pytest.fixture
def tagger(table: FakeBench) -> ID900Twin:
    return ID900Twin.build("tagger", table, {})


@pytest.fixture
def ask(host: TwinHost, tagger: ID900Twin, dial: Dial) -> Ask:
    client = dial(host.mount_zmq(tagger).addresses["scpi"])

    def ask(*frames: bytes) -> list[bytes]:
        replies = []
        for frame in frames:
            client.send(frame)
            replies.append(client.recv())
        return replies

    return ask


@pytest.mark.parametrize(("sent", "expected"), ROWS)
def test_each_command_of_the_sheet_gets_its_reply(ask: Ask, sent: bytes, expected: bytes) -> None:
    assert ask(sent) == [expected]


def test_the_states_fit_the_slices_of_a_working_driver(ask: Ask) -> None:
    states = ask(b"INPUT1:STATE?", b"DELAY1:STATE?", b"DEVICE:STATE?", STATES[-1][0])
    enab, coup, edge, thre, sele, resy, time, mode = states[0].split(b";")
    assert (enab, coup[5:], edge[5:], thre[5:]) == (b"ENAB ON", b"DC", b"RISING", b"0.499712V")
    assert (sele[5:], resy[5:], int(time[30:]), mode[5:]) == (b"UNSHAPED", b"AUTO", 1000, b"CYCLE")
    value, link, _ = states[1].split(b";")
    assert (value[12:], link[10:]) == (b"0TB", b"INPU1")
    sync, resolution = states[2].split(b";")
    assert (sync[12:], resolution[4:]) == (b"INTERNAL", b"LOWRES")
    stop, ref, enab, low, width, count, _ = states[3].split(b";")[2:]
    assert (stop[23:], ref[23:], enab[24:]) == (b"TSCO6", b"TSCO5", b"REC")
    assert (low[11:], width[5:], count[7:]) == (b"0TB", b"100TB", b"1000")


def test_a_counter_shows_the_last_whole_period(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in2=range(0, 4000 * MS, 10 * MS))
    ask(b"INPU2:COUN:INTE 1000")
    table.clock.sleep(0.999)
    assert ask(b"INPU2:COUN?") == [b"0"]  # the first has not ended
    table.clock.sleep(0.5)
    assert ask(b"INPU2:COUN?", b"INPU1:COUN?", b"TSCO2:COUN?") == [b"100", b"0", b"100"]
    assert ask(b"INPU2:COUN:RESE", b"INPU2:COUN?") == [b"Counter value set to 0 ", b"0"]
    ask(b"INPU2:COUN:INTE 200;MODE ACCUM")
    table.clock.sleep(0.25)
    assert ask(b"INPU2:COUN?") == [b"25"]  # all since the reset
    assert ask(b"INPU2:COUN:MODE CYCLE", b"INPU2:COUN?") == [b"CYCLE", b"20"]


def test_only_what_crosses_the_threshold_of_an_input_that_is_on_is_counted(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in1=range(0, 1000 * MS, 10 * MS))
    ask(b"INPU1:COUN:MODE ACCUM")
    table.clock.sleep(0.2)
    ask(b"INPU1:THRE 2V")  # pulses have 1.5 V
    table.clock.sleep(0.2)
    ask(b"INPU1:THRE 0.5V;ENAB OFF")
    table.clock.sleep(0.2)
    ask(b"INPU1:ENAB ON")
    table.clock.sleep(0.1)
    assert ask(b"INPU1:COUN?") == [b"30"]


def test_the_count_preset_counts_coincidences(ask: Ask, table: FakeBench) -> None:
    # inputs 1 and 2 every 10 ms together, input 3 with every second of them, input 4 alone
    table.feed.put(
        in1=range(0, 1000 * MS, 10 * MS),
        in2=range(100, 1000 * MS, 10 * MS),
        in3=range(200, 1000 * MS, 20 * MS),
        in4=range(5 * MS, 1000 * MS, 10 * MS),
    )
    ask(b"DEVI:CONF:LOAD COUNT")
    table.clock.sleep(1.0)
    counts = {n: ask(b"TSCO%d:COUN?" % n)[0] for n in (6, 7, 8, 3, 4, 5)}
    # a block that combines by AND passes both pulses of a coincidence
    assert {n: int(count) > 0 for n, count in counts.items()} == {
        6: True,
        7: True,
        8: False,
        3: True,
        4: False,
        5: False,
    }
    assert int(counts[6]) == 2 * int(counts[7])


def test_a_histogram_counts_delays_in_the_record_window(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in1=range(0, 100 * MS, MS), in2=range(512, 100 * MS, MS))
    ask(b"HIST1:REF:LINK INPU1;:HIST1:STOP:LINK INPU2", b"HIST1:BCOU 8;BWID 100", b"REC:DUR 10MS;NUM 1;PLAY")
    assert ask(b"REC:STAG?") == [b"PLAYING"]
    table.clock.sleep(0.05)
    assert ask(b"REC:STAG?", b"HIST1:DATA?") == [b"IDLE", b"[0,0,0,0,0,10,0,0]"]
    assert ask(b"HIST1:MIN 400TB;DATA?") == [b"400TB;[0,10,0,0,0,0,0,0]"]
    assert ask(b"HIST1:FLUS;DATA?") == [b"Flushed Histogram!;[0,0,0,0,0,0,0,0]"]
    ask(b"DELA2:LINK INPU2;VALU 200", b"HIST1:STOP:LINK DELA2", b"HIST1:MIN 0", b"REC:PLAY")
    table.clock.sleep(0.01)
    assert ask(b"HIST1:DATA?") == [b"[0,0,0,0,0,0,0,10]"]


def test_the_same_link_twice_is_an_autocorrelation(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in1=range(0, 6000, 300))
    ask(b"HIST1:REF:LINK INPU1;:HIST1:STOP:LINK INPU1", b"HIST1:BCOU 8", b"REC:DUR 3NS;NUM 1;PLAY")
    table.clock.sleep(0.001)
    # ten pulses 300 ps apart: nine pairs at 300 ps, eight at 600 ps, none at 0
    assert ask(b"HIST1:DATA?") == [b"[0,0,0,9,0,0,8,0]"]


def test_a_generator_is_a_source_of_events(ask: Ask, table: FakeBench) -> None:
    ask(b"GEN1:PPER 1MS;PWID 20NS;PNUM 5;PLAY", b"TSCO1:FIR:LINK GEN1", b"TSCO1:COUN:MODE ACCUM")
    assert ask(b"GEN1:STAG?") == [b"PLAYING"]
    table.clock.sleep(0.1)
    assert ask(b"GEN1:STAG?", b"TSCO1:COUN?") == [b"IDLE", b"5"]
    ask(b"GEN1:PNUM INF;PLAY", b"TSCO1:COUN:RESE")
    table.clock.sleep(0.1)
    assert ask(b"GEN1:STAG?", b"TSCO1:COUN?", b"GEN1:STOP;STAG?") == [b"PLAYING", b"100", b"STOP;IDLE"]


def test_a_trigger_starts_the_record_and_its_delay_lets_it_wait(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in5=[20 * MS], in1=range(0, 100 * MS, MS))
    ask(b"START:ENAB ON", b"REC:TRIG:LINK STAR;DELA 10MS", b"REC:DUR 10MS;NUM 1;PLAY")
    assert ask(b"REC:STAG?") == [b"ARMED"]
    table.clock.sleep(0.025)
    assert ask(b"REC:STAG?") == [b"WAITING"]
    table.clock.sleep(0.01)
    assert ask(b"REC:STAG?") == [b"PLAYING"]
    table.clock.sleep(0.01)
    assert ask(b"REC:STAG?") == [b"IDLE"]


def test_high_resolution_needs_a_calibration_after_the_warm_up(ask: Ask, tagger: ID900Twin) -> None:
    tagger.device_fault("warm_up")
    assert ask(b"INPU1:HIRE:ERRO?", b"INPU4:HIRE:ERRO?") == [b"1", b"1"]
    assert ask(b"INPU1:HIRE:ERRO:CLEA", b"INPU1:HIRE:ERRO?") == [b"Cleared Highres errors", b"0"]
    tagger.device_fault("calibration")
    assert b"failed" in ask(b"DEVI:SAMP:RECA")[0]
    assert ask(b"INPU4:HIRE:ERRO?") == [b"1"]
    tagger.device_fault("calibration", active=False)
    assert ask(b"DEVI:SAMP:RECA", b"INPU4:HIRE:ERRO?") == [b"Calibration done", b"0"]


def test_a_rate_above_the_limit_shows_as_an_error_and_as_lost_tags(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in1=range(0, 1000 * MS, 10 * MS))
    table.feed.gaps = (Gap(300 * MS, 310 * MS, missed=42),)
    ask(b"INPU3:ENAB OFF")
    table.clock.sleep(1.0)
    ask(b"INPU1:COUN?")
    assert ask(b"INPU1:HIRE:ERRO?", b"INPU3:HIRE:ERRO?", b"RAW1:ERRORS?") == [b"1001", b"0", b"42"]
    ask(b"INPU1:HIRE:ERRO:CLEA", b"RAW1:ERRORS:CLEAR")
    assert ask(b"INPU1:HIRE:ERRO?", b"RAW1:ERRORS?", b"RAW2:ERRORS?") == [b"0", b"0", b"42"]


def test_without_an_external_clock_the_internal_one_goes_on(ask: Ask, tagger: ID900Twin) -> None:
    tagger.device_fault("no_external_clock")
    assert ask(b"DEVI:SYNC EXT", b"DEVI:SYNC?") == [b"No external clock", b"INTERNAL"]


def test_a_bad_link_inside_the_instrument_is_said_in_every_reply(ask: Ask, tagger: ID900Twin) -> None:
    tagger.device_fault("no_connection")
    assert all(b"No connection" in reply for reply in ask(b"*IDN?", b"INPU1:ENAB ON", b"FOO"))
    tagger.device_fault("no_connection", active=False)
    assert ask(b"INPU1:ENAB?") == [b"ON"]
    with pytest.raises(TwinError, match="warm_up"):
        tagger.device_fault("no such thing")


def test_a_power_cycle_forgets_the_settings(host: TwinHost, tagger: ID900Twin, dial: Dial) -> None:
    mount = host.mount_zmq(tagger)
    client = dial(mount.addresses["scpi"])
    client.send(b"INPU1:THRE 1;:DEVI:RES HIRES;:REC:PLAY")
    client.recv()
    mount.power_cycle()
    client.send(b"INPU1:THRE?;:DEVI:RES?;:REC:STAG?")
    assert client.recv() == b"0.499712V;LOWRES;IDLE"


def test_clients_share_the_instrument_and_get_their_own_replies(host: TwinHost, tagger: ID900Twin, dial: Dial) -> None:
    address = host.mount_zmq(tagger).addresses["scpi"]
    clients = [dial(address) for _ in range(5)]
    for n, client in enumerate(clients):
        client.send(b"DELA%d:VALU %d" % (n + 1, 100 * n))
    assert [client.recv() for client in clients] == [b"%dTB" % (100 * n) for n in range(5)]
    for client in clients:
        client.send(b"DELA5:VALU?")
    assert [client.recv() for client in clients] == [b"400TB"] * 5


def test_a_request_in_several_parts_is_one_request(host: TwinHost, tagger: ID900Twin, dial: Dial) -> None:
    client = dial(host.mount_zmq(tagger).addresses["scpi"], zmq.DEALER)
    client.send_multipart([b"", b"INPU1:TH", b"RE?;:DEVI", b":RES?"])
    client.send_multipart([b"", b"DELA1:LINK?"])  # the next one, before the reply
    assert client.recv_multipart() == [b"", b"0.499712V;LOWRES"]
    assert client.recv_multipart() == [b"", b"INPU1"]


COMMANDS = [
    sent
    for sent, expected in [*INPUTS[::3], *DELAYS, *COINCIDENCES, *PLAYERS[::2], *HISTOGRAMS, *RAW, *DEVICE]
    if b"SCPI_ERR" not in expected
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(cuts=st.lists(st.integers(0, len(COMMANDS)), max_size=20))
def test_any_grouping_of_commands_into_frames_gives_the_same_replies(
    make_bench: Callable[[], FakeBench], cuts: list[int]
) -> None:
    edges = [0, *sorted(set(cuts) - {0, len(COMMANDS)}), len(COMMANDS)]
    frames = [b";:".join(COMMANDS[a:b]) for a, b in itertools.pairwise(edges)]
    wire = ID900Twin.build("tagger", make_bench(), {}).connect()
    single = ID900Twin.build("tagger", make_bench(), {}).connect()
    assert b";".join(map(wire.receive, frames)) == b";".join(map(single.receive, COMMANDS))


def test_any_order_of_clients_gives_the_same_replies(
    host: TwinHost, tagger: ID900Twin, dial: Dial, make_bench: Callable[[], FakeBench]
) -> None:
    address = host.mount_zmq(tagger).addresses["scpi"]
    clients = [dial(address) for _ in range(3)]
    single = ID900Twin.build("tagger", make_bench(), {}).connect()
    for n, command in enumerate(COMMANDS):
        client = clients[n * 7 % 3]
        client.send(command)
        assert client.recv() == single.receive(command)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=60) | st.text("INPUSTARDELVGCO:;?0123456789. ", max_size=80).map(str.encode))
def test_random_frames_are_always_answered(make_bench: Callable[[], FakeBench], noise: bytes) -> None:
    wire = ID900Twin.build("tagger", make_bench(), {}).connect()
    assert wire.receive(noise)
    assert wire.receive(b"DEVI:STAT?").startswith(b"DEVICE:SYNC")


def test_its_input_rate_is_10_mhz() -> None:
    from sim_devices.taggers.idquantique_id900 import Parameters

    assert Parameters().max_rate_hz == 10e6
