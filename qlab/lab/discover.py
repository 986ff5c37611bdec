"""`qlab discover`: which instruments are there, and what a lab file would say of them.

VISA resources are asked for their identity, as that disturbs nobody.  A serial port is asked only where a person says so:
whoever is connected there gets the bytes of every driver's identity query until one of them is answered.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qlab.clock import RealClock
from qlab.errors import LinkError
from qlab.lab.classes import find_device_class, known_devices
from qlab.links.factory import kind_of_address, open_link
from qlab.links.policy import LinkPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qlab.lab.classes import DeviceClass
    from qlab.links.link import Link

__all__ = ["Found", "addresses", "discover", "suggest"]

WIRES = {"visa": ("tcp",), "serial": ("serial",), "zmq": ("zmq",), "udp": ("udp",)}
TIMEOUT_S = 0.5
OUTSIDE = re.compile(r"(USB|TCPIP|GPIB|VXI|PXI)\d*::")
"""VISA resources but serial ports, which are listed by themselves."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is at an address.

    Attributes
    ----------
    address, note:
        Where, and what the system says of it.
    identity:
        What answered, empty where nobody did or nobody was asked.
    class_name:
        Dotted name of the device class that knows it, empty where none does.
    asked:
        Whether anybody was asked.
    trouble:
        Why there is no identity: what came instead, or why nobody could be asked.
    """

    address: str
    note: str = ""
    identity: str = ""
    class_name: str = ""
    asked: bool = False
    trouble: str = ""

    def __str__(self) -> str:
        if self.identity:
            who = self.identity if self.class_name else f"{self.identity} - no driver here knows it"
        elif self.asked:
            who = self.trouble or "nobody answers"
        else:
            who = "not asked"
        return f"{self.address}: {who}{f' ({self.note})' if self.note else ''}"


def addresses() -> list[Found]:
    """Return the VISA resources and serial ports that the system shows, without asking anybody."""
    found: list[Found] = []
    import pyvisa
    from serial.tools import list_ports

    manager = pyvisa.ResourceManager("@py")
    try:
        with warnings.catch_warnings():  # of what would be needed to look for more: zeroconf, psutil, gpib
            warnings.simplefilter("ignore")
            found += [Found(str(name)) for name in manager.list_resources("?*") if OUTSIDE.match(str(name))]
    finally:
        manager.close()
    found += [Found(port.device, port.description or "") for port in sorted(list_ports.comports())]
    return found


def discover(places: Iterable[Found], *, serial: bool = False, timeout_s: float = TIMEOUT_S) -> Iterator[Found]:
    """Ask who is at each address, one after the other.

    Parameters
    ----------
    places:
        As `addresses` returns them, or a person names them.
    serial:
        Whether serial ports are asked as well.
    timeout_s:
        Wall seconds that an answer may take.

    Raises
    ------
    LabFileError
        An address is of no known form.
    """
    classes = [(name, find_device_class(name)) for name in dict.fromkeys(known_devices())]
    with RealClock() as clock:
        for place, kind in [(place, kind_of_address(place.address)) for place in places]:
            if kind == "serial" and not serial:
                yield place
                continue
            fitting = [(name, cls) for name, cls in classes if cls.wire in WIRES[kind]]
            yield _ask(place, fitting, clock, timeout_s)


def suggest(found: Sequence[Found]) -> str:
    """Return what a lab file's `instruments:` would say."""
    lines, taken = ["instruments:"], set()
    for each in found:
        if not each.class_name:
            continue
        short = each.class_name.rpartition(".")[2].lower()
        name = next(n for n in (short, *(f"{short}_{i}" for i in range(2, 1000))) if n not in taken)
        taken.add(name)
        unit = ', unit: "0"' if getattr(find_device_class(each.class_name), "multidrop", False) else ""
        lines.append(f'  {name}: {{class: {each.class_name}, address: "{each.address}"{unit}}}  # {each.identity}')
    return "\n".join(lines) if len(lines) > 1 else ""


def _ask(place: Found, classes: Sequence[tuple[str, DeviceClass]], clock: RealClock, timeout_s: float) -> Found:
    """Ask in every way that a class has; classes that ask in the same way share one question."""
    ways: dict[object, list[tuple[str, DeviceClass]]] = {}
    for name, cls in classes:
        ways.setdefault((cls.query_identity, repr(sorted(cls.link_options.items())), cls.wire), []).append((name, cls))
    heard = trouble = ""
    policy = LinkPolicy(timeout_s=timeout_s, retries=0, reconnects=0, silence_s=min(timeout_s, 0.1))
    for alike in ways.values():
        cls = alike[0][1]
        link = open_link(place.address, name="discover", clock=clock, policy=policy, **cls.link_options)
        try:
            said = _identity(link, cls, clock)
        except LinkError as error:
            if not link.openings:  # another question would not help
                return replace(place, asked=True, trouble=error.what)
            trouble = trouble or (f"answers, but with no identity: {error.found!r}" if error.found else "")
            continue
        for name, each in alike:
            if said and re.search(str(getattr(each, "identity", "$^")), said):
                return replace(place, identity=said, class_name=name, asked=True)
        heard = heard or said
    return replace(place, identity=heard, asked=True, trouble=trouble)


def _identity(link: Link, cls: DeviceClass, clock: RealClock) -> str:
    """Return what answers to a class's identity query; raises `LinkError` for silence and nonsense."""
    device: Any = None
    try:
        device = cls(name="discover", link=link, clock=clock, settings={})
        link.identify = None
        link.open()
        if cls.wire == "serial":
            link.clear(b"\r\n")  # what the query before has left in a buffer ends here
        return str(device.query_identity(link)).strip()
    finally:
        link.close()
        if device is not None:
            device.destroy()
