"""Single Quantum Atlas driver (WebSQ): biases superconducting nanowires; its ports speak JSON and a line of counts a period.

Nothing acknowledges a set but the label that all clients are told; so each set is followed by the question for all labels,
and what it says is compared.  A bias is no danger: it stays when a plan ends.  Counts come from a tagger; the driver's own
counts port (TCP 12345) is for the eye, and is not read here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from ophyd import Component as Cpt
from pydantic import Field

from devices.base import Instrument, InstrumentSettings
from devices.detectors.websq_channel import LARGEST_UA, WebSQChannel
from devices.signals import SoftSignal
from qlab.errors import BadReplyError, BadRequestError, InstrumentError, LinkClosedError, LinkTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.links.link import Link

__all__ = ["WebSQ"]

Channel = Annotated[int, Field(ge=1, le=8)]
Bias = Annotated[float, Field(ge=-LARGEST_UA, le=LARGEST_UA)]

ETB = b"\x17"
MOST_GROUPS = 200
"""Groups of labels that others may cause while we wait for ours."""
STEP_UA = 0.02
NEEDED = ("NumberOfDetectors", "BiasCurrent", "DetectorEnable", "InptMeasurementPeriod")


class WebSQ(Instrument):
    """The driver; roles `qlab.roles.NanowireSystem` and `Detector`.

    `channel1` to `channel8` are the nanowires, as many as there are.
    """

    identity = r"^WebSQ with [1-9]"
    twin = "sim_devices.detectors.singlequantum_websq.WebSQTwin"
    wire = "tcp"
    usual_addresses = ("TCPIP0::HOST::12000::SOCKET",)
    link_options = {"terminator": ETB, "command_terminator": b"", "encoding": "utf-8"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        bias_ua: dict[Channel, Bias] = {}
        """Bias by channel, set at connection and switched on."""

    channel1 = Cpt(WebSQChannel, "", number=1)
    channel2 = Cpt(WebSQChannel, "", number=2)
    channel3 = Cpt(WebSQChannel, "", number=3)
    channel4 = Cpt(WebSQChannel, "", number=4)
    channel5 = Cpt(WebSQChannel, "", number=5)
    channel6 = Cpt(WebSQChannel, "", number=6)
    channel7 = Cpt(WebSQChannel, "", number=7)
    channel8 = Cpt(WebSQChannel, "", number=8)
    enabled = Cpt(SoftSignal, initial=0, kind="normal")
    period_ms = Cpt(SoftSignal, units="ms", kind="config")

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._every = (
            *(self.channel1, self.channel2, self.channel3, self.channel4),
            *(self.channel5, self.channel6, self.channel7, self.channel8),
        )
        self._labels: dict[str, Any] = {}
        self._wanted: dict[int, float] = {}

    @property
    def detectors(self) -> Mapping[str, WebSQChannel]:
        """The nanowires by channel, as the lab file calls them behind the dot."""
        return {str(each.number): each for each in self._every[: int(self._labels.get("NumberOfDetectors", 0))]}

    @property
    def detector_channels(self) -> list[str]:
        """The same by name."""
        return list(self.detectors)

    def query_identity(self, link: Link) -> str:
        """Return how many nanowires there are; the driver has no better name."""
        del link
        self._fetch_labels()
        count = int(self._labels["NumberOfDetectors"])
        for each in self._every:
            each.use(there=each.number <= count)
        return f"WebSQ with {count} detectors"

    def apply_settings(self) -> None:
        """Set the lab file's biases."""
        self._set_up(self.settings.bias_ua)

    def restore(self) -> None:
        """Set the biases again that were set last."""
        self._set_up(dict(self._wanted))

    def _set_up(self, biases: Mapping[int, float]) -> None:
        for number in biases:
            if str(number) not in self.detectors:
                msg = f"{self.name}: settings.bias_ua names channel {number}, but there are {len(self.detectors)}"
                raise BadRequestError(msg)
        if biases:
            self.store_bias(dict(biases))

    def measure(self) -> None:
        """Fetch biases and voltages, on a new connection where the old one was lost."""
        for left in reversed(range(self.link.policy.retries + 1)):
            try:
                self._measure_once()
                break
            except (LinkTimeoutError, LinkClosedError, BadReplyError):
                if not left:
                    raise

    def _measure_once(self) -> None:
        self._fetch_labels()
        voltages = self._vector(self._request("BiasVoltage", "BiasVoltage"), "BiasVoltage")
        for channel, voltage in zip(self.detectors.values(), voltages, strict=False):
            channel.wire_mv.remember(voltage)

    def refresh_configuration(self) -> None:
        """Fetch labels."""
        self.measure()

    def check_health(self) -> list[str]:
        """Return which nanowires have latched, and what the driver complains of."""
        self.measure()
        latched = [
            f"the nanowire on channel {name} has latched" for name, each in self.detectors.items() if each.latched
        ]
        return latched + [str(text) for label, text in self._labels.items() if "Error" in label and text]

    def store_bias(self, biases: dict[int, float]) -> None:
        """Set biases by channel in uA, switch the bias on, and see that they are there; blocks for the wire."""
        wanted = [each.bias_ua.get() for each in self.detectors.values()]
        for number, bias_ua in biases.items():
            wanted[number - 1] = bias_ua
        rest = self._vector(self._labels["BiasCurrent"], "BiasCurrent")[len(wanted) :]
        command = {"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [*wanted, *rest]}
        self._tell(command)
        self._tell({"command": "DetectorEnable", "label": "DetectorEnable", "value": True})
        self._fetch_labels()
        self._wanted |= biases
        found = self._vector(self._labels["BiasCurrent"], "BiasCurrent")
        if any(abs(a - b) > STEP_UA for a, b in zip(found, wanted, strict=False)) or not self.enabled.get():
            what = "the driver did not take the bias currents"
            raise InstrumentError(
                what, device=self.name, command=json.dumps(command), found=str(found), expected=str(wanted)
            )

    def _fetch_labels(self) -> None:
        self._request("labelProps", NEEDED[-1])
        missing = [label for label in NEEDED if label not in self._labels]
        if missing:
            what = "labels are missing"
            raise BadReplyError(what, device=self.name, command="labelProps", expected=", ".join(missing))
        for channel, bias in zip(
            self.detectors.values(), self._vector(self._labels["BiasCurrent"], "BiasCurrent"), strict=False
        ):
            channel.bias_ua.remember(bias)
        self.enabled.remember(int(bool(self._labels["DetectorEnable"])))
        self.period_ms.remember(float(self._labels["InptMeasurementPeriod"]))

    def _vector(self, value: Any, label: str) -> list[float]:
        if not isinstance(value, list) or not all(isinstance(each, (int, float)) for each in value):
            self.link.distrust()
            what = f"{label} is no list of numbers"
            raise BadReplyError(what, device=self.name, command=label, found=repr(value)[:80])
        return [float(each) for each in value]

    def _tell(self, said: dict[str, Any]) -> None:
        with self.link.transaction() as link:
            link.write(json.dumps(said).encode())

    def _request(self, request: str, label: str) -> Any:
        """Ask, and read what all clients are told until the label comes that was asked for; return its value."""
        with self.link.transaction() as link:
            link.discard()  # what others changed: the labels say it again
            link.write(json.dumps({"request": request, "value": "None"}).encode())
            for _ in range(MOST_GROUPS):
                if label in self._take(link.read_until(ETB)):
                    return self._labels[label]
        self.link.distrust()
        what = f"the driver talks of everything but {label}"
        raise BadReplyError(what, device=self.name, command=request, expected=label)

    def _take(self, group: bytes) -> set[str]:
        """Note the labels of a group and return their names."""
        told: set[str] = set()
        text, decoder, at = group.decode("utf-8", "replace").strip(), json.JSONDecoder(), 0
        try:
            while at < len(text):
                said, at = decoder.raw_decode(text, at)
                value = said.get("value", said)
                self._labels[str(said["label"])] = (
                    value["value"] if isinstance(value, dict) and "value" in value else value
                )
                told.add(str(said["label"]))
        except (ValueError, KeyError, AttributeError) as error:
            self.link.distrust()
            what = "what came is no label in JSON"
            raise BadReplyError(what, device=self.name, found=group[:80], expected='{"label":...}') from error
        return told
