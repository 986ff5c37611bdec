"""Facts of protocol sheet 10 one by one, beside the commands: windows and their logic, bins, presets, short names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim_devices.taggers.idquantique_id900 import ID900Twin

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Dial, FakeBench

    from qlab.twin.host import TwinHost

    Ask = Callable[..., list[bytes]]

WRONG = b"SCPI_ERR_PARAM_TYPE"
MS = 1_000_000_000


@pytest.fixture
def tagger(table: FakeBench) -> ID900Twin:
    return ID900Twin.build("tagger", table, {"resolution_ps": 13})


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


@pytest.mark.parametrize(
    ("inside", "outside", "counted"),
    [
        # in each period of 10 ms, open for its first 5: input 1 at 1 and 7, input 2 at 2, 3, 6 and 9, both at 4 and at 8
        (b"ONLYFIR", b"MUTE", 2),
        (b"ONLYSEC", b"MUTE", 3),
        (b"OR", b"MUTE", 4),
        (b"AND", b"MUTE", 1),
        (b"MUTE", b"MUTE", 0),
        (b"MUTE", b"ONLYFIR", 2),
        (b"MUTE", b"ONLYSEC", 3),
        (b"MUTE", b"OR", 4),
        (b"ONLYFIR", b"ONLYSEC", 5),
        (b"AND", b"AND", 2),
    ],
)
def test_a_window_chooses_how_two_links_are_combined(
    ask: Ask, table: FakeBench, inside: bytes, outside: bytes, counted: int
) -> None:
    periods = range(0, 1000 * MS, 10 * MS)
    table.feed.put(
        in1=[t + ms * MS for t in periods for ms in (1, 4, 7, 8)],
        in2=[t + ms * MS for t in periods for ms in (2, 3, 4, 6, 8, 9)],
        in5=list(periods),
    )
    ask(b"START:ENAB ON", b"TSCO1:FIR:LINK INPU1", b"TSCO1:SEC:LINK INPU2")
    ask(b"TSCO1:WIND:BEGI:LINK STAR;DELA 0", b"TSCO1:WIND:END:LINK STAR;DELA 5MS", b"TSCO1:WIND:ENAB ON")
    ask(b"TSCO1:OPIN " + inside, b"TSCO1:OPOU " + outside, b"TSCO1:COUN:INTE 100")
    table.clock.sleep(0.45)
    assert ask(b"TSCO1:COUN?") == [b"%d" % (10 * counted)]


@pytest.mark.parametrize(("how", "counted"), [(b"AND", 1), (b"OR", 4), (b"ONLYFIR", 2), (b"ONLYSEC", 3), (b"MUTE", 0)])
def test_without_a_window_the_inner_combination_counts(ask: Ask, table: FakeBench, how: bytes, counted: int) -> None:
    table.feed.put(
        in1=[n * MS for n in range(300) if n % 10 in (1, 4)], in2=[n * MS for n in range(300) if n % 10 in (3, 4, 6)]
    )
    ask(b"TSCO1:FIR:LINK INPU1", b"TSCO1:SEC:LINK INPU2", b"TSCO1:OPIN " + how, b"TSCO1:COUN:INTE 100")
    table.clock.sleep(0.25)
    assert ask(b"TSCO1:COUN?") == [b"%d" % (10 * counted)]


def test_a_bin_has_100_ps_or_those_of_the_high_resolution(ask: Ask) -> None:
    assert ask(b"DEVI:RES LOWRES;RES:BWID?") == [b"LOWRES;100TB"]
    assert ask(b"HIST1:BWID 100", b"HIST1:BWID 99") == [b"100TB", b"HIST1:BWID 99 " + WRONG]
    assert ask(b"DEVI:RES HIRES;RES:BWID?") == [b"HIRES;13TB"]
    assert ask(b"HIST1:BWID 13", b"HIST1:BWID 12") == [b"13TB", b"HIST1:BWID 12 " + WRONG]


@pytest.mark.parametrize("bins", [b"1", b"16384"])
def test_a_histogram_has_up_to_16384_bins(ask: Ask, bins: bytes) -> None:
    assert ask(b"HIST1:BCOU " + bins) == [bins]
    assert ask(b"HIST1:DATA?")[0].count(b"0") == int(bins)
    assert ask(b"HIST1:BCOU 0", b"HIST1:BCOU 16385")[1].endswith(WRONG)


@pytest.mark.parametrize("head", [b"DELA1:VALU", b"INPU2:DELA", b"START:DELA"])
def test_a_delay_is_0_to_1_s(ask: Ask, head: bytes) -> None:
    assert ask(head + b" 0", head + b" 1000000000000") == [b"0TB", b"1000000000000TB"]
    assert all(reply.endswith(WRONG) for reply in ask(head + b" -1", head + b" 1000000000001"))


@pytest.mark.parametrize(
    ("volts", "reads"),
    [(b"0.5", b"0.499712V"), (b"0.5V", b"0.499712V"), (b"500mV", b"0.499712V"), (b"1", b"0.999424V")],
)
def test_a_threshold_has_steps_of_1_024_mv(ask: Ask, volts: bytes, reads: bytes) -> None:
    assert ask(b"INPU3:THRE " + volts, b"INPU3:THRE?") == [reads, reads]


@pytest.mark.parametrize(
    ("said", "ps"),
    [(b"2500", b"2500"), (b"2500TB", b"2500"), (b"2500tb", b"2500"), (b"0.0025GTB", b"2500000"), (b"2500.0", b"2500")],
)
def test_a_time_is_in_units_of_1_ps(ask: Ask, said: bytes, ps: bytes) -> None:
    assert ask(b"DELA1:VALU " + said, b"DELA1:VALU?") == [ps + b"TB", ps + b"TB"]


def test_the_count_preset_has_triples_and_a_quadruple(ask: Ask, table: FakeBench) -> None:
    table.feed.put(
        in1=range(MS, 300 * MS, 10 * MS),
        in2=range(MS, 300 * MS, 10 * MS),
        in3=range(MS, 300 * MS, 20 * MS),
        in4=range(MS, 300 * MS, 40 * MS),
    )
    ask(b"DEVI:CONF:LOAD COUNT", *(b"TSCO%d:COUN:INTE 80" % n for n in (13, 14, 15, 16, 24)))
    table.clock.sleep(0.25)
    assert ask(*(b"TSCO%d:COUN?" % n for n in (13, 14, 15, 16, 24))) == [b"4", b"2", b"2", b"2", b"2"]


@pytest.mark.parametrize(
    ("long", "short"),
    [
        (b"INPUT1:ENABLE?", b"INPU1:ENAB?"),
        (b"DELAY5:VALUE?", b"DELA5:VALU?"),
        (b"TSCO6:FIRST:LINK?", b"TSCO6:FIR:LINK?"),
        (b"HISTOGRAM1:MINIMUM?", b"HIST1:MIN?"),
        (b"GENERATOR1:PPERIOD?", b"GEN1:PPER?"),
        (b"START:ENABLE?", b"STAR:ENAB?"),
        (b"RECORD:STAGE?", b"REC:STAG?"),
        (b"RAW1:NUMERATOR?", b"RAW1:NUME?"),
        (b"TSGE1:ENABLE?", b"TSGE:ENAB?"),
        (b"DEVICE:RESOLUTION?", b"DEVI:RES?"),
    ],
)
def test_a_short_name_and_any_case_mean_the_same(ask: Ask, long: bytes, short: bytes) -> None:
    full, brief, lower = ask(long, short, short.lower())
    assert full == brief == lower
    assert b"ERR" not in full


def test_gen_and_rec_have_the_same_nodes_and_their_states(ask: Ask, table: FakeBench) -> None:
    table.feed.put(in1=[20 * MS])
    ask(b"GEN3:TRIG:LINK INPU1;DELA 10MS", b"GEN3:PPER 1MS;PWID 1MS;PNUM 20")
    assert ask(b"GEN3:STAG?", b"GEN3:PLAY", b"GEN3:STAG?") == [b"IDLE", b"PLAY", b"ARMED"]
    table.clock.sleep(0.025)
    assert ask(b"GEN3:STAG?") == [b"WAITING"]
    table.clock.sleep(0.01)
    assert ask(b"GEN3:STAG?", b"GEN3:STOP", b"GEN3:STAG?") == [b"PLAYING", b"STOP", b"IDLE"]


def test_an_automatic_player_arms_itself_again(ask: Ask, table: FakeBench) -> None:
    ask(b"REC:DUR 10MS;NUM 1", b"REC:TRIG:ARM:MODE AUTO", b"REC:PLAY")
    table.clock.sleep(0.5)
    assert ask(b"REC:STAG?", b"REC:TRIG:ARM:MODE MANUAL;:REC:STOP;STAG?") == [b"PLAYING", b"MANUAL;STOP;IDLE"]
