"""Open a lab: clock, world, twins on their wires, links and devices; close it in the reverse order, safely."""

from __future__ import annotations

import difflib
import importlib
import inspect
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from qlab.clock import PS_PER_S, Clock, PacedClock, RealClock, SteppedClock
from qlab.errors import LabFileError, LinkError, QlabError
from qlab.lab.bench import LabBench
from qlab.lab.load import load_lab
from qlab.lab.optics import build_wiring
from qlab.links.factory import kind_of_address, open_link
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from qlab.lab.load import Key, Loaded
    from qlab.links.link import Link
    from qlab.tags.stream import TagFeed

__all__ = ["Lab", "open_lab"]

ANALYSER = "devices.polarisation.analyser.WavePlateAnalyser"


def open_lab(
    name: str = "bell",
    *,
    overrides: Sequence[str] = (),
    clock: Clock | None = None,
    data_dir: Path | None = None,
    connect: bool = True,
) -> Lab:
    """Open the lab of a file or a shipped one.

    Parameters
    ----------
    name, overrides:
        As for `qlab.lab.load.load_lab`.
    clock:
        Instead of the one that the lab file asks for.
    data_dir:
        Where data go; `./qlab-data` by default.
    connect:
        Whether to connect all instruments; if one fails, all failures are raised as one `LinkError`.
    """
    lab = Lab(load_lab(name, overrides), clock, data_dir or Path("qlab-data"))
    try:
        lab.build()
        if connect:
            lab.connect()
    except BaseException:
        lab.close()
        raise
    return lab


class Lab:
    """An open lab.

    Attributes
    ----------
    file, path, sha256, seed:
        The lab file.
    clock, host, bench:
        Lab time, the twins' host, and what the twins see.
    devices:
        Ophyd devices by name, analysers included.
    mounts:
        The twins' mounts by instrument name; a service's port as NAME.PORT.
    """

    def __init__(self, loaded: Loaded, clock: Clock | None, data_dir: Path) -> None:
        self.loaded = loaded
        self.file = loaded.lab
        self.path = loaded.path
        self.sha256 = loaded.sha256
        self.seed = loaded.lab.seed
        self.data_dir = data_dir
        self.clock = clock or self._clock()
        self.host: TwinHost | None = None
        self.bench: LabBench | None = None
        self.devices: dict[str, Any] = {}
        self.twins: dict[str, Any] = {}
        self.mounts: dict[str, Any] = {}
        self._links: dict[str, Link] = {}
        self._closed = False

    # Building.

    def build(self) -> None:
        """Build everything without connecting."""
        classes = self._classes()
        wiring = build_wiring(self.loaded)
        if any(i.is_twin for i in self.file.instruments.values()):
            self.host = TwinHost(self.clock, seed=self.seed)
            self.bench = LabBench(self.file, wiring, self.clock, self._replay())
            self._mount_twins(classes)
        for name, cls in classes.items():
            self.devices[name] = self._device(name, cls)
        self._analysers()

    def connect(self) -> None:
        """Connect all instruments; raises one `LinkError` that lists every failure."""
        failures: list[str] = []
        for name in self.file.instruments:
            try:
                self.devices[name].connect()
            except QlabError as error:
                failures.append(str(error))
        if failures:
            what = "not all instruments are there:\n  " + "\n  ".join(failures)
            raise LinkError(what, device=self.file.name)

    def _clock(self) -> Clock:
        mode = self.file.clock.mode
        if mode == "paced":
            return PacedClock(self.file.clock.speed)
        return RealClock() if mode == "real" else SteppedClock()

    def _classes(self) -> dict[str, Any]:
        problems: list[str] = []
        classes: dict[str, Any] = {}
        places: dict[str, list[str]] = {}
        for name, instrument in self.file.instruments.items():
            key: Key = ("instruments", name)
            try:
                cls = _find_class(instrument.class_, "qlab.devices")
            except LabFileError as error:
                problems.append(self.loaded.source.complain((*key, "class"), str(error)))
                continue
            classes[name] = cls
            problems += self._check_settings(key, cls.Settings, instrument.settings, "settings")
            if instrument.is_twin:
                twin = _find_class(cls.twin, "qlab.sim_devices")
                parameters = inspect.getmodule(twin)
                problems += self._check_settings(key, getattr(parameters, "Parameters", None), instrument.twin, "twin")
            elif not self._address_is_known(instrument.address):
                try:
                    kind_of_address(instrument.address)
                except QlabError as error:
                    problems.append(self.loaded.source.complain((*key, "address"), str(error)))
            if instrument.address != "twin":
                places.setdefault(instrument.address, []).append(name)
        for address, names in places.items():
            units = [self.file.instruments[n].unit for n in names]
            shared = len(names) > 1
            if shared and not all(getattr(classes.get(n), "multidrop", False) for n in names):
                text = f"{' and '.join(names)} stand at one address, {address}"
                problems.append(self.loaded.source.complain(("instruments", names[1], "address"), text))
            elif shared and len(set(units)) < len(units):
                text = f"{' and '.join(names)} share the bus {address} and must each have a 'unit' of their own"
                problems.append(self.loaded.source.complain(("instruments", names[1], "unit"), text))
        if problems:
            raise LabFileError("\n".join(problems))
        return classes

    @staticmethod
    def _address_is_known(address: str) -> bool:
        return address.startswith("twin")

    def _check_settings(self, key: Key, model: Any, values: dict[str, Any], section: str) -> list[str]:
        if model is None:
            return []
        try:
            model.model_validate(values)
        except ValidationError as error:
            return [self._setting_problem(key, model, section, detail) for detail in error.errors()]
        return []

    def _setting_problem(self, key: Key, model: Any, section: str, detail: Any) -> str:
        path: Key = (*key, section, *detail["loc"])
        if detail["type"] == "extra_forbidden":
            known = list(model.model_fields)
            near = difflib.get_close_matches(str(detail["loc"][-1]), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
            return self.loaded.source.complain(path, f"unknown key; {hint}")
        return self.loaded.source.complain(path, f"found {detail['input']!r}; {detail['msg']}")

    def _mount_twins(self, classes: dict[str, Any]) -> None:
        buses: dict[str, list[str]] = {}
        for name, instrument in self.file.instruments.items():
            if not instrument.is_twin:
                continue
            twin_class = _find_class(classes[name].twin, "qlab.sim_devices")
            parameters = dict(instrument.twin)
            if instrument.unit is not None:
                parameters.setdefault("address", instrument.unit)
            self.twins[name] = twin_class.build(name, self.bench, parameters)
            if instrument.address.startswith("twin:"):
                buses.setdefault(instrument.address, []).append(name)
            else:
                self._mount(name, self.twins[name], classes[name].wire)
        for bus, names in buses.items():
            units = {str(self.file.instruments[n].unit): self.twins[n] for n in names}
            combined = type(self.twins[names[0]]).combine(units)
            mount = self._mount(bus.partition(":")[2], combined, classes[names[0]].wire)
            for n in names:
                self.mounts[n] = mount

    def _mount(self, name: str, twin: Any, wire: str) -> Any:
        if self.host is None:
            raise AssertionError  # pragma: no cover - built before
        if hasattr(twin, "ports"):
            for port, part in twin.ports().items():
                self.mounts[f"{name}.{port}"] = self.host.mount_zmq(part, name=f"{name}.{port}")
            self.mounts[name] = self.mounts[f"{name}.{next(iter(twin.ports()))}"]
        elif wire == "zmq":
            self.mounts[name] = self.host.mount_zmq(twin, name=name)
        elif wire == "serial":
            try:
                self.mounts[name] = self.host.mount_pty(twin, name=name)
            except QlabError:  # no ptys on this system
                self.mounts[name] = self.host.mount_serial_tcp(twin, name=name)
        else:
            self.mounts[name] = self.host.mount_tcp(twin, name=name)
        return self.mounts[name]

    def _link(self, name: str, label: str, address: str, peer: Any, options: Any) -> Link:
        if address not in self._links:
            self._links[address] = open_link(address, name=label, clock=self.clock, peer=peer, **options)
        del name
        return self._links[address]

    def _device(self, name: str, cls: Any) -> Any:
        instrument = self.file.instruments[name]
        mount = self.mounts.get(name)
        address = mount.address if mount is not None else instrument.address
        extra: dict[str, Any] = {}
        if instrument.unit is not None:
            extra["unit"] = instrument.unit
        if "datalink" in inspect.signature(cls.__init__).parameters:
            service = self.mounts.get(f"{name}.datalink")
            where = service.address if service is not None else instrument.settings.get("datalink")
            if where:
                extra["datalink"] = self._link(name, f"{name} download service", where, service, cls.link_options)
        link = self._link(name, name, address, mount, cls.link_options)
        device = cls(name=name, link=link, clock=self.clock, settings=instrument.settings, **extra)
        if hasattr(device, "recorder"):
            device.recorder.folder = self.data_dir / "tags"
        return device

    def _analysers(self) -> None:
        problems = []
        for name, model in self.file.analysers.items():
            for role in ("hwp", "qwp", "tagger"):
                if getattr(model, role) not in self.devices:
                    text = f"there is no instrument {getattr(model, role)!r}"
                    problems.append(self.loaded.source.complain(("analysers", name, role), text))
            if problems:
                continue
            cls = _find_class(ANALYSER, "qlab.devices")
            self.devices[name] = cls(
                name=name,
                clock=self.clock,
                hwp=self.devices[model.hwp],
                qwp=self.devices[model.qwp],
                transmitted=model.transmitted,
                reflected=model.reflected,
            )
        if problems:
            raise LabFileError("\n".join(problems))

    def _replay(self) -> Any:
        replay = self.file.world.replay
        if replay is None:
            return None
        from qlab.tags.files.sniff import open_tags
        from qlab.tags.replay import ReplayFeed

        block = open_tags(replay.file, bin_ps=replay.bin_ps)

        def feed(name: str) -> TagFeed:
            inputs = {channel: n - 1 for n, channel in replay.inputs.get(name, {}).items()}
            return ReplayFeed(block, start_ps=round(replay.start_s * PS_PER_S), channels=inputs)

        return feed

    # Life.

    def make_safe(self) -> None:
        """Bring every instrument into its safe state, whatever happens to the others."""
        for device in self.devices.values():
            if hasattr(device, "make_safe"):
                device.guard(device.make_safe)

    def close(self) -> None:
        """Leave everything safe and close links, mounts and clock."""
        if self._closed:
            return
        self._closed = True
        for name in self.file.instruments:
            device = self.devices.get(name)
            if device is not None:
                device.guard(device.disconnect)
                device.destroy()
        for link in self._links.values():
            link.close()
        if self.host is not None:
            self.host.close()
        self.clock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _find_class(name: str, group: str) -> Any:
    """Return a class by dotted name or entry point; raises `LabFileError` saying what is missing."""
    for entry in metadata.entry_points(group=group):
        if entry.name == name:
            return entry.load()
    module, _, attribute = name.rpartition(".")
    if not module:
        msg = f"{name!r} is neither a dotted class name nor an entry point of {group}"
        raise LabFileError(msg)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        msg = f"there is no module {error.name!r} for class {name!r}"
        raise LabFileError(msg) from error
    if not hasattr(found, attribute):
        near = difflib.get_close_matches(attribute, getattr(found, "__all__", []), 1)
        hint = f"; did you mean {module}.{near[0]}?" if near else ""
        msg = f"module {module} has no class {attribute!r}{hint}"
        raise LabFileError(msg)
    return getattr(found, attribute)
