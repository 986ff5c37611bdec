"""Twin of the ID Quantique ID900 time controller.  Written from protocol sheet 10.

SCPI text in ZeroMQ frames; every command is answered.  The tag download service is a port of its own
(`sim_devices.taggers.id900_datalink`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from sim_devices.taggers.id900_datalink import DataLinkTwin
from sim_devices.taggers.id900_grammar import TIME_UNITS_PS, VOLT_UNITS, ID900Error, Node, Table, choice, number, switch
from sim_devices.taggers.id900_players import FOREVER, Player
from sim_devices.taggers.id900_signals import Signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin
    from sim_devices.taggers.id900_signals import InputBlock, TscoBlock

__all__ = ["ID900Twin"]

DAC_STEP_V = 1.024e-3  # [V2] 0.5 V reads 0.499712 V
INTEGRATION_UNIT_PS = PS_PER_S // 1000  # the doubt of the sheet: ms in three drivers, ns in newer vendor scripts
RESET_REPLY = "Counter value set to 0 "  # [V2] with the trailing blank
MOST_BINS = 16384
INPUTS, BLOCKS = range(1, 5), range(1, 9)


class Parameters(BaseModel):
    """The `twin:` section."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "2020A0001"
    firmware: str = "2.1.0"
    pulse_height_v: float = Field(1.5, gt=0, description="of the detectors' pulses at the inputs")
    resolution_ps: int = Field(1, ge=1, description="HIRES bin; LOWRES has 100 ps")
    dead_time_ps: int = Field(8000, ge=0)
    max_rate_hz: float = Field(10e6, gt=0, description="[V2] over all inputs to the host")


class Counter:
    """A counter of one link: counts of the last whole period (CYCLE), or since the reset (ACCUM)."""

    def __init__(self, now_ps: int) -> None:
        self.mode = "CYCLE"
        self.period_ms = 1000
        self.since_ps = now_ps

    def interval(self, now_ps: int) -> tuple[int, int]:
        """Return what is counted when it is read now."""
        if self.mode == "ACCUM":
            return self.since_ps, now_ps
        period = self.period_ms * INTEGRATION_UNIT_PS
        stop = self.since_ps + (now_ps - self.since_ps) // period * period
        return max(stop - period, self.since_ps), stop


class Histogram:
    """A start-stop histogram."""

    def __init__(self, now_ps: int) -> None:
        self.ref, self.stop, self.enable, self.filter = "STAR", "INPU1", "REC", "RISI"
        self.min_ps, self.width_ps, self.bins = 0, 100, 1000
        self.since_ps = now_ps


class ID900Twin:
    """The time controller."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "zmq"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self.clock = bench.clock
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self.datalink = DataLinkTwin(self, bench)
        self.reset_power()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> ID900Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def ports(self) -> Mapping[str, Twin]:
        """Return the instrument's own port and that of its download service."""
        return {"scpi": ScpiPort(self), "datalink": self.datalink}

    def connect(self) -> FrameConversation:
        """Begin a conversation with one client."""
        return FrameConversation(self.execute)

    def reset_power(self) -> None:
        """Return to the power-on state."""
        now = self.clock.now_ps()
        self.signals = Signals(self._bench.tag_feed(self._name), now, self._parameters.pulse_height_v)
        self._counters = {
            link: Counter(now) for link in (*self.signals.inputs, *self.signals.tscos, *self.signals.delays)
        }
        self._histograms = {n: Histogram(now) for n in range(1, 5)}
        self._sync, self._resolution = "INTERNAL", "LOWRES"
        self._table = Table(self._rows())

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"record": self.record.stage(self.clock.now_ps()), "resolution": self._resolution}

    @property
    def record(self) -> Player:
        """The record window."""
        return self.signals.players["REC"]

    def execute(self, text: str) -> str:
        """Carry out one request frame."""
        if text.strip().upper() == "*IDN?":
            return f"IDQuantique,ID900,{self._parameters.serial},{self._parameters.firmware}"  # [INF] the wording
        now = self.clock.now_ps()
        for player in self.signals.players.values():
            player.advance(now, self.signals.events)
        return self._table.execute(text)

    def _rows(self) -> list[Node]:
        return [
            *self._connector_rows("INPUt#", INPUTS, lambda n: f"INPU{n}"),
            *self._connector_rows("STARt", range(1, 2), lambda _: "STAR"),
            *self._delay_rows(),
            *self._tsco_rows(),
            *self._player_rows("RECord", range(1, 2), lambda _: "REC"),
            *self._player_rows("GENerator#", BLOCKS, lambda n: f"GEN{n}"),
            *self._histogram_rows(),
            Node("TSGE#:ENABle", None, lambda _, v: "ON" if switch(v) else "OFF", BLOCKS),
            Node("RAW#:SEND", None, lambda _, v: "ON" if switch(v) else "OFF", range(1, 5)),
            Node("DEVIce:RESolution", lambda _: self._resolution, self._set_resolution),
            Node("DEVIce:RESolution:BWIDth", lambda _: f"{self.signals.resolution_ps}TB"),
            Node("DEVIce:SYNC", lambda _: self._sync, self._set_sync),
            Node("DEVIce:CONFiguration:LOAD", None, self._load),
            Node("DEVIce:SAMPling:RECAlibrate", None, lambda _, __: "Calibration done"),
            Node("DEVIce:STATe", lambda _: f"DEVICE:SYNC {self._sync};RES {self._resolution}"),
        ]

    def _connector_rows(self, head: str, numbers: range, link: Callable[[int], str]) -> list[Node]:
        def block(n: int) -> InputBlock:
            return self.signals.inputs[link(n)]

        def enable(n: int, value: str) -> str:
            block(n).enabled = switch(value)
            self.signals.refresh_gates(self.clock.now_ps())
            return "ON" if block(n).enabled else "OFF"

        def threshold(n: int, value: str) -> str:
            volts = number(value, -2.0, 2.0, VOLT_UNITS)
            block(n).threshold_v = round(volts / DAC_STEP_V) * DAC_STEP_V
            self.signals.refresh_gates(self.clock.now_ps())
            return f"{block(n).threshold_v:.6f}V"

        def delay(n: int, value: str) -> str:
            block(n).delay_ps = round(number(value, 0, 1e12, TIME_UNITS_PS))
            return f"{block(n).delay_ps}TB"

        def word(attribute: str, words: tuple[str, ...]) -> Callable[[int, str], str]:
            def store(n: int, value: str) -> str:
                setattr(block(n), attribute, choice(value, words))
                return str(getattr(block(n), attribute))

            return store

        return [
            Node(f"{head}:ENABle", lambda n: "ON" if block(n).enabled else "OFF", enable, numbers),
            Node(f"{head}:COUPling", lambda n: block(n).coupling, word("coupling", ("AC", "DC")), numbers),
            Node(f"{head}:EDGE", lambda n: block(n).edge, word("edge", ("RISING", "FALLING")), numbers),
            Node(f"{head}:THREshold", lambda n: f"{block(n).threshold_v:.6f}V", threshold, numbers),
            Node(
                f"{head}:SELEct",
                lambda n: block(n).select,
                word("select", ("UNSHAPED", "SHAPED", "LOOP", "OUTPUT")),
                numbers,
            ),
            Node(f"{head}:RESYncpolicy", lambda n: block(n).resync, word("resync", ("AUTO", "MANUAL")), numbers),
            Node(f"{head}:DELAy", lambda n: f"{block(n).delay_ps}TB", delay, numbers),
            Node(f"{head}:HIREs:ERROr", lambda _: "0", None, numbers),
            Node(f"{head}:HIREs:ERROr:CLEAr", None, lambda _, __: "Cleared Highres errors", numbers),
            Node(f"{head}:STATe", lambda n: self._connector_state(link(n)), None, numbers),
            *self._counter_rows(head, numbers, link),
        ]

    def _counter_rows(self, head: str, numbers: range, link: Callable[[int], str]) -> list[Node]:
        def counter(n: int) -> Counter:
            return self._counters[link(n)]

        def count(n: int) -> str:
            return str(self.signals.events(link(n), *counter(n).interval(self.clock.now_ps())).size)

        def mode(n: int, value: str) -> str:
            counter(n).mode = choice(value, ("ACCUM", "CYCLE"))
            return counter(n).mode

        def integration(n: int, value: str) -> str:
            counter(n).period_ms = round(number(value, 1, 65535))
            counter(n).since_ps = self.clock.now_ps()
            return str(counter(n).period_ms)

        def reset(n: int, _: str) -> str:
            counter(n).since_ps = self.clock.now_ps()
            return RESET_REPLY

        return [
            Node(f"{head}:COUNter", count, None, numbers),
            Node(f"{head}:COUNter:MODE", lambda n: counter(n).mode, mode, numbers),
            Node(f"{head}:COUNter:INTEgrationtime", lambda n: str(counter(n).period_ms), integration, numbers),
            Node(f"{head}:COUNter:RESEt", None, reset, numbers),
        ]

    def _delay_rows(self) -> list[Node]:
        def value(n: int, text: str) -> str:
            self.signals.delays[f"DELA{n}"].value_ps = round(number(text, 0, 1e12, TIME_UNITS_PS))
            return f"{self.signals.delays[f'DELA{n}'].value_ps}TB"

        def link(n: int, text: str) -> str:
            self.signals.delays[f"DELA{n}"].link = self._link(text)
            return self.signals.delays[f"DELA{n}"].link

        def state(n: int) -> str:
            block = self.signals.delays[f"DELA{n}"]
            return f":DELA{n}:VALU {block.value_ps}TB;INPO:LINK {block.link};"

        return [
            Node("DELAy#:VALUe", lambda n: f"{self.signals.delays[f'DELA{n}'].value_ps}TB", value, BLOCKS),
            Node("DELAy#:[INPOrt:]LINK", lambda n: self.signals.delays[f"DELA{n}"].link, link, BLOCKS),
            Node("DELAy#:STATe", state, None, BLOCKS),
        ]

    def _tsco_rows(self) -> list[Node]:
        numbers = range(1, 25)
        words = ("AND", "OR", "ONLYFIR", "ONLYSEC", "MUTE")

        def attribute(path: str, read: Callable[[str], object]) -> Callable[[int, str], str]:
            def store(n: int, text: str) -> str:
                target: object = self.signals.tscos[f"TSCO{n}"]
                *parents, leaf = path.split(".")
                for parent in parents:
                    target = getattr(target, parent)
                value = read(text)
                setattr(target, leaf, value)
                return "ON" if value is True else "OFF" if value is False else str(value)

            return store

        def block(n: int) -> TscoBlock:
            return self.signals.tscos[f"TSCO{n}"]

        def word(text: str) -> str:
            return choice(text, words)

        rows = [
            Node("TSCO#:FIRst:LINK", lambda n: block(n).first, attribute("first", self._link), numbers),
            Node("TSCO#:SECond:LINK", lambda n: block(n).second, attribute("second", self._link), numbers),
            Node("TSCO#:OPIN", lambda n: block(n).inside, attribute("inside", word), numbers),
            Node("TSCO#:OPOUt", lambda n: block(n).outside, attribute("outside", word), numbers),
            Node(
                "TSCO#:WINDow:ENABle",
                lambda n: "ON" if block(n).window else "OFF",
                attribute("window", switch),
                numbers,
            ),
        ]
        for node, name in (("BEGIn", "begin"), ("END", "end")):
            head = f"TSCO#:WINDow:{node}"
            rows += [
                Node(f"{head}:LINK", None, attribute(f"{name}.link", self._link), numbers),
                Node(f"{head}:DELAy", None, attribute(f"{name}.delay_ps", _time), numbers),
                Node(f"{head}:EDGE", None, attribute(f"{name}.edge", _edge), numbers),
            ]
        return rows + self._counter_rows("TSCO#", numbers, lambda n: f"TSCO{n}")

    def _player_rows(self, head: str, numbers: range, name: Callable[[int], str]) -> list[Node]:
        def player(n: int) -> Player:
            return self.signals.players[name(n)]

        def enable(n: int, value: str) -> str:
            player(n).enabled = switch(value)
            return "ON" if player(n).enabled else "OFF"

        def repeats(n: int, value: str) -> str:
            endless = value.strip().upper().startswith("INF")
            player(n).count = FOREVER if endless else round(number(value, 1, FOREVER))
            return "INF" if endless else str(player(n).count)

        def width(n: int, value: str) -> str:
            player(n).width_ps = _time(value)
            return f"{player(n).width_ps}TB"

        def period(n: int, value: str) -> str:
            player(n).period_ps = _time(value)
            return f"{player(n).period_ps}TB"

        def play(n: int, _: str) -> str:
            player(n).play(self.clock.now_ps())
            return "PLAY"

        def stop(n: int, _: str) -> str:
            player(n).stop(self.clock.now_ps())
            return "STOP"

        def mode(n: int, value: str) -> str:
            player(n).arm_mode = choice(value, ("MANUAL", "AUTO"))
            return player(n).arm_mode

        return [
            Node(f"{head}:ENABle", lambda n: "ON" if player(n).enabled else "OFF", enable, numbers),
            Node(f"{head}:NUM", lambda n: str(player(n).count), repeats, numbers),
            Node(f"{head}:PNUM", lambda n: str(player(n).count), repeats, numbers),
            Node(f"{head}:DURation", lambda n: f"{player(n).width_ps}TB", width, numbers),
            Node(f"{head}:PWIDth", lambda n: f"{player(n).width_ps}TB", width, numbers),
            Node(f"{head}:PPERiod", lambda n: f"{player(n).period_ps}TB", period, numbers),
            Node(f"{head}:TRIGger:ARM:MODE", lambda n: player(n).arm_mode, mode, numbers),
            Node(f"{head}:PLAY", None, play, numbers),
            Node(f"{head}:STOP", None, stop, numbers),
            Node(f"{head}:STAGe", lambda n: player(n).stage(self.clock.now_ps()), None, numbers),
        ]

    def _histogram_rows(self) -> list[Node]:
        numbers = range(1, 5)

        def put(attribute: str, read: Callable[[str], object], unit: str = "") -> Callable[[int, str], str]:
            def store(n: int, text: str) -> str:
                setattr(self._histograms[n], attribute, read(text))
                return f"{getattr(self._histograms[n], attribute)}{unit}"

            return store

        def get(attribute: str, unit: str = "") -> Callable[[int], str]:
            return lambda n: f"{getattr(self._histograms[n], attribute)}{unit}"

        def flush(n: int, _: str) -> str:
            self._histograms[n].since_ps = self.clock.now_ps()
            return "Flushed Histogram!"

        def state(n: int) -> str:
            h = self._histograms[n]
            head = f"HIST{n}:INPORT"
            return (
                f"{head}:STOP:LINK {h.stop};:{head}:REF:LINK {h.ref};:{head}:ENAB:LINK {h.enable};"
                f":HIST{n}:MIN {h.min_ps}TB;BWID {h.width_ps}TB;BCOUNT {h.bins};"
            )

        return [
            Node("HISTogram#:[INPOrt:]REF:LINK", get("ref"), put("ref", self._link), numbers),
            Node("HISTogram#:[INPOrt:]STOP:LINK", get("stop"), put("stop", self._link), numbers),
            Node("HISTogram#:[INPOrt:]ENABle:LINK", get("enable"), put("enable", self._link), numbers),
            Node(
                "HISTogram#:FILTer", get("filter"), put("filter", lambda t: choice(t, ("RISI", "FALL", "ALL"))), numbers
            ),
            Node("HISTogram#:MINimum", get("min_ps", "TB"), put("min_ps", _time, "TB"), numbers),
            Node("HISTogram#:BWIDth", get("width_ps", "TB"), put("width_ps", _time, "TB"), numbers),
            Node("HISTogram#:BCOUnt", get("bins"), put("bins", lambda t: round(number(t, 1, MOST_BINS))), numbers),
            Node("HISTogram#:DATA", self._histogram_data, None, numbers),
            Node("HISTogram#:FLUSh", None, flush, numbers),
            Node("HISTogram#:STATe", state, None, numbers),
        ]

    def _histogram_data(self, n: int) -> str:
        h = self._histograms[n]
        counts = np.zeros(h.bins, np.int64)
        span = h.width_ps * h.bins
        for window in self.record.windows(h.since_ps, self.clock.now_ps()):
            stop = min(window.stop_ps, self.clock.now_ps())
            ref = self.signals.events(h.ref, window.start_ps, stop)
            hits = self.signals.events(h.stop, window.start_ps, stop)
            first = np.searchsorted(hits, ref + h.min_ps)
            last = np.searchsorted(hits, ref + h.min_ps + span)
            many = last - first
            index = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
            difference = hits[index] - np.repeat(ref, many) - h.min_ps
            if h.ref == h.stop:
                difference = difference[difference + h.min_ps != 0]
            counts += np.bincount(difference // h.width_ps, minlength=h.bins)[: h.bins]
        return "[" + ",".join(str(c) for c in counts.tolist()) + "]"

    def _link(self, text: str) -> str:
        link = text.strip().upper().replace("INPUT", "INPU").replace("DELAY", "DELA").replace("START", "STAR")
        if not self.signals.known(link):
            msg = "SCPI_ERR_PARAM_TYPE"
            raise ID900Error(msg)
        return link

    def _set_resolution(self, _: int, value: str) -> str:
        self._resolution = choice(value, ("HIRES", "LOWRES"))
        self.signals.resolution_ps = self._parameters.resolution_ps if self._resolution == "HIRES" else 100
        return self._resolution

    def _set_sync(self, _: int, value: str) -> str:
        self._sync = choice(value, ("INTERNAL", "EXTERNAL"))
        return self._sync

    def _load(self, _: int, value: str) -> str:
        preset = choice(value, ("INIT", "HISTO", "COUNT", "BLANK"))
        if preset == "COUNT":
            self.signals.load_count_preset()
        return preset

    def _connector_state(self, link: str) -> str:
        block, counter = self.signals.inputs[link], self._counters[link]
        last = f"DELA {block.delay_ps}TB" if link == "STAR" else f"RESY {block.resync}"
        name = "START" if link == "STAR" else link
        return (
            f"ENAB {'ON' if block.enabled else 'OFF'};COUP {block.coupling};EDGE {block.edge};"
            f"THRE {block.threshold_v:.6f}V;SELE {block.select};{last};"
            f":{name}:COUNTER:INTEGRATIONTIME {counter.period_ms};MODE {counter.mode}"
        )


class ScpiPort:
    """The instrument's own port, as a twin of one port."""

    def __init__(self, controller: ID900Twin) -> None:
        self._controller = controller

    def connect(self) -> FrameConversation:
        """Begin a conversation with one client."""
        return self._controller.connect()

    def reset_power(self) -> None:
        """Return to the power-on state."""
        self._controller.reset_power()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return self._controller.peek()


def _time(text: str) -> int:
    return round(number(text, 0, 9e18, TIME_UNITS_PS))


def _edge(text: str) -> str:
    return choice(text, ("RISING", "FALLING"))


class FrameConversation:
    """One ZeroMQ client: each frame is a whole request and gets a whole reply."""

    def __init__(self, execute: Callable[[str], str]) -> None:
        self._execute = execute

    def receive(self, data: bytes) -> bytes:
        """Answer one frame."""
        return self._execute(data.decode("utf-8", "replace")).encode()

    def due_ps(self) -> int | None:
        """Return None: nothing comes later."""
        return None

    def wake(self) -> bytes:
        """Say nothing."""
        return b""

    def close(self) -> None:
        """Forget the client."""
