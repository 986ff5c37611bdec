"""Twin of the Toptica DLC pro laser controller with one head: command line and monitoring line.  From protocol sheet 05."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from sim_devices.sources.decop import Item
from sim_devices.sources.dlcpro_head import LOCKED, LaserHead, Parameters
from sim_devices.sources.dlcpro_lines import CommandLine
from sim_devices.sources.dlcpro_monitor import EPOCH, MonitoringPort
from sim_devices.sources.dlcpro_tree import VOLATILE, build_tree, defaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin
    from sim_devices.sources.decop import Value

__all__ = ["DLCproTwin", "Parameters"]

FAULTS = {
    "interlock": "Interlock open",
    "key": "Key switch locked",
    "button": "Emission button not pressed",
    "tc_fault": "Temperature control fault",
    "lock_lost": "Lock lost",
    "mode_hop": "",
}
"""Device faults, with what the health text says; the words and the health's bits, in this order, are [INF]."""
DARKENING = ("interlock", "key", "button")


class DLCproTwin:
    """The controller; the command line is its main port."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self.clock = bench.clock
        self._name = name
        self._parameters = parameters
        self._values: dict[str, Value] = defaults(parameters)
        self._system: dict[str, Value] = {"label": "", "button": True, "standby": False}
        self._faults: set[str] = set()
        self.messages: list[str] = []
        self._unread = 0
        self._begun_ps = self.clock.now_ps()
        self.head = LaserHead(name, bench, parameters, self._values)
        self.tree = build_tree(self, self.head, self._values, parameters)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> DLCproTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def ports(self) -> Mapping[str, Twin]:
        """Return TCP 1998 and 1999."""
        return {"command": self, "monitoring": MonitoringPort(self, self.clock)}

    def connect(self) -> CommandLine:
        """Welcome a client of the command line."""
        return CommandLine(self, self.clock)

    def identify(self) -> str:
        """Name the controller, as `system-type` does."""
        return "DLC pro"

    def reset_power(self) -> None:
        """Power was cycled: no light, no lock, no scan; settings are kept [INF]."""
        self._values.update(dict.fromkeys(VOLATILE, False))
        self._system["standby"] = False
        self._begun_ps = self.clock.now_ps()
        self.head.darken()
        self.head.regulate()

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        head = self.head
        shown = {"emission": head.emission, "current_ma": head.current_ma, "temperature_c": head.temperature_c}
        return {**shown, "lock_state": head.lock_state, "faults": sorted(self._faults)}

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Open the interlock, turn the key, release the button, break the temperature control, lose the lock, hop."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        if active and FAULTS[name] and name not in self._faults:
            self.messages.append(FAULTS[name])
            self._unread += 1
        (self._faults.add if active else self._faults.discard)(name)
        if name == "tc_fault":
            self.head.tc_fault = active
            if active:
                self._values["cc:enabled"] = False
                self.head.darken()
            self.head.regulate()
        elif name == "lock_lost":
            self.head.lose_lock(lost=active and self._values["lock:lock-enabled"] is True)
        elif name == "mode_hop":
            self.head.hop(active=active)
        if active and not self._released():
            self.head.darken()

    def switch(self) -> None:
        """Follow the laser's switches."""
        self.head.switch(released=self._released())

    def read_messages(self) -> None:
        """All messages were seen."""
        self._unread = 0

    def own_items(self) -> dict[str, Item]:
        """Return the parameters of the controller itself."""
        p, stored = self._parameters, self._stored

        def seconds() -> int:
            return (self.clock.now_ps() - self._begun_ps) // PS_PER_S

        return {
            "serial-number": Item(lambda: p.serial),
            "system-type": Item(self.identify),
            "system-model": Item(lambda: "DLC pro"),
            "system-label": stored("label"),
            "fw-ver": Item(lambda: p.firmware),
            "uptime": Item(seconds),
            "uptime-txt": Item(lambda: f"{seconds() // 3600}:{seconds() // 60 % 60:02d}:{seconds() % 60:02d}"),
            "time": Item(lambda: f"{EPOCH.year}-01-01T00:00:00Z"),
            "emission": Item(lambda: self.head.emission),
            "interlock-open": Item(lambda: "interlock" in self._faults),
            "frontkey-locked": Item(lambda: "key" in self._faults),
            "emission-button-enabled": stored("button"),
            "system-health": Item(self._health),
            "system-health-txt": Item(self._health_text),
            "laser1:health": Item(self._health),
            "laser1:health-txt": Item(self._health_text),
            "laser1:dl:ontime": Item(seconds),
            "laser1:dl:ontime-txt": Item(lambda: f"{seconds() // 3600} h"),
            "system-messages:count": Item(lambda: len(self.messages)),
            "system-messages:count-new": Item(lambda: self._unread),
            "system-messages:latest-message": Item(lambda: self.messages[-1] if self.messages else ""),
            "power-supply:type": Item(lambda: "PS"),
            "power-supply:board-temp": Item(lambda: 35.0),
            "power-supply:voltage-5V": Item(lambda: 5.0),
            "power-supply:voltage-15V": Item(lambda: 15.0),
            "power-supply:load": Item(lambda: 20.0),
            "power-supply:status": Item(lambda: 0),
            "power-supply:status-txt": Item(lambda: "OK"),
            "standby:enabled": stored("standby"),
            "standby:state": Item(lambda: int(bool(self._system["standby"]))),
        }

    def _stored(self, key: str) -> Item:
        def put(value: Value) -> None:
            self._system[key] = value
            if not self._released():
                self.head.darken()

        return Item(lambda: self._system[key], put)

    def _released(self) -> bool:
        """Tell whether light is possible; a button that is not needed need not be pressed [INF]."""
        needed = DARKENING if self._system["button"] else DARKENING[:2]
        forced = self._system["standby"] or self._values["cc:forced-off"]
        return not self._faults.intersection(needed) and not forced

    def _wrong(self) -> list[str]:
        unlocked = self._values["lock:lock-enabled"] and self.head.lock_state != LOCKED and self.head.lock_lost
        found = (self._faults - {"lock_lost", "mode_hop"}) | ({"lock_lost"} if unlocked else set())
        return [name for name in FAULTS if name in found and (name != "button" or self._system["button"])]

    def _health(self) -> int:
        return sum(1 << list(FAULTS).index(name) for name in self._wrong())

    def _health_text(self) -> str:
        return ", ".join(FAULTS[name] for name in self._wrong()) or "OK"
