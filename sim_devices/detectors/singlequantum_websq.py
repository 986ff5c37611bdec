"""Twin of the Single Quantum WebSQ: JSON control, and a line of counts a period.  Written from protocol sheet 08."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.nanowire import Nanowire
from sim_devices.detectors.nanowire_channel import NanowireChannel
from sim_devices.detectors.websq_counts import CountsPort
from sim_devices.detectors.websq_messages import ControlClient, encode
from sim_devices.detectors.websq_scan import BiasScan, find_bias_ua, temperature_history

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin

__all__ = ["WebSQTwin"]

LARGEST_UA = 90.9  # [V1] the scan's limits in the vendor's file
SHORTEST_MS, LONGEST_MS = 10.0, 1e5  # [V1] shortest; [INF] longest
TRIGGER_MV = 1000.0  # [INF]
SEARCH_PS = 3 * PS_PER_S  # [INF] how long the automatic search takes
WARM_K = 2.9  # [INF] above it the stage is reported as too warm
SCAN = ("IVScanStart", "IVScanEnd", "IVScanIncrement")
UNITS = {"BiasCurrent": "uA", "TriggerLevel": "mV", "BiasVoltage": "mV", "InptMeasurementPeriod": "ms"}


class Parameters(BaseModel):
    """The `twin:` section: the nanowires."""

    model_config = ConfigDict(extra="forbid")

    detectors: int = Field(4, ge=1, le=24, description="channels")
    switching_ua: float = Field(20.0, gt=0, description="[INF] 10 to 30 uA")
    efficiency: float = Field(
        0.85, ge=0, le=1, description="on the plateau; You, Nanophotonics 9, 2673 (2020): 0.8 to 0.98"
    )
    dark_rate_hz: float = Field(1000.0, ge=0, description="at the switching current")
    jitter_fwhm_ps: float = Field(30.0, ge=0, description="at the switching current")
    dead_time_ns: float = Field(30.0, ge=0, description="[INF] tens of ns (same review)")


class WebSQTwin:
    """The driver; its control port is the main one."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self.clock = bench.clock
        p = self._parameters = parameters
        wire = Nanowire(switching_ua=p.switching_ua, efficiency=p.efficiency, dark_rate_hz=p.dark_rate_hz)
        self.channels = [NanowireChannel(bench, name, str(n), wire) for n in range(1, p.detectors + 1)]
        self._stage = bench.knob(name, "temperature_k", wire.base_k)
        self._clients: list[ControlClient] = []
        self.labels: dict[str, Any] = {}
        self._scan: BiasScan | None = None
        self._search_ps: int | None = None
        self._found_ua: list[float] = []
        self._defaults()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> WebSQTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @staticmethod
    def detector_channels(parameters: Parameters) -> Sequence[str]:
        """Return the nanowires."""
        return [str(n) for n in range(1, parameters.detectors + 1)]

    def ports(self) -> Mapping[str, Twin]:
        """Return TCP 12000 and 12345."""
        return {"control": self, "counts": CountsPort(self)}

    def connect(self) -> ControlClient:
        """Begin to talk to one client."""
        client = ControlClient(self._carry_out, self._leave, self.clock)
        self._clients.append(client)
        return client

    def identify(self) -> str:
        """Name the driver."""
        return "WebSQ"

    @property
    def period_ps(self) -> int:
        """The measurement period."""
        return round(float(self.labels["InptMeasurementPeriod"]) * 1e-3 * PS_PER_S)

    def reset_power(self) -> None:
        """Power was cycled: no bias, and everything as delivered."""
        self._defaults()

    def device_fault(self, name: str, *, active: bool = True, channel: int = 1) -> None:
        """Latch a nanowire: nothing but zero bias ends that."""
        if name != "latch" or not 1 <= channel <= len(self.channels):
            expected = f"expected latch of 1 to {len(self.channels)}"
            msg = f"{self._name}: unknown device fault {name!r} of channel {channel}; {expected}"
            raise TwinError(msg)
        if active:
            self.channels[channel - 1].latch()

    def peek(self) -> dict[str, object]:
        """Return what the nanowires are at."""
        return {f"channel_{n}": {"bias_ua": c.bias_ua, "latched": c.latched} for n, c in enumerate(self.channels, 1)}

    # Background: scan and search.

    def background_due_ps(self) -> int | None:
        """Return when the scan's step or the search is over."""
        dues = [self._search_ps] if self._search_ps is not None else []
        dues += [self._scan.due_ps] if self._scan is not None else []
        return min(dues, default=None)

    def background(self) -> None:
        """Do what is due."""
        now = self.clock.now_ps()
        if self._search_ps is not None and now >= self._search_ps:
            self._search_ps = None
            self._set("BiasCurrentAutoIV", self._found_ua)
            self._store_bias(self._found_ua)
            self._set("StartAutoIV", False)
        while self._scan is not None and now >= self._scan.due_ps:
            if self._scan.finish(self.channels):
                self._end_scan()
            else:
                self._scan.begin(self.channels)

    def _look(self) -> None:
        """Compare the stage with what is cold enough: whenever somebody speaks, as a timer would never let time rest."""
        warm = self._stage.value(self.clock.now_ps()) > WARM_K
        self._set("TemperatureError", f"the cold stage is above {WARM_K:g} K" if warm else "")

    # Messages.

    def _carry_out(self, said: dict[str, Any]) -> bytes:
        """Carry out one object and return what only its sender is told."""
        self._look()
        request, command, label, value = (said.get(key) for key in ("request", "command", "label", "value"))
        commands: dict[object, Callable[[Any], None]] = {
            "SetAllBiasCurrents": self._bias,
            "SetAllTriggerLevels": self._trigger,
            "DetectorEnable": self._enable,
            "SetMeasurementPeriod": self._period,
            "DarkCountsAutoIV": self._dark_counts,
            "AutoCaliBiasCurrents": self._search,
            "IVScanEnable": self._scan_enable,
        }
        if isinstance(request, str):
            return self._request(request)
        if isinstance(command, str):
            if command in commands:
                commands[command](value)
            else:
                self._complain(f"unknown command {command[:40]}")
        elif label in SCAN:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_UA:
                self._set(str(label), float(value))
            else:
                self._complain(f"{label} is out of range")
        return b""

    def _request(self, request: str) -> bytes:
        if request == "labelProps":
            return encode(*(self._props(label) for label in self.labels))
        if request == "BiasVoltage":
            return encode({"label": request, "value": [c.voltage_mv for c in self.channels]})
        if request == "IVHistory":
            keys = ("ic_scan_history", "iv_scan_history")
            return encode(*({"label": key, "value": self.labels[key]} for key in keys))
        if request == "TemperatureHistory":
            return encode({"label": "temperature_long_memory", **temperature_history(self._stage, self.clock.now_ps())})
        return encode({"label": request, "value": self.labels[request]}) if request in self.labels else b""

    def _props(self, label: str) -> dict[str, Any]:
        value = [c.voltage_mv for c in self.channels] if label == "BiasVoltage" else self.labels[label]
        bounds = [-LARGEST_UA, LARGEST_UA] if label in ("BiasCurrent", *SCAN) else []
        return {"label": label, "value": {"value": value, "bounds": bounds, "unit": UNITS.get(label, "")}}

    def _set(self, label: str, value: Any) -> None:
        """Change a label and tell all."""
        if self.labels.get(label) != value:
            self.labels[label] = value
            for client in self._clients:
                client.post(encode({"label": label, "value": value}))

    def _complain(self, text: str) -> None:
        for client in self._clients:
            client.post(encode({"label": "CommandError", "value": text}))

    def _vector(self, value: Any, low: float, high: float) -> list[float] | None:
        numbers = isinstance(value, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) for v in value
        )
        if not numbers or len(value) != len(self.channels) or not all(low <= v <= high for v in value):
            self._complain(f"expected {len(self.channels)} values from {low:g} to {high:g}")
            return None
        return [float(v) for v in value]

    def _bias(self, value: Any) -> None:
        wanted = self._vector(value, -LARGEST_UA, LARGEST_UA)
        if wanted is not None:
            self._store_bias(wanted)

    def _store_bias(self, wanted: list[float]) -> None:
        self._set("BiasCurrent", wanted)
        self._apply()

    def _trigger(self, value: Any) -> None:
        wanted = self._vector(value, -TRIGGER_MV, TRIGGER_MV)
        if wanted is not None:
            self._set("TriggerLevel", wanted)

    def _enable(self, value: Any) -> None:
        self._set("DetectorEnable", bool(value))
        self._apply()

    def _period(self, value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not SHORTEST_MS <= value <= LONGEST_MS:
            self._complain(f"the period is {SHORTEST_MS:g} to {LONGEST_MS:g} ms")
            return
        self._set("InptMeasurementPeriod", value)

    def _dark_counts(self, value: Any) -> None:
        wanted = self._vector(value, 0.0, math.inf)
        if wanted is not None:
            self._set("DarkCountsAutoIV", wanted)

    def _search(self, value: Any) -> None:
        """Look for the bias that gives the wanted dark counts."""
        if not value or self._search_ps is not None:
            return
        now, period_s = self.clock.now_ps(), self.period_ps / PS_PER_S
        wanted, kelvin = self.labels["DarkCountsAutoIV"], self._stage.value(now)
        pairs = zip(self.channels, wanted, strict=True)
        self._found_ua = [find_bias_ua(channel, darks, period_s, kelvin) for channel, darks in pairs]
        self._search_ps = now + SEARCH_PS
        self._set("StartAutoIV", True)

    def _scan_enable(self, value: Any) -> None:
        if not value:
            if self._scan is not None:
                self._end_scan()
            return
        start, end, increment = (float(self.labels[label]) for label in SCAN)
        scan = BiasScan.plan(start, end, increment, self.clock.now_ps())
        if scan is None or self._scan is not None:
            self._complain("the scan has no steps, too many, or is running")
            return
        self._scan = scan
        self._set("IVScanEnable", True)
        scan.begin(self.channels)

    def _end_scan(self) -> None:
        if self._scan is not None:
            self._set("ic_scan_history", list(self._scan.counts))
            self._set("iv_scan_history", list(self._scan.volts))
        self._scan = None
        self._set("IVScanEnable", False)
        self._apply()

    def _apply(self) -> None:
        """Give the nanowires their bias, or none."""
        if self._scan is None:
            on = bool(self.labels["DetectorEnable"])
            for channel, ua in zip(self.channels, self.labels["BiasCurrent"], strict=True):
                if channel.bias_ua != (ua if on else 0.0):
                    channel.set_bias(ua if on else 0.0)

    def _leave(self, client: ControlClient) -> None:
        if client in self._clients:
            self._clients.remove(client)

    def _defaults(self) -> None:
        zeros = [0.0] * len(self.channels)
        self.labels = {
            "NumberOfDetectors": len(self.channels),
            "BiasCurrent": list(zeros),
            "TriggerLevel": list(zeros),
            "BiasVoltage": list(zeros),
            "DetectorEnable": False,
            "InptMeasurementPeriod": 100,
            "StartAutoIV": False,
            "BiasCurrentAutoIV": list(zeros),
            "DarkCountsAutoIV": [100.0] * len(self.channels),
            "IVScanEnable": False,
            "IVScanStart": 0.0,
            "IVScanEnd": 20.0,
            "IVScanIncrement": 1.0,
            "ic_scan_history": [],
            "iv_scan_history": [],
            "temperature_long_memory": [],
            "TemperatureError": "",
        }
        self._scan = self._search_ps = None
        self._found_ua = list(zeros)
        self._apply()
