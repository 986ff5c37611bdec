"""Open a lab: clock, world, twins on their wires, links and devices; close it in the reverse order, safely."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlab.clock import Clock, PacedClock, RealClock, SteppedClock
from qlab.errors import LabFileError, LimitError, LinkError, QlabError
from qlab.lab.bench import LabBench
from qlab.lab.check import Checked, check_lab
from qlab.lab.classes import find_device_class, look_beside
from qlab.lab.key_parties import lab_parties
from qlab.lab.load import load_lab, shipped_labs
from qlab.lab.mounting import TwinRack
from qlab.lab.replaying import replay_feeds
from qlab.lab.wires import Wiring
from qlab.lab.wiring import build_wiring
from qlab.lab.world_faults import WorldFaults
from qlab.links.factory import open_link
from qlab.twin.host import TwinHost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from qlab.lab.load import Loaded
    from qlab.lab.models import ClockModel
    from qlab.links.link import Link
    from qlab.twin.mount import Mount

__all__ = ["Lab", "open_lab"]


def open_lab(
    name: str = "bell",
    *,
    overrides: Sequence[str] = (),
    clock: Clock | None = None,
    data_dir: Path | None = None,
    connect: bool = True,
    serial_tcp: bool = False,
) -> Lab:
    """Open the lab of a file or a shipped one.

    Parameters
    ----------
    name, overrides:
        As for `qlab.lab.load.load_lab`.
    clock:
        Instead of the one that the lab file asks for; the lab closes it.
    data_dir:
        Where data go; by default what the lab file says, or `./qlab-data`.
    connect:
        Whether to connect all instruments; if some fail, one `LinkError` lists them.
    serial_tcp:
        Whether the serial twins are on TCP, as behind a serial server, instead of on pseudo-terminals.

    Raises
    ------
    LabFileError
        With every mistake in the file, one a line.
    """
    loaded = load_lab(name, overrides)
    lab = Lab(loaded, clock, data_dir or loaded.lab.data_directory or Path("qlab-data"), serial_tcp=serial_tcp)
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
    loaded, file, path, sha256, seed:
        The lab file.
    wiring:
        The world that the file describes, and the handles on it.
    clock, host, bench:
        Lab time, the twins' host, and what the twins see; no host and no bench where every instrument is real.
    faults:
        What can be made to go wrong in the world.
    devices:
        Ophyd devices by name, analysers and pair clocks included.
    twins, mounts:
        By instrument name; a further port of an instrument as NAME.PORT.
    """

    def __init__(self, loaded: Loaded, clock: Clock | None, data_dir: Path, *, serial_tcp: bool = False) -> None:
        self.loaded = loaded
        self.file = loaded.lab
        self.path = loaded.path
        self.sha256 = loaded.sha256
        self.seed = loaded.lab.seed
        self.data_dir = data_dir
        self.wiring = Wiring()
        self.clock = clock or _clock(loaded.lab.clock)
        self._foreign_clock = clock
        self.host: TwinHost | None = None
        self.bench: LabBench | None = None
        self.faults = WorldFaults(self.file, self.wiring, self.clock)
        self.devices: dict[str, Any] = {}
        self.twins: dict[str, Any] = {}
        self.mounts: dict[str, Mount] = {}
        self._links: dict[str, Link] = {}
        self._closed = False
        self._serial_tcp = serial_tcp

    def build(self) -> None:
        """Build everything without connecting; raises `LabFileError` with every mistake at once."""
        if self.path not in shipped_labs().values():
            look_beside(self.path)
        checked = check_lab(self.loaded, self._foreign_clock)
        self.wiring = build_wiring(checked)
        self.faults = WorldFaults(self.file, self.wiring, self.clock)
        checked.raise_problems()
        if any(instrument.is_twin for instrument in self.file.instruments.values()):
            self.host = TwinHost(self.clock, seed=self.seed)
            self.bench = LabBench(checked, self.wiring, self.clock, replay_feeds(self.loaded))
            rack = TwinRack(checked, self.host, serial_tcp=self._serial_tcp)
            self.twins, self.mounts = rack.twins, rack.mounts
            rack.build(self.bench)
        for name in self.file.instruments:
            self.devices[name] = self._device(name, checked)
        self._analysers(checked)
        self._pair_clocks(checked)
        parties = lab_parties(checked, self.devices, self.data_dir / "keys")
        if parties is not None:
            self.devices[parties.name] = parties
        checked.raise_problems()

    def connect(self) -> None:
        """Connect all instruments; raises one `LinkError` that lists every failure."""
        failures: list[str] = []
        for name in self.file.instruments:
            try:
                self.connect_one(name)
            except QlabError as error:
                failures.append(str(error))
        if failures:
            what = "not all instruments are there:\n  " + "\n  ".join(failures)
            raise LinkError(what, device=self.file.name)

    def connect_one(self, name: str) -> None:
        """Connect an instrument; a setting beyond the instrument's limits is complained of where the lab file says it."""
        try:
            self.devices[name].connect()
        except LimitError as error:
            key = (error.signal,) if error.signal in self.file.instruments[name].settings else ()
            place = ("instruments", name, "settings", *key)
            raise LabFileError(self.loaded.source.complain(place, str(error))) from error

    def _device(self, name: str, checked: Checked) -> Any:
        instrument, cls = self.file.instruments[name], checked.devices[name]
        mount = self.mounts.get(name)
        more: dict[str, object] = {}
        if instrument.unit is not None:
            more["unit"] = instrument.unit
        for port, options in cls.further_links.items():
            service = self.mounts.get(f"{name}.{port}")
            where = service.address if service is not None else instrument.settings.get(port)
            if where:
                more[port] = self._link(f"{name} {port}", str(where), service, options)
        link = self._link(name, mount.address if mount is not None else instrument.address, mount, cls.link_options)
        device = cls(name=name, link=link, clock=self.clock, settings=instrument.settings, **more)
        if hasattr(device, "recorder"):
            device.recorder.folder = self.data_dir / "tags"
        return device

    def _link(self, label: str, address: str, mount: Mount | None, options: Any) -> Link:
        """Return the link to an address; instruments on one bus share it."""
        if address not in self._links:
            self._links[address] = open_link(address, name=label, clock=self.clock, peer=mount, **options)
        return self._links[address]

    def _analysers(self, checked: Checked) -> None:
        for name, model in self.file.analysers.items():
            try:
                cls: Any = find_device_class(model.class_, composite=True)
            except LabFileError as error:
                checked.complain(("analysers", name, "class"), str(error))
                continue
            self.devices[name] = cls(
                name=name,
                clock=self.clock,
                hwp=self.devices[model.hwp],
                qwp=self.devices[model.qwp],
                transmitted=model.transmitted,
                reflected=model.reflected,
            )

    def _pair_clocks(self, checked: Checked) -> None:
        for name, model in self.file.pair_clocks.items():
            try:
                cls: Any = find_device_class(model.class_, composite=True)
            except LabFileError as error:
                checked.complain(("pair_clocks", name, "class"), str(error))
                continue
            given = model.model_dump(exclude={"class_", "first", "second", "search"})
            search = model.search.model_dump(exclude={"max_offset_ms"})
            search["max_offset_ps"] = round(model.search.max_offset_ms * 1e9)
            taggers = {"first": self.devices[model.first], "second": self.devices[model.second]}
            self.devices[name] = cls(name=name, clock=self.clock, search=search, **taggers, **given)

    # Life.

    def make_safe(self) -> None:
        """Bring every instrument into its safe state, whatever happens to the others."""
        for device in self.devices.values():
            if hasattr(device, "make_safe"):
                device.guard(device.make_safe)

    def join_jobs(self, timeout: float | None = None) -> bool:
        """Interrupt what instruments are at and wait for it, each for at most so many wall seconds."""
        ended = True
        for name in self.file.instruments:
            device = self.devices.get(name)
            if device is not None:
                device.interrupt_jobs()
                ended = device.join_jobs(timeout) and ended
        return ended

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


def _clock(model: ClockModel) -> Clock:
    if model.mode == "paced":
        return PacedClock(model.speed)
    return RealClock() if model.mode == "real" else SteppedClock()
