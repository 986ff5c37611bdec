"""The dialogue that every instrument must master: connect, describe, measure, be well, be left safe.

The same exercise runs on twins, on cassettes and on hardware.  It switches nothing on: it reads, sets what the lab file
sets, and leaves the instrument safe.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from qlab.clock import SteppedClock
from qlab.errors import InstrumentError, QlabError
from qlab.lab.classes import find_device_class
from qlab.links.cassette import CassetteError, CassetteFrameLink, CassetteLink, CassetteRecorder, read_cassette

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.lab.build import Lab
    from qlab.links.cassette import Cassette

__all__ = ["exercise", "record", "replay"]

LONGEST_S = 600.0
"""Wall seconds that a measurement of the exercise may last."""


def exercise(device: Any, *, measure: bool = True) -> dict[str, Any]:
    """Take an instrument through the exercise; returns what it said, as JSON can have it.

    Parameters
    ----------
    device:
        An unconnected device.
    measure:
        False for one whose measurements go another way than over its links.

    Raises
    ------
    QlabError
        The instrument or its link failed, or the driver's documents contradict each other.
    """
    device.connect()
    try:
        health = device.check_health()
        if measure:
            device.trigger().wait(LONGEST_S)
        reading, description = device.read(), device.describe()
        configuration, described = device.read_configuration(), device.describe_configuration()
        for what, values, keys in (("read", reading, description), ("configuration", configuration, described)):
            if set(values) != set(keys):
                text = f"{what} and its description have different keys"
                found = ", ".join(sorted(set(values) ^ set(keys)))
                raise InstrumentError(text, device=device.name, found=found)
        device.unstage().wait(LONGEST_S)
        return {
            "identity": device.identity_text,
            "firmware": device.firmware,
            "health": list(health),
            "reading": {key: _plain(each["value"]) for key, each in reading.items()},
            "configuration": {key: _plain(each["value"]) for key, each in configuration.items()},
        }
    finally:
        device.disconnect()


def record(lab: Lab, name: str, path: Path) -> dict[str, Any]:
    """Exercise an instrument of an open, unconnected lab and record what went over its links."""
    device, model = lab.devices[name], lab.file.instruments[name]
    links: dict[str, Any] = device.links
    header: dict[str, object] = {
        "class": model.class_,
        "instrument": name,
        "twin": model.is_twin,
        "unit": model.unit,
        "settings": model.settings,
        "links": list(links),
        "lab": lab.file.name,
    }
    recorder = CassetteRecorder(lab.clock, header)
    for label, link in links.items():
        recorder.attach(link, label)
    try:
        result = exercise(device, measure=not device.speaks_in_files)
    finally:
        for link in links.values():
            link.on_bytes = None
    recorder.save(path, result)
    return result


def replay(path: Path, prepare: Callable[[Any], object] | None = None) -> dict[str, Any]:
    """Exercise a driver on a cassette; returns what it made of it.

    Parameters
    ----------
    path:
        The cassette.
    prepare:
        Is given the device before the exercise.

    Raises
    ------
    CassetteError
        The driver sends other bytes than were recorded, or makes something else of the replies.
    """
    cassette = read_cassette(path)
    name = str(cassette.header.get("instrument", "device"))
    with SteppedClock() as clock:
        device = _device(cassette, name, clock)
        try:
            if prepare is not None:
                prepare(device)
            result = exercise(device, measure=not device.speaks_in_files)
        finally:
            device.destroy()
    left = sum(cassette.left().values())
    if left:
        what = "the driver sends less than was recorded"
        raise CassetteError(what, device=name, found=f"{left} bytes were not sent", expected="the whole cassette")
    recorded = cassette.result if isinstance(cassette.result, dict) else result
    wrong = [key for key in result if result[key] != recorded.get(key)]
    if wrong:
        what = "the driver makes something else of the replies than when they were recorded"
        found, expected = ({key: source.get(key) for key in wrong} for source in (result, recorded))
        raise CassetteError(what, device=name, found=repr(found), expected=repr(expected))
    return result


def _device(cassette: Cassette, name: str, clock: SteppedClock) -> Any:
    cls = find_device_class(str(cassette.header.get("class", "")))
    player = CassetteFrameLink if cls.wire in ("zmq", "udp") else CassetteLink
    links: dict[str, Any] = {}
    for label in ("main", *cassette.header.get("links", ())):
        options = cls.link_options if label == "main" else cls.further_links.get(label, {})
        ends = {key: value for key, value in options.items() if key in ("terminator", "command_terminator", "encoding")}
        links[label] = player(cassette.tracks.setdefault(label, deque()), name=f"{name} {label}", clock=clock, **ends)
    more = dict(links)
    if cassette.header.get("unit") is not None:
        more["unit"] = cassette.header["unit"]
    return cls(
        name=name, link=more.pop("main"), clock=clock, settings=dict(cassette.header.get("settings") or {}), **more
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON can have it."""
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    msg = f"a signal has the value {value!r} of type {type(value).__name__}, which no document can carry"
    raise QlabError(msg)
