"""Do stated 68 % intervals hold the truth in 68 % of runs?  CHSH, HOM visibility, g2 and fidelity, from the twins' tags.

    python benchmarks/bench_coverage.py [RUNS]

Each run has a seed of its own (the dip's are stretches of one world's time): a world is built, its tagger's tags are read as
the plans read them, and counted and judged by the same functions.  The truth comes from the state, the splitters' extinction
and the detectors by formulas that the world does not use (`qlab.analysis.prediction`, click statistics of thermal modes),
for the dip from the probabilities of patterns, which `tests/` compare with Fock states.  A number of successes of n runs is
binomial: it should be within three times sqrt(n 0.683 0.317) of 0.683 n.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from qlab.analysis.accidentals import accidental_counts
from qlab.analysis.bell import chsh
from qlab.analysis.intervals import ONE_SIGMA
from qlab.analysis.photon_statistics import heralded_g2, pulsed_g2
from qlab.analysis.prediction import PairExperiment, linear_analyser, werner_state
from qlab.analysis.projections import NINE_SETTINGS, analyser_counts
from qlab.analysis.state_intervals import KINK, linear_state
from qlab.analysis.state_measures import bell_weights, concurrence
from qlab.analysis.two_photon_interference import fit_dip
from qlab.physics.arm import Arm, BeamSplitter, PolarisingSplitter, Port, WavePlate
from qlab.physics.detector import Detector
from qlab.physics.joint import JointLine
from qlab.physics.knob import Knob
from qlab.physics.line import PairLine
from qlab.physics.meeting import Entrance, Meeting
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.pulses import PulseTrain
from qlab.physics.routing import DelayLine
from qlab.physics.sight import Emitter, pattern_probabilities, sights
from qlab.physics.source import PairSource
from qlab.physics.squeezed import bell_mixture
from qlab.physics.states import werner
from qlab.physics.tagger import Tagger, WorldFeed
from qlab.physics.world import World
from qlab.tags.coincidence import coincidence_matrix
from qlab.tags.pulse_patterns import pulse_patterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "QUANTITIES",
    "chsh_run",
    "concurrence_run",
    "covered",
    "dip_run",
    "dip_visibility",
    "fidelity_run",
    "g2_run",
    "limits",
]

S = 10**12
WINDOW_PS = 1000
CABLES_PS = (0, 700, 1300, 2100)
VISIBILITY, PAIRS_HZ, ETA, DARK_HZ, EXTINCTION_DB = 0.96, 400_000.0, 0.25, 2000.0, 30.0
STAGE_PS = 20.0
"""Where the stage has to stand for the photons to meet."""
CHSH_ANGLES_DEG = ((0.0, 22.5), (0.0, 67.5), (45.0, 22.5), (45.0, 67.5))


def covered(run: Callable[[int], bool], runs: int, first_seed: int = 1) -> int:
    """Return in how many runs of different seeds the interval held the truth."""
    return sum(run(seed) for seed in range(first_seed, first_seed + runs))


def limits(runs: int, sigmas: float = 3.0) -> tuple[float, float]:
    """Return between which numbers of runs the successes of honest 68 % intervals lie."""
    middle, reach = runs * ONE_SIGMA, sigmas * math.sqrt(runs * ONE_SIGMA * (1.0 - ONE_SIGMA))
    return middle - reach, middle + reach


class _Table:
    """Two analysers (quarter-wave plate, half-wave plate, splitter) and a tagger."""

    def __init__(self, seed: int, visibility: float, pairs_hz: float, dark_hz: float = DARK_HZ) -> None:
        self._plates = [[Knob(0.0), Knob(0.0)] for _ in range(2)]

        def arm(party: int) -> Arm:
            quarter, half = self._plates[party]
            ports = PolarisingSplitter(Port(2 * party + 1), Port(2 * party + 2), EXTINCTION_DB)
            return WavePlate(WavePlate(ports, math.pi, half), math.pi / 2.0, quarter)

        source = PairSource(pairs_hz, werner("phi+", visibility), Knob(1.0))
        detectors = {n: Detector(Knob(ETA), Knob(dark_hz), Knob(0.01), 120.0, 50_000) for n in range(1, 5)}
        world = World(seed, [PairLine(7, source, arm(0), arm(1))], detectors)
        self._feed = WorldFeed(world, Tagger(), {n: (n + 1, cable) for n, cable in enumerate(CABLES_PS)})
        self._now_ps = 0

    def count(self, vectors: tuple[tuple[float, ...], tuple[float, ...]], seconds: float) -> tuple[NDArray, NDArray]:
        """Return coincidences and expected accidentals at Bloch vectors (Z, X, Y) of both, each of shape (2, 2)."""
        for (z, x, y), (quarter, half) in zip(vectors, self._plates, strict=True):
            azimuth = 0.5 * math.atan2(x, z)
            quarter.set(math.degrees(azimuth), self._now_ps)
            half.set(math.degrees(azimuth + 0.5 * math.asin(y)) / 2.0, self._now_ps)
        stop_ps = self._now_ps + round(seconds * S)
        block = self._feed.read(self._now_ps + S // 1000, stop_ps)  # what arrives late is of the setting before
        self._now_ps = stop_ps
        table = coincidence_matrix(block, [0, 1], [2, 3], WINDOW_PS, dict(enumerate(CABLES_PS)))
        singles = block.counts(4)
        return table, accidental_counts(singles[:2], singles[2:], WINDOW_PS, block.live_s)


def _linear(angle_deg: float) -> tuple[float, float, float]:
    double = math.radians(2.0 * angle_deg)
    return math.cos(double), math.sin(double), 0.0


def chsh_run(seed: int) -> bool:
    """Return whether S with its accidentals is within one sigma of theory."""
    table = _Table(seed, VISIBILITY, PAIRS_HZ)
    counts = [table.count((_linear(a), _linear(b)), 0.1)[0] for a, b in CHSH_ANGLES_DEG]
    found = chsh(counts)
    leak = 10.0 ** (-EXTINCTION_DB / 10.0)
    experiment = PairExperiment(werner_state(VISIBILITY), PAIRS_HZ, WINDOW_PS + 1)
    parties = ([linear_analyser(a, ETA, DARK_HZ, leak) for a in angles] for angles in ((0.0, 45.0), (22.5, 67.5)))
    return abs(found.s - experiment.chsh(*parties)) < found.sigma


def _state_run(
    seed: int,
    figure: Callable,
    truth: float,
    visibility: float = VISIBILITY,
    pairs: float = 800.0,
    mixed_by: float = 0.0,
) -> bool:
    table = _Table(seed, visibility, PAIRS_HZ)
    seconds = pairs / PAIRS_HZ / ETA**2
    counted = [table.count(vectors, seconds) for vectors in NINE_SETTINGS]
    data = analyser_counts(
        NINE_SETTINGS,
        [counts for counts, _ in counted],
        accidentals=[accidentals for _, accidentals in counted],
        contrast=1.0 - 2.0 * 10.0 ** (-EXTINCTION_DB / 10.0),
    )
    interval = linear_state(data).interval(figure, mixed_by=mixed_by)
    return interval.low < truth < interval.high


def fidelity_run(seed: int) -> bool:
    """Return whether the fidelity's interval holds that of a Werner state, (1 + 3 V) / 4."""
    return _state_run(seed, lambda rho: bell_weights(rho)[..., 0], (1.0 + 3.0 * VISIBILITY) / 4.0)


def concurrence_run(seed: int, visibility: float = VISIBILITY, pairs: float = 800.0) -> bool:
    """Return whether the concurrence's interval holds that of a Werner state, (3 V - 1) / 2."""
    return _state_run(seed, concurrence, (3.0 * visibility - 1.0) / 2.0, visibility, pairs, KINK)


def g2_run(seed: int, modes: float = 1.0, mean: float = 0.3, *, heralded: bool = False) -> bool:
    """Return whether g2 holds what threshold detectors see of K thermal modes, E[y^n] = (1 + mu (1 - y) / K)^-K."""
    eta, rate_hz, seconds = 0.2, 1e6, 0.3
    cables_ps = (0, 700, 1300)
    state = np.zeros((4, 4), np.complex128)
    state[0, 0] = 1.0
    source = PairSource(mean * rate_hz, state, Knob(1.0))
    line = PulsedPairLine(9, source, Port(1), BeamSplitter(Port(2), Port(3)), PulseTrain(Knob(rate_hz)), modes)
    world = World(seed, [line], {n: Detector(Knob(eta), dead_time_ps=20_000) for n in (1, 2, 3)})
    feed = WorldFeed(world, Tagger(), {n: (n + 1, cable) for n, cable in enumerate(cables_ps)})
    found = pulse_patterns(feed.read(0, round(seconds * S)), [0, 1, 2], WINDOW_PS, dict(enumerate(cables_ps)))
    clicks = {ports: int(sum(found[i] for i in range(8) if i & ports == ports)) for ports in range(1, 8)}

    def silent(y: float) -> float:
        return (1.0 + mean * (1.0 - y) / modes) ** -modes

    p1, p12 = 1.0 - silent(1.0 - eta / 2.0), 1.0 - 2.0 * silent(1.0 - eta / 2.0) + silent(1.0 - eta)
    if not heralded:
        interval = pulsed_g2(clicks[2], clicks[4], clicks[6], round(seconds * rate_hz))
        return interval.low < p12 / p1**2 < interval.high
    interval = heralded_g2(clicks[1], clicks[3], clicks[5], clicks[7])
    herald = 1.0 - silent(1.0 - eta)
    h1 = herald - silent(1.0 - eta / 2.0) + silent((1.0 - eta) * (1.0 - eta / 2.0))
    h12 = 2.0 * h1 - herald + silent(1.0 - eta) - silent((1.0 - eta) ** 2)
    return interval.low < h12 * herald / h1**2 < interval.high


class _Dip:
    """Two thermal sources whose idlers meet: heralds 1 and 2, ports 3 and 4; one acquisition after the other."""

    mean, eta, rate_hz, seconds = 0.1, 0.6, 1e7, 0.02

    def __init__(self, seed: int) -> None:
        state = np.zeros((4, 4), np.complex128)
        state[0, 0] = 1.0
        source = PairSource(self.mean * self.rate_hz, state, Knob(1.0), signal_nm=1550, idler_nm=1550, bandwidth_nm=1.0)
        self._position = Knob(0.0)
        train = PulseTrain(Knob(self.rate_hz))
        late = DelayLine(Entrance(102), self._position, 2)
        fixed = DelayLine(Entrance(101), Knob(STAGE_PS * 0.299792458 / 2.0), 2)
        lines = [
            PulsedPairLine(0, source, Port(1), fixed, train, 1.0),
            PulsedPairLine(1, source, late, Port(2), train, 1.0),
        ]
        self._line = JointLine(9, lines, [Meeting((101, 102), (Port(3), Port(4)), (0.5, 0.5), 1.0)])
        self._detectors = {i: Detector(Knob(self.eta), dead_time_ps=20_000) for i in range(1, 5)}
        world = World(seed, [self._line], self._detectors)
        self._feed = WorldFeed(world, Tagger(), {n: (n + 1, 0) for n in range(4)})
        self._now_ps = 0

    def _move(self, delay_ps: float) -> None:
        """Put the stage where one photon is so much later than the other."""
        self._position.set((STAGE_PS + delay_ps) * 0.299792458 / 2.0, self._now_ps)

    def fourfolds(self, delay_ps: float) -> int:
        """Count at a delay."""
        self._move(delay_ps)
        stop_ps = self._now_ps + round(self.seconds * S)
        block = self._feed.read(self._now_ps, stop_ps)
        self._now_ps = stop_ps
        return int(pulse_patterns(block, [0, 1, 2, 3], WINDOW_PS, dict.fromkeys(range(4), 0))[15])

    def visibility(self) -> float:
        """Return that of theory: from the probabilities of four clicks at no delay and far away."""
        levels = []
        for delay_ps in (0.0, 20.0):  # ten times the photons' length
            self._move(delay_ps)
            efficiencies = dict.fromkeys(self._detectors, self.eta)
            leaves = self._line.leaves(self._detectors, self._now_ps + 1)
            seen = sorted(sights(leaves, self._line.packets, efficiencies), key=lambda s: s.detector_id)
            packets = zip(self._line.packets[::2], self._line.packets[1::2], strict=True)
            mixtures = (bell_mixture(one.source.state) for one in self._line.sources)
            emitters = [Emitter(self.mean, mixture, pair) for mixture, pair in zip(mixtures, packets, strict=True)]
            levels.append(float(pattern_probabilities(emitters, seen)[15]))
            self._now_ps += S
        return 1.0 - levels[0] / levels[1]


def dip_visibility() -> float:
    """Return the dip's visibility by theory."""
    return _Dip(0).visibility()


@lru_cache(maxsize=1)
def _dip_world() -> tuple[_Dip, float]:
    """Return the world of all dips and the visibility of theory: its tables take seconds."""
    return _Dip(1), dip_visibility()


def dip_run(seed: int) -> bool:
    """Return whether the fitted visibility is within one sigma of theory; each run is another stretch of one world's time."""
    del seed
    world, truth = _dip_world()
    delays = [*np.linspace(-10.0, 10.0, 9), 0.0, 9.0, 0.0, -9.0, 2.5, -2.5]
    dip = fit_dip(delays, [world.fourfolds(delay) for delay in delays])
    return abs(dip.visibility - truth) < dip.visibility_sigma


QUANTITIES: dict[str, Callable[[int], bool]] = {
    "CHSH": chsh_run,
    "HOM visibility": dip_run,
    "g2": g2_run,
    "g2 of 4 modes": partial(g2_run, modes=4.0),
    "heralded g2": partial(g2_run, heralded=True),
    "heralded g2 of 4 modes": partial(g2_run, modes=4.0, heralded=True),
    "tomography fidelity": fidelity_run,
    "tomography concurrence": concurrence_run,
}


def main(runs: int) -> int:
    """Print a line for each quantity; returns how many did not cover."""
    low, high = limits(runs)
    print(f"{runs} runs each; honest 68.3 % intervals hold the truth in {low:.0f} to {high:.0f} of them (3 sigma)")
    wrong = 0
    for name, run in QUANTITIES.items():
        begin = perf_counter()
        inside = covered(run, runs)
        wrong += not low <= inside <= high
        words = "as stated" if low <= inside <= high else "NOT AS STATED"
        print(f"{name:24s}{inside:5d}  {100 * inside / runs:5.1f} %  {words:14s}{perf_counter() - begin:7.1f} s")
    return wrong


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200) > 0)
