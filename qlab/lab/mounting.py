"""Put the twins of a lab on their wires: build, combine on buses, mount."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from pydantic import ValidationError

from qlab.errors import LabFileError, QlabError, TwinError
from qlab.twin.conversation import MultiPort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.lab.bench import LabBench
    from qlab.lab.check import Checked
    from qlab.lab.source import Key
    from qlab.twin.conversation import Twin
    from qlab.twin.host import TwinHost
    from qlab.twin.mount import Mount

__all__ = ["TwinRack"]


@runtime_checkable
class _Combines(Protocol):
    """A twin class of units that share one wire."""

    def combine(self, units: Mapping[str, Twin | MultiPort]) -> Twin:
        """Put units on one bus, by their address there."""
        ...


class TwinRack:
    """The twins of a lab and their mounts.

    Parameters
    ----------
    checked:
        The lab file.
    host:
        Serves the twins.
    serial_tcp:
        Whether serial twins are on TCP, as behind a serial server, instead of on pseudo-terminals.

    Attributes
    ----------
    twins:
        By instrument.
    mounts:
        By instrument; a further port of an instrument as NAME.PORT.
    """

    def __init__(self, checked: Checked, host: TwinHost, *, serial_tcp: bool = False) -> None:
        self._checked = checked
        self._serial_tcp = serial_tcp
        self._host = host
        self.twins: dict[str, Twin | MultiPort] = {}
        self.mounts: dict[str, Mount] = {}

    def build(self, bench: LabBench) -> None:
        """Build and mount all twins; raises `LabFileError` for parameters that a twin refuses."""
        buses: dict[str, list[str]] = {}
        for name, instrument in self._checked.lab.instruments.items():
            if not instrument.is_twin:
                continue
            self._build_one(name, bench)
            shared = getattr(self._checked.devices[name], "multidrop", False)
            bus = (instrument.address.partition(":")[2] or name) if shared else ""
            if bus:
                buses.setdefault(bus, []).append(name)
            else:
                self._mount_ports(name)
        for bus, names in buses.items():
            self._mount_bus(bus, names)

    def _build_one(self, name: str, bench: LabBench) -> None:
        key: Key = ("instruments", name, "twin")
        try:
            twin = self._checked.twins[name].build(name, bench, self._checked.lab.instruments[name].twin)
        except (ValidationError, QlabError) as error:
            raise LabFileError(self._checked.loaded.source.complain(key, str(error))) from error
        self.twins[name] = twin

    def _mount_bus(self, bus: str, names: list[str]) -> None:
        lab, first = self._checked.lab, names[0]
        units = {str(lab.instruments[n].unit or "0"): self.twins[n] for n in names}
        cls = self._checked.twins[first]
        if not isinstance(cls, _Combines):
            msg = f"the twin {cls.__name__} of a multidrop instrument has no combine()"
            raise TwinError(msg)
        try:
            twin = cls.combine(units)
        except TwinError as error:
            key: Key = ("instruments", first, "unit")
            raise LabFileError(self._checked.loaded.source.complain(key, str(error))) from error
        # A bus may be called like an instrument that is not on it: mounts are named apart.
        called = bus if bus in names or bus not in lab.instruments else f"bus-{bus}"
        mount = self._mount(called, twin, cls.wire)
        self.mounts.update(dict.fromkeys(names, mount))

    def _mount_ports(self, name: str) -> None:
        twin, wire = self.twins[name], self._checked.twins[name].wire
        if not isinstance(twin, MultiPort):
            self.mounts[name] = self._mount(name, twin, wire)
            return
        # Each port is a mount with faults of its own; they share the power, but for those that run on another machine.
        ports = {port: self._mount(f"{name}.{port}", part, wire) for port, part in twin.ports().items()}
        together = [mount for port, mount in ports.items() if port not in getattr(twin, "elsewhere", ())]
        for mount in together:
            mount.powered_with = tuple(other for other in together if other is not mount)
        self.mounts |= {f"{name}.{port}": mount for port, mount in ports.items()}
        self.mounts[name] = next(iter(ports.values()))

    def _mount(self, name: str, twin: Twin | MultiPort, wire: str) -> Mount:
        if wire == "zmq":
            return self._host.mount_zmq(twin, name=name)
        single = cast("Twin", twin)
        if wire == "udp":
            return self._host.mount_udp(single, name=name)
        if wire == "tcp":
            return self._host.mount_tcp(single, name=name)
        if self._serial_tcp:
            return self._host.mount_serial_tcp(single, name=name)
        try:
            return self._host.mount_pty(single, name=name)
        except TwinError:  # no pseudo-terminals on this system
            return self._host.mount_serial_tcp(single, name=name)
