"""How fast the world draws, as multiples of real time, for the four cases of the reference measurements.

    python benchmarks/bench_generator.py

A pair source into 2 x 2 detectors behind analysers, with jitter, darks, dead time and afterpulses of every order; two
seconds of data a run.  `clicks` is the detectors' streams, `tags` with the tagger behind them: cable delays and the merge
into one stream.  Engines take turns; medians and quartiles over the runs.  `to beat` was measured with prototypes on a
quiet machine, best of several runs.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from statistics import quantiles
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from qlab.physics.arm import Arm, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.source import PairSource
from qlab.physics.states import bell_state
from qlab.physics.tagger import Tagger, WorldFeed
from qlab.physics.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

Case: TypeAlias = tuple[float, float, int, float]

SECONDS = 2
RUNS = 7
CASES: dict[str, tuple[Case, tuple[float, float]]] = {
    "1 Mpair/s, 20 % an arm, 50 ns dead, 1 % afterpulses": ((1e6, 0.2, 50_000, 0.01), (34.0, 44.0)),
    "1 Mpair/s, 20 dB an arm": ((1e6, 0.01, 50_000, 0.01), (104.0, 621.0)),
    "1 Mpair/s, 60 % an arm, 20 ns dead": ((1e6, 0.6, 20_000, 0.0), (15.0, 27.0)),
    "10 Mpair/s, 20 % an arm, 1 % afterpulses": ((1e7, 0.2, 50_000, 0.01), (4.3, 7.3)),
}


def make_world(rate_hz: float, efficiency: float, dead_ps: int, afterpulse: float, engine: str) -> World:
    """Build the world of one case."""
    detectors = {n: Detector(Knob(efficiency), Knob(500.0), Knob(afterpulse), 120.0, dead_ps) for n in range(1, 5)}

    def arm(a: int, b: int, angle_deg: float) -> Arm:
        return WavePlate(PolarisingSplitter(Port(a), Port(b)), math.pi, Knob(angle_deg))

    source = PairSource(rate_hz, bell_state("phi+"), Knob(1.0), Knob(25.0))
    return World(1, [PairLine(7, source, arm(1, 2, 0.0), arm(3, 4, 11.25))], detectors, engine=engine)


def measure(case: Case, engine: str, clock: Callable[[], float] = perf_counter) -> tuple[float, float]:
    """Return the multiples of real time for clicks alone, and for the merged tags of a tagger."""
    world = make_world(*case, engine)
    feed = WorldFeed(world, Tagger(), {n: (n + 1, 1000 * n) for n in range(4)})
    feed.read(-(2 * 10**11), -(10**11))  # tables, caches, compilation
    begin = clock()
    for n in range(1, 5):
        world.clicks(n, 0, SECONDS * 10**12)
    drawn = clock()
    feed.read(0, SECONDS * 10**12)
    merged = clock()
    return SECONDS / (drawn - begin), SECONDS / (merged - begin)


def main() -> None:
    """Print a line for each case and engine."""
    engines = ["numpy"] + ["numba"] * (find_spec("numba") is not None)
    print(
        f"{'':53s} {'engine':7s}{'clicks':>8s}{'quartiles':>16s}{'best':>8s}{'to beat':>9s}{'tags':>8s}{'quartiles':>16s}"
    )
    for name, (case, to_beat) in CASES.items():
        seen: dict[str, list[tuple[float, float]]] = {engine: [] for engine in engines}
        for _ in range(RUNS):
            for engine in engines:
                seen[engine].append(measure(case, engine))
        for engine in engines:
            line = f"{name:53s} {engine:7s}"
            for column in (0, 1):
                values = [run[column] for run in seen[engine]]
                low, mid, high = quantiles(values, n=4)
                line += f"{mid:7.1f}x{f'{low:.1f} to {high:.1f}':>16s}"
                if column == 0:
                    line += f"{max(values):7.1f}x{to_beat[engines.index(engine)]:8.1f}x"
            print(line)


if __name__ == "__main__":
    main()
