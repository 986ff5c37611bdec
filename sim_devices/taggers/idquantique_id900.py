"""Twin of the ID Quantique ID900 time controller.  Written from protocol sheet 10.

SCPI text in ZeroMQ frames; every command is answered.  The command table is spread over the `id900_*` modules, block by
block; the tag download service is a port of its own (`id900_datalink`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from sim_devices.taggers.id900_blocks import LOWRES_PS
from sim_devices.taggers.id900_combiners import player_rows, tsco_rows
from sim_devices.taggers.id900_datalink import DataLinkTwin
from sim_devices.taggers.id900_frames import FrameConversation
from sim_devices.taggers.id900_grammar import Node, Table, choice, switch
from sim_devices.taggers.id900_inputs import Counter, connector_rows, delay_rows, on_off
from sim_devices.taggers.id900_outputs import Histogram, histogram_rows, raw_rows
from sim_devices.taggers.id900_signals import Signals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin
    from sim_devices.taggers.id900_players import Player

__all__ = ["ID900Twin"]

RECALIBRATE = 1  # [V2] the error of an input whose timing has drifted
FAULTS = ("warm_up", "calibration", "no_external_clock", "no_connection")
NO_CONNECTION = "No connection"  # [V2] stands in the reply when the link inside the instrument is bad
NO_CLOCK = "No external clock"  # [INF]
PRESETS = ("INIT", "HISTO", "COUNT", "BLANK")


class Parameters(BaseModel):
    """The `twin:` section."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "2020A0001"
    firmware: str = "2.1.0"
    pulse_height_v: float = Field(1.5, gt=0, description="of the detectors' pulses at the inputs")
    resolution_ps: int = Field(1, ge=1, description="HIRES bin; LOWRES has 100 ps")
    dead_time_ps: int = Field(8000, ge=0, description="[INF] of an input")
    max_rate_hz: float = Field(10e6, gt=0, description="[V2] over all inputs to the host")
    needs_send: bool = Field(False, description="whether tags are downloaded only between RAWn:SEND ON and OFF")


class ID900Twin:
    """The time controller."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "zmq"
    elsewhere = ("datalink",)  # a program on a host keeps its power

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self.clock = bench.clock
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._faults: set[str] = set()
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
        p = self._parameters
        feed = self._bench.tag_feed(self._name)
        self.signals = Signals(feed, now, p.pulse_height_v, needs_send=p.needs_send)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[int, Histogram] = {}
        self._generators_on = dict.fromkeys(range(1, 9), False)
        self._sync, self._resolution, self._leds = "INTERNAL", "LOWRES", True
        self._restart_counting()
        self._table = Table(self._rows())

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"record": self.record.stage(self.clock.now_ps()), "resolution": self._resolution}

    @property
    def record(self) -> Player:
        """The record window."""
        return self.signals.players["REC"]

    @property
    def connected(self) -> bool:
        """Whether the instrument's network side reaches its core."""
        return "no_connection" not in self._faults

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let the timing drift with the warm-up, its calibration fail, the reference clock or the core go away."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        self._faults = self._faults | {name} if active else self._faults - {name}
        if name == "warm_up" and active:
            self.signals.hires_errors = {f"INPU{n}": RECALIBRATE for n in range(1, 5)}

    def execute(self, text: str) -> str:
        """Carry out one request frame."""
        if not self.connected:
            return NO_CONNECTION
        if text.strip().upper() == "*IDN?":
            return f"IDQuantique,ID900,{self._parameters.serial},{self._parameters.firmware}"  # [INF] the wording
        now = self.clock.now_ps()
        for player in self.signals.players.values():
            player.advance(now, self.signals.events)
        return self._table.execute(text)

    def _rows(self) -> list[Node]:
        signals, counters, clock = self.signals, self._counters, self.clock
        return [
            *connector_rows(signals, counters, clock),
            *delay_rows(signals),
            *tsco_rows(signals, counters, clock),
            *player_rows(signals, clock),
            *histogram_rows(signals, self._histograms, clock),
            *raw_rows(signals, clock),
            Node("TSGE#:ENABle", lambda n: on_off(self._generators_on[n]), self._switch_generator, range(1, 9)),
            Node("DEVIce:RESolution", lambda _: self._resolution, self._set_resolution),
            Node("DEVIce:RESolution:BWIDth", lambda _: f"{self.signals.resolution_ps}TB"),
            Node("DEVIce:SYNC", lambda _: self._sync, self._set_sync),
            Node("DEVIce:CONFiguration:LOAD", None, self._load),
            Node("DEVIce:SAMPling:RECAlibrate", None, self._recalibrate),
            Node("DEVIce:LEDS", lambda _: on_off(self._leds), self._switch_leds),
            Node("DEVIce:STATe", lambda _: f"DEVICE:SYNC {self._sync};RES {self._resolution}"),
        ]

    def _restart_counting(self) -> None:
        now = self.clock.now_ps()
        links = (*self.signals.inputs, *self.signals.tscos, *self.signals.delays)
        self._counters.update({link: Counter(now) for link in links})
        self._histograms.update({n: Histogram(now) for n in range(1, 5)})

    def _switch_generator(self, n: int, value: str) -> str:
        self._generators_on[n] = switch(value)
        return on_off(self._generators_on[n])

    def _switch_leds(self, _: int, value: str) -> str:
        self._leds = switch(value)
        return on_off(self._leds)

    def _set_resolution(self, _: int, value: str) -> str:
        self._resolution = choice(value, ("HIRES", "LOWRES"))
        self.signals.resolution_ps = self._parameters.resolution_ps if self._resolution == "HIRES" else LOWRES_PS
        return self._resolution

    def _set_sync(self, _: int, value: str) -> str:
        source = choice(value, ("INTERNAL", "EXTERNAL"))
        if source == "EXTERNAL" and "no_external_clock" in self._faults:
            return NO_CLOCK
        self._sync = source
        return self._sync

    def _recalibrate(self, _: int, __: str) -> str:
        if "calibration" in self._faults:
            return "Calibration failed"
        self.signals.hires_errors.clear()
        return "Calibration done"

    def _load(self, _: int, value: str) -> str:
        preset = choice(value, PRESETS)
        now = self.clock.now_ps()
        self._restart_counting()
        if preset == "BLANK":
            self.signals.load_blank(now)
            return preset
        self.signals.load_defaults(now)
        if preset == "COUNT":
            self.signals.load_count_preset()
        return preset


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
