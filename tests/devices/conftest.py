"""Drivers on a scripted peer (exact bytes), and on their twins over real sockets and ptys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bluesky import RunEngine

from qlab.clock import SteppedClock
from qlab.lab.build import Lab, open_lab
from qlab.links.memory import MemoryLink
from qlab.links.policy import LinkPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qlab.links.link import Link

INSTRUMENTS = {
    "pump": "{class: devices.sources.thorlabs_cld1015.CLD1015, address: twin, "
    "settings: {current_limit_a: 0.12, current_a: 0.08, temperature_c: 25.0}}",
    "oven": "{class: devices.sources.thorlabs_tc200.TC200, address: twin, settings: {temperature_c: 40.0}}",
    "meter": "{class: devices.power.thorlabs_pm100d.PM100D, address: twin, settings: {wavelength_nm: 405.0}}",
    "hwp": '{class: devices.polarisation.thorlabs_elliptec.ELL14, address: "twin:plates", unit: "0"}',
    "qwp": '{class: devices.polarisation.thorlabs_elliptec.ELL14, address: "twin:plates", unit: "B", '
    "settings: {offset_deg: 12.5}}",
    "spd": "{class: devices.detectors.sfifteen_spd.SPD, address: twin, settings: {counting_time_ms: 200}}",
    "tagger": "{class: devices.taggers.idquantique_id900.ID900, address: twin}",
}


class ScriptedPort:
    """A wire with a script: each write must be the next line's bytes and brings its reply."""

    address = "script"

    def __init__(self, script: list[tuple[bytes, bytes]]) -> None:
        self.script = script
        self.waiting = b""
        self.plugged = 0

    def plug(self) -> None:
        self.plugged += 1
        self.waiting = b""

    def unplug(self) -> None:
        self.waiting = b""

    def write(self, data: bytes) -> None:
        assert self.script, f"{data!r} was sent, but nothing more is in the script"
        expected, reply = self.script.pop(0)
        assert data == expected
        self.waiting += reply

    def read(self, size: int, wall_timeout_s: float) -> bytes:
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    with SteppedClock() as stepped:
        yield stepped


@pytest.fixture
def scripted(clock: SteppedClock) -> Callable[..., tuple[Link, ScriptedPort]]:
    """Make a link whose dialogue is given; no retries, so that the script is exact."""

    def make(
        *lines: tuple[bytes, bytes],
        retries: int = 0,
        terminator: bytes = b"\n",
        command_terminator: bytes | None = None,
    ) -> tuple[Link, ScriptedPort]:
        port = ScriptedPort(list(lines))
        policy = LinkPolicy(retries=retries, reconnects=0)
        link = MemoryLink(
            port,
            name="script",
            clock=clock,
            policy=policy,
            terminator=terminator,
            command_terminator=command_terminator,
        )
        return link, port

    return make


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Put instruments of `INSTRUMENTS` on a table: twins behind real sockets and ptys, no optics."""
    labs: list[Lab] = []

    def lay(*names: str, connect: bool = True, **extra: str) -> Lab:
        chosen = {name: INSTRUMENTS[name] for name in names} | extra
        text = "qlab: 1\nname: table\nseed: 5\ninstruments:\n"
        text += "".join(f"  {name}: {line}\n" for name, line in chosen.items())
        path = tmp_path / "table.yaml"
        path.write_text(text)
        labs.append(open_lab(str(path), data_dir=tmp_path / "data", connect=connect))
        return labs[-1]

    yield lay
    for lab in labs:
        lab.close()


@pytest.fixture
def engine() -> Iterator[RunEngine]:
    """A run engine whose loop and thread end with the test (bluesky #1872)."""
    run_engine = RunEngine({})
    yield run_engine
    loop = run_engine.loop
    loop.call_soon_threadsafe(loop.stop)
    run_engine._th.join()
    loop.close()
