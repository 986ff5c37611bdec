"""Find classes of devices and twins by dotted name or entry point; qlab itself knows none of them by import."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from pydantic import BaseModel

from qlab.errors import LabFileError
from qlab.lab.source import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from qlab.clock import Clock
    from qlab.links.link import Link
    from qlab.twin.bench import Bench
    from qlab.twin.conversation import MultiPort, Twin

__all__ = [
    "DeviceClass",
    "TwinBuilder",
    "find_class",
    "find_device_class",
    "find_twin_class",
    "known_devices",
    "look_beside",
    "parameters_of",
]

DEVICES, TWINS = "qlab.devices", "qlab.sim_devices"


class DeviceClass(Protocol):
    """What the lab needs of a device class; `devices.base.Instrument` has it."""

    __name__: str
    twin: str
    wire: Literal["tcp", "serial", "zmq", "udp"]
    link_options: Mapping[str, Any]
    further_links: Mapping[str, Mapping[str, Any]]
    multidrop: bool
    speaks_in_files: bool
    Settings: type[BaseModel]
    query_identity: Callable[..., str]

    def __call__(self, *, name: str, link: Link, clock: Clock, settings: Mapping[str, object], **more: object) -> Any:
        """Make the device (an Ophyd device, which has no types)."""
        ...


class TwinBuilder(Protocol):
    """What the lab needs of a twin class."""

    __name__: str
    wire: Literal["tcp", "serial", "zmq", "udp"]

    def build(self, name: str, bench: Bench, parameters: Mapping[str, object]) -> Twin | MultiPort:
        """Build a twin from its `twin:` section (a class method)."""
        ...


def find_device_class(name: str, *, composite: bool = False) -> DeviceClass:
    """Return a device class; raises `LabFileError` for what is none, with the nearest known name.

    Parameters
    ----------
    name:
        Dotted name or entry point.
    composite:
        Whether it is a device made of others, without a wire of its own.
    """
    found = find_class(name, DEVICES)
    wanted = () if composite else ("Settings", "further_links", "link_options", "twin", "wire")
    missing = [part for part in wanted if not hasattr(found, part)]
    if not inspect.isclass(found) or missing:
        msg = f"{name!r} is no device class: it has no {', no '.join(missing) or 'constructor'}"
        raise LabFileError(msg)
    return cast("DeviceClass", found)


def find_twin_class(device: DeviceClass) -> TwinBuilder:
    """Return the twin of a device class; raises `LabFileError` where it has none."""
    if not device.twin:
        msg = f"{device.__name__} has no twin; give the address of a real instrument"
        raise LabFileError(msg)
    found = find_class(device.twin, TWINS)
    if not hasattr(found, "build"):
        msg = f"{device.twin!r}, the twin of {device.__name__}, is no twin class: it has no build()"
        raise LabFileError(msg)
    return cast("TwinBuilder", found)


def parameters_of(twin: object) -> type[BaseModel] | None:
    """Return the model of a twin's `twin:` section: `Parameters` of the class, or beside it in its module."""
    found = getattr(twin, "Parameters", None) or getattr(inspect.getmodule(twin), "Parameters", None)
    return found if inspect.isclass(found) and issubclass(found, BaseModel) else None


def find_class(name: str, group: str) -> object:
    """Return a class by dotted name or entry point; raises `LabFileError` saying what is missing and what is near."""
    name = _entry_points(group, tuple(sys.path)).get(name, name)
    module, _, attribute = name.rpartition(".")
    if not module or not all(part.isidentifier() for part in name.split(".")):
        msg = f"{name!r} is neither a dotted class name nor an entry point of {group}; {_hint(name, group)}"
        raise LabFileError(msg)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            msg = f"there is no module {error.name!r} for class {name!r}; {_hint(name, group)}"
        else:
            msg = f"class {name!r} needs the module {error.name!r}, which is not installed"
        raise LabFileError(msg) from error
    except ImportError as error:
        msg = f"the module of class {name!r} cannot be imported: {error}"
        raise LabFileError(msg) from error
    if not hasattr(found, attribute):
        near = nearest(attribute, getattr(found, "__all__", []))
        msg = f"module {module} has no class {attribute!r}; {near}"
        raise LabFileError(msg)
    return getattr(found, attribute)


@lru_cache(maxsize=8)
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, str]:
    """Return dotted names by entry point; read once, as looking through all installed packages takes a tenth of a second."""
    del path  # what the answer depends on
    return {entry.name: entry.value.replace(":", ".") for entry in metadata.entry_points(group=group)}


def look_beside(lab_file: Path) -> None:
    """Find modules beside a lab file too; what is installed goes first."""
    folder = str(lab_file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)


@lru_cache(maxsize=4)
def known_devices(group: str = DEVICES) -> tuple[str, ...]:
    """Return the dotted names of the classes of our own packages that a lab file may name, and all entry points.

    A module of the package whose requirements are not installed is left out.
    """
    package = importlib.import_module("devices" if group == DEVICES else "sim_devices")
    names = []
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.ispkg or module.name.count(".") < 2:
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ImportError:
            continue
        names += [f"{module.name}.{n}" for n in getattr(loaded, "__all__", []) if _fits(getattr(loaded, n), group)]
    return (*(entry.name for entry in metadata.entry_points(group=group)), *names)


def _fits(found: object, group: str) -> bool:
    wanted = ("Settings", "further_links", "link_options", "twin", "wire") if group == DEVICES else ("build",)
    fits = inspect.isclass(found) and all(hasattr(found, part) for part in wanted)
    return fits and (group != DEVICES or bool(getattr(found, "twin", "")))  # what has no twin of ours is a base class


def _hint(name: str, group: str) -> str:
    known = known_devices(group)
    by_class = {full.rpartition(".")[2].lower(): full for full in known}
    if name.rpartition(".")[2].lower() in by_class:
        return f"did you mean {by_class[name.rpartition('.')[2].lower()]!r}?"
    return nearest(name, known)
