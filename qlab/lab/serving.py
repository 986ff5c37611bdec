"""`qlab twin serve`: all twins of a lab on loopback, for any client in any language, until somebody ends it."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from qlab.clock import PacedClock, SteppedClock
from qlab.errors import BadRequestError
from qlab.lab.build import open_lab
from qlab.twin.control import ControlServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qlab.lab.build import Lab

__all__ = ["serve", "served_lab", "until_ended"]


def serve(
    name: str,
    overrides: Sequence[str] = (),
    *,
    speed: float = 1.0,
    stepped: bool = False,
    port: int = 0,
    serial_tcp: bool = False,
    write: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the twins of a lab until Ctrl-C or SIGTERM.

    Parameters
    ----------
    name, overrides:
        The lab.
    speed:
        Lab seconds per wall second.
    stepped:
        Whether time stands still but for `qlab twin step`.
    port:
        Of the control channel; 0 takes any free one.
    serial_tcp:
        Whether serial twins are on TCP, for clients that cannot open a pseudo-terminal.
    write:
        Where to write a lab file that has the twins' addresses: for drivers in another process.
    say:
        Takes what a person reads.
    """
    if not speed > 0:
        msg = f"--speed {speed:g}: expected a positive number of lab seconds per wall second"
        raise BadRequestError(msg)
    clock = SteppedClock() if stepped else PacedClock(speed)
    with open_lab(name, overrides=overrides, clock=clock, connect=False, serial_tcp=serial_tcp) as lab:
        if lab.host is None:
            msg = f"{lab.path}: no instrument has the address twin; there is nothing to serve"
            raise BadRequestError(msg)
        control = ControlServer(lab.host, port=port, world=lab.faults.answer)
        for mount, address in _addresses(lab).items():
            say(f"{mount:20s} {address}")
        say(f"{'control':20s} {control.address[0]}:{control.port}")
        if write is not None:
            _write(write, served_lab(lab))
            say(f"lab file with these addresses: {write}")
        say("serving; Ctrl-C ends it")
        with until_ended() as ended:
            while not ended.wait(0.5):
                pass


def served_lab(lab: Lab) -> dict[str, object]:
    """Return a lab file, as data, whose instruments are the served twins: for drivers that do not know them for twins."""
    data = json.loads(lab.file.model_dump_json(by_alias=True, exclude_unset=True))
    data["clock"] = {"mode": "real"}
    data["name"] = f"{lab.file.name}-served"
    data.pop("world", None)
    for name, instrument in data["instruments"].items():
        if name not in lab.mounts:
            continue
        instrument["address"] = lab.mounts[name].address
        instrument.pop("twin", None)
        service = lab.mounts.get(f"{name}.datalink")
        if service is not None:
            instrument.setdefault("settings", {})["datalink"] = service.address
    return dict(data)


def _addresses(lab: Lab) -> dict[str, str]:
    return {name: mount.address for name, mount in lab.mounts.items()}


def _write(path: Path, data: dict[str, object]) -> None:
    try:
        path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise BadRequestError(msg) from error


@contextmanager
def until_ended() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, as long as the block lasts."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
