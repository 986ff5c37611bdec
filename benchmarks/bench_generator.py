"""How fast the world draws clicks, as multiples of real time, for the four cases of the reference measurements.

Prints the median and spread over several runs of two seconds of data: a pair source into 2x2 detectors behind analysers,
with jitter, darks, dead time and afterpulses.
"""

from __future__ import annotations

import math
import statistics
import time

from qlab.physics.arm import Arm, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.source import PairSource
from qlab.physics.states import bell_state
from qlab.physics.world import World

SECONDS = 2
RUNS = 5
CASES = {
    "1 Mpair/s, 20 % an arm, 50 ns dead, 1 % afterpulses": (1e6, 0.2, 50_000, 0.01),
    "1 Mpair/s, 20 dB an arm": (1e6, 0.01, 50_000, 0.01),
    "1 Mpair/s, 60 % an arm, 20 ns dead": (1e6, 0.6, 20_000, 0.0),
    "10 Mpair/s, 20 % an arm, 1 % afterpulses": (1e7, 0.2, 50_000, 0.01),
}


def make_world(rate_hz: float, efficiency: float, dead_ps: int, afterpulse: float) -> World:
    """Build the world of one case."""
    detectors = {n: Detector(Knob(efficiency), Knob(500.0), Knob(afterpulse), 120.0, dead_ps) for n in range(1, 5)}

    def arm(a: int, b: int, angle_deg: float) -> Arm:
        return WavePlate(PolarisingSplitter(Port(a), Port(b)), math.pi, Knob(angle_deg))

    source = PairSource(rate_hz, bell_state("phi+"), Knob(1.0), Knob(25.0))
    return World(1, [PairLine(7, source, arm(1, 2, 0.0), arm(3, 4, 11.25))], detectors)


def main() -> None:
    """Print one line a case."""
    print(f"{'case':56s} {'x real time':>12s} {'spread':>14s} {'Mtags/s':>8s}")
    for name, case in CASES.items():
        factors, tags = [], 0
        for _ in range(RUNS):
            world = make_world(*case)
            world.clicks(1, -(10**11), 0)  # tables and caches
            begin = time.perf_counter()
            tags = sum(world.clicks(n, 0, SECONDS * 10**12).size for n in range(1, 5))
            factors.append(SECONDS / (time.perf_counter() - begin))
        median = statistics.median(factors)
        spread = f"{min(factors):.1f}..{max(factors):.1f}"
        print(f"{name:56s} {median:12.1f} {spread:>14s} {tags * median / SECONDS / 1e6:8.1f}")


if __name__ == "__main__":
    main()
