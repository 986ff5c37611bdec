"""From fibres that turn the polarisation as they like to a violated inequality."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.correlations import ZXY, measure_axes
from plans.goals import Goal
from plans.pairs import PairCounter
from plans.plates import SettingPlates
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["align_polarisation", "measure_chsh", "measure_visibility"]

CHSH_ANGLES_DEG = ((0.0, 22.5), (0.0, 67.5), (45.0, 22.5), (45.0, 67.5))
"""Settings (a, b), (a, b'), (a', b), (a', b') that are best for phi+, with the signs of qlab.analysis.bell."""
BELL = ("phi+", "phi-", "psi+", "psi-")
PHI_PLUS = np.diag([1.0, 1.0, -1.0])
"""Correlations of phi+ along Z, X and Y."""
EXPECTED_VISIBILITY = 0.9
"""For which the factors are best that judge the first round; any others would be valid too."""


def _publish(name, values, clock, units=None):
    from qlab.run.results import publish

    yield from publish("analysis", name, values, clock.now_s(), units)


def align_polarisation(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 0.5,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    target: str = "phi+",
    md: dict[str, object] | None = None,
):
    """Measure the correlations of all Bloch axes and define Bob's frame so that the state looks like the target.

    Nine settings give the correlation matrix T; the rotation that brings it closest to the target's follows without any
    search, so that the plan always lasts nine acquisitions.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers; Bob's frame is set.
    source : PhotonSource
        Switched on for the run.
    acquisition_s : float
        Seconds a setting.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    target : str
        phi+, phi-, psi+ or psi-.
    md : dict
        Metadata.
    """
    from qlab.analysis.correlation import align_frames, bell_fidelity, correlation_matrix
    from qlab.errors import PlanError

    if target not in BELL:
        msg = f"align_polarisation: target {target!r}; expected one of {', '.join(BELL)}"
        raise PlanError(msg)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)

    def body():
        bob.set_frame(np.eye(3))
        alice.set_frame(np.eye(3))
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        counts = yield from measure_axes(tagger, alice, bob, pairs)
        t, sigma = correlation_matrix(counts)
        turn = align_frames(t, target)  # type: ignore[arg-type]
        fidelity = bell_fidelity(t @ turn.T, target)  # type: ignore[arg-type]
        frame = turn.T[np.ix_(ZXY, ZXY)]
        bob.set_frame(frame)
        values = {
            "fidelity": fidelity,
            "fidelity_sigma": float(np.sqrt((sigma**2).sum()) / 4.0),
            "t": t,
            "t_sigma": sigma,
            "frame": frame,
            "target": target,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
        }
        yield from _publish("alignment", values, tagger.clock, {"delays_ps": "ps"})
        return values

    return (yield from with_source_on(source, recording_run("align_polarisation", [tagger], body, 9, md)))


def measure_visibility(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 0.5,
    points: int = 8,
    sigma: float = 0.01,
    max_rounds: int = 10,
    max_duration_s: float | None = None,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    md: dict[str, object] | None = None,
):
    """Scan Bob's angle with Alice at 0 and at 45 degrees, round by round, until both fringes' visibilities are known.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers, aligned.
    source : PhotonSource
        Switched on for the run.
    acquisition_s : float
        Seconds a point.
    points : int
        Points a fringe, at least 4.
    sigma : float
        Wanted standard uncertainty of both visibilities.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    md : dict
        Metadata.
    """
    from qlab.analysis.visibility import fit_fringe
    from qlab.errors import PlanError

    if points < 4:
        msg = f"measure_visibility: points = {points}; a fringe needs at least 4"
        raise PlanError(msg)
    goal = Goal("measure_visibility", sigma, max_rounds, max_duration_s)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    # The first point is at 22.5 degrees from both bases: every pair of channels has coincidences there.
    angles = 22.5 + np.arange(points) * 180.0 / points

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        tables = np.zeros((2 * points, 2, 2), dtype=np.int64)
        while True:
            for i, basis_deg in enumerate((0.0, 45.0)):
                for j, angle_deg in enumerate(angles):
                    settings = [(alice, basis_deg), (bob, float(angle_deg))]
                    yield from measure_setting([tagger], [alice, bob], settings)
                    counted = pairs.add(i * points + j, tagger.last_block)
                    for setting, table in counted:
                        tables[setting] += table
                    yield from publish_counts(pairs.results, counted, tagger.clock)
            pairs.settle()
            fringes = tables[:, 0, 0].reshape(2, points)
            fits = [fit_fringe(angles, fringe) for fringe in fringes]
            if goal.reached(max(fit.visibility_sigma for fit in fits)):
                break
        values: dict[str, object] = {
            "angles_deg": angles,
            "fringes": fringes,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
            **goal.figures(),
        }
        for fit, name in zip(fits, ("hv", "da"), strict=True):
            values |= {f"visibility_{name}": fit.visibility, f"visibility_{name}_sigma": fit.visibility_sigma}
        yield from _publish("visibility", values, tagger.clock)
        return values

    run = recording_run("measure_visibility", [tagger], body, 2 * points * max_rounds, md)
    return (yield from with_source_on(source, run))


def measure_chsh(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 1.0,
    sigma: float = 0.01,
    max_rounds: int = 20,
    max_duration_s: float | None = None,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
    zero_deg: float = 0.0,
    retardance_deg: float = 0.0,
    seed: int = 0,
    md: dict[str, object] | None = None,
):
    """Measure S at the four best settings, round by round in an order drawn at random, until it is known well enough.

    Parameters
    ----------
    tagger : TimeTagger
        Records both parties.
    alice, bob : PolarisationAnalyser
        The analysers, aligned.
    source : PhotonSource
        Switched on for the run.
    acquisition_s : float
        Seconds a setting and round.
    sigma : float
        Wanted standard uncertainty of S from the counts; `s_sigma` of the result also has that of the wave plates.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    max_duration_s : float
        Lab seconds after which it does.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    zero_deg, retardance_deg : float
        Standard uncertainties of where the plates' axes are and of their retardances, beside their mounts' repeatability.
    seed : int
        Of the settings' order.
    md : dict
        Metadata.

    Notes
    -----
    `log10_p_value` bounds how likely local realism makes such counts, by prediction-based ratios (`qlab.analysis`): each
    round is judged by factors chosen from those before, the first by those for 90 % visibility.  `p_value_assumes` says
    what that takes for granted; a setting holds for a whole acquisition, which no loophole-free test would allow.
    """
    from qlab.analysis.bell import chsh
    from qlab.analysis.local_realism import quantum_counts
    from qlab.analysis.prediction_ratio import prediction_based_ratio
    from qlab.errors import PlanError

    goal = Goal("measure_chsh", sigma, max_rounds, max_duration_s)
    if not acquisition_s > 0 or min(zero_deg, retardance_deg) < 0:
        msg = (
            f"measure_chsh: acquisition_s = {acquisition_s:g}, zero_deg = {zero_deg:g}, retardance_deg = {retardance_deg:g}; "
            "expected above 0, and none below"
        )
        raise PlanError(msg)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)
    order = np.random.default_rng(seed)

    def body():
        goal.begin(tagger.clock)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        tables: list[np.ndarray] = []
        singles = np.zeros((4, 4), dtype=np.float64)
        live_s = 0.0
        plates = SettingPlates(alice, bob, zero_deg, retardance_deg)
        while True:
            tables.append(np.zeros((4, 2, 2), dtype=np.int64))
            for k in order.permutation(4).tolist():
                a, b = CHSH_ANGLES_DEG[k]
                yield from measure_setting([tagger], [alice, bob], [(alice, a), (bob, b)])
                counted = pairs.add((goal.rounds, k), tagger.last_block)
                for (number, setting), table in counted:
                    tables[number][setting] += table
                singles[k] += pairs.singles(tagger.last_block)
                live_s += tagger.last_block.live_s / 4.0
                by_setting = [(setting, table) for (_, setting), table in counted]
                yield from publish_counts(pairs.results, by_setting, tagger.clock)
                plates.note(k)
            pairs.settle()
            counts = np.sum(tables, axis=0)
            result = chsh(list(counts))
            if goal.reached(result.sigma):
                break
        # The correlations are those of phi+ less what S has lost of it.
        of_plates = plates.error(min(abs(result.s) / 8.0**0.5, 1.0) * PHI_PLUS, goal.rounds)
        batches = [quantum_counts(EXPECTED_VISIBILITY, 1000.0), *(t.reshape(2, 2, 2, 2) for t in tables)]
        evidence = prediction_based_ratio(batches, selection="post-selected")
        values = {
            "s": result.s,
            "s_sigma": float(np.hypot(result.sigma, of_plates.sigma)),
            "s_sigma_counts": result.sigma,
            "s_sigma_settings": of_plates.sigma,
            "s_shift_settings": of_plates.shift,
            "e": np.array([term.e for term in result.terms]),
            "e_sigma": np.hypot([term.sigma for term in result.terms], of_plates.sigma / 2.0),
            "log10_p_value": evidence.log10_p_value,
            "p_value_assumes": f"{evidence.assumes}; that nothing uses that a setting holds for {acquisition_s:g} s",
            "counts": counts,
            "live_s_per_setting": live_s,
            "singles_hz": singles / live_s,
            "window_ps": window_ps,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
            **goal.figures(),
        }
        yield from _publish("chsh", values, tagger.clock, {"singles_hz": "Hz", "window_ps": "ps", "delays_ps": "ps"})
        return values

    return (yield from with_source_on(source, recording_run("measure_chsh", [tagger], body, 4 * max_rounds, md)))
