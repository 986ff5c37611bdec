"""What one point of a plan costs over the wire: the RunEngine on instruments of every kind of wire, side by side.

    python benchmarks/bench_run_engine.py

Every variant takes the same `bp.count` of one device with one reading, on a real clock and without a catalogue; the twin
answers at once.  `soft` is ophyd's own simulated signal, so the RunEngine alone; `query` is one pyvisa query of the same
twin without a RunEngine, so the wire alone.  Variants take turns, so that a noisy machine is noisy to all; figures are
medians over the rounds with the quartiles, and ratios to `soft` of the same round.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING

import bluesky.plans as bp
import pyvisa
from bluesky import RunEngine
from ophyd import Component as Cpt
from ophyd.sim import SynSignal

from devices.base import Instrument, ScpiInstrument
from devices.signals import QuerySignal, ScpiSignal
from qlab.clock import RealClock
from qlab.links.factory import open_link
from qlab.twin.host import TwinHost
from qlab.twin.scpi import ScpiTwin, query

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, POINTS = 9, 100


class MeterTwin(ScpiTwin):
    """Answers one number at once."""

    identity = "Acme,Meter,1,1"

    @query("READ?")
    def reading(self) -> str:
        """Answer."""
        return "1.5"


class FrameTwin(MeterTwin):
    """The same in ZeroMQ frames."""

    wire = "zmq"


class Meter(ScpiInstrument):
    """One reading."""

    reading = Cpt(ScpiSignal, query="READ?", kind="hinted")


class FrameMeter(Instrument):
    """One reading in a ZeroMQ frame."""

    reading = Cpt(QuerySignal, query="READ?", kind="hinted")

    def query_identity(self, link: object) -> str:
        """Ask who it is."""
        return self.ask("*IDN?")


def main() -> int:
    """Measure and print the table."""
    with contextlib.ExitStack() as stack:
        clock = stack.enter_context(RealClock())
        host = stack.enter_context(TwinHost(clock))
        mounts = {
            "TCP, VISA": host.mount_tcp(MeterTwin(clock)),
            "pty, serial": host.mount_pty(MeterTwin(clock)),
            "ZeroMQ": host.mount_zmq(FrameTwin(clock)),
        }
        engine = RunEngine(context_managers=[])
        variants: dict[str, Callable[[], object]] = {}
        soft = SynSignal(func=lambda: 1.5, name="soft")
        variants["soft"] = lambda: engine(bp.count([soft], POINTS))
        for name, mount in mounts.items():
            link = open_link(mount.address, name=name, clock=clock, peer=mount)
            kind = FrameMeter if name == "ZeroMQ" else Meter
            device = kind(name="meter", link=link, clock=clock)
            device.connect()
            stack.callback(device.disconnect)
            variants[name] = lambda device=device: engine(bp.count([device], POINTS))
        manager = pyvisa.ResourceManager("@py")
        raw = manager.open_resource(mounts["TCP, VISA"].address, read_termination="\n", write_termination="\n")
        stack.callback(raw.close)
        variants["query"] = lambda: [raw.query("READ?") for _ in range(POINTS)]
        spent: dict[str, list[float]] = {name: [] for name in variants}
        for run in variants.values():
            run()  # warm
        for _ in range(ROUNDS):
            for name, run in variants.items():
                begin = perf_counter()
                run()
                spent[name].append((perf_counter() - begin) / POINTS * 1e3)
        engine.loop.call_soon_threadsafe(engine.loop.stop)
    print(f"{'':14s}{'ms a point':>12s}{'quartiles':>18s}{'x soft':>9s}{'quartiles':>16s}")
    for name, times in spent.items():
        ratios = [time / base for time, base in zip(times, spent["soft"], strict=True)]
        low, mid, high = statistics.quantiles(times, n=4)
        rlow, rmid, rhigh = statistics.quantiles(ratios, n=4)
        print(f"{name:14s}{mid:12.3f}{f'{low:.3f} to {high:.3f}':>18s}{rmid:9.2f}{f'{rlow:.2f} to {rhigh:.2f}':>16s}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
