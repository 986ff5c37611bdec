"""From fibres that turn the polarisation as they like to a violated inequality."""

import math

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import coincidences, measure_setting, recording_run, set_analysers, with_source_on

__all__ = ["align_polarisation", "measure_chsh", "measure_visibility"]

CHSH_ANGLES_DEG = ((0.0, 22.5), (0.0, 67.5), (45.0, 22.5), (45.0, 67.5))
"""Settings (a, b), (a, b'), (a', b), (a', b') that are best for phi+, with the signs of qlab.analysis.bell."""
AXES_XYZ = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
"""The Bloch axes x, y, z as an analyser takes them, (Z, X, Y)."""
BELL = ("phi+", "phi-", "psi+", "psi-")
ZXY = [2, 0, 1]
"""Where an analyser's axes stand in x, y, z."""


def _delays(block, alice, bob):
    from qlab.tags.peak import find_channel_delays

    a = [alice.transmitted - 1, alice.reflected - 1]
    b = [bob.transmitted - 1, bob.reflected - 1]
    return find_channel_delays(block, a, b)


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

    def body():
        bob.set_frame(np.eye(3))
        alice.set_frame(np.eye(3))
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        counts = np.zeros((3, 3, 2, 2), dtype=np.int64)
        delays: dict[int, int] = {}
        for i, a in enumerate(AXES_XYZ):
            for j, b in enumerate(AXES_XYZ):
                yield from set_analysers(alice, a, bob, b)
                yield from measure_setting([tagger], [alice, bob])
                if not delays:
                    delays = _delays(tagger.last_block, alice, bob)
                counts[i, j] = coincidences(tagger.last_block, alice, bob, window_ps, delays)
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
            "delays_ps": np.array([delays[c] for c in sorted(delays)]),
        }
        yield from _publish("alignment", values, tagger.clock)
        return {"fidelity": fidelity, "frame": frame, "t": t, "delays_ps": delays}

    return (yield from with_source_on(source, recording_run("align_polarisation", [tagger], body, md)))


def measure_visibility(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 0.5,
    points: int = 8,
    window_ps: int = 2000,
    md: dict[str, object] | None = None,
):
    """Scan Bob's angle with Alice at 0 and at 45 degrees and fit the fringes.

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
    window_ps : int
        Full width of the coincidence window.
    md : dict
        Metadata.
    """
    from qlab.errors import PlanError

    if points < 4:
        msg = f"measure_visibility: points = {points}; a fringe needs at least 4"
        raise PlanError(msg)

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        angles = np.arange(points) * 180.0 / points
        fringes = np.zeros((2, points), dtype=np.int64)
        delays: dict[int, int] = {}
        for i, basis_deg in enumerate((0.0, 45.0)):
            for j, angle_deg in enumerate(angles):
                # The first point is at 22.5 degrees from both bases: every pair of channels has coincidences there.
                yield from set_analysers(alice, basis_deg, bob, float(angle_deg) + 22.5)
                yield from measure_setting([tagger], [alice, bob])
                if not delays:
                    delays = _delays(tagger.last_block, alice, bob)
                fringes[i, j] = coincidences(tagger.last_block, alice, bob, window_ps, delays)[0, 0]
        values = {"angles_deg": angles + 22.5, "fringes": fringes}
        for i, name in enumerate(("hv", "da")):
            visibility, sigma = _fringe_visibility(angles, fringes[i])
            values |= {f"visibility_{name}": visibility, f"visibility_{name}_sigma": sigma}
        yield from _publish("visibility", values, tagger.clock)
        return values

    return (yield from with_source_on(source, recording_run("measure_visibility", [tagger], body, md)))


def _fringe_visibility(angles_deg, counts):
    """Fit N (1 + V cos(2 a - p)) on equidistant angles: the discrete Fourier sums are the least-squares solution."""
    phase = np.exp(2j * np.radians(angles_deg))
    mean = counts.mean()
    amplitude = 2.0 * (counts * phase).mean()
    visibility = abs(amplitude) / mean
    # Poisson counts: var V = (2 - V^2)/N_total to first order.
    return float(visibility), math.sqrt(max(2.0 - visibility**2, 0.0) / counts.sum())


def measure_chsh(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 1.0,
    sigma: float = 0.01,
    max_rounds: int = 20,
    window_ps: int = 2000,
    md: dict[str, object] | None = None,
):
    """Measure S at the four best settings, round by round, until its uncertainty is small enough.

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
        Wanted standard uncertainty of S.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    window_ps : int
        Full width of the coincidence window.
    md : dict
        Metadata.
    """
    from qlab.analysis.bell import chsh
    from qlab.errors import PlanError

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        counts = np.zeros((4, 2, 2), dtype=np.int64)
        singles = np.zeros((4, 4), dtype=np.float64)
        delays: dict[int, int] = {}
        live_s = 0.0
        result = None
        for _ in range(max_rounds):
            for k, (a, b) in enumerate(CHSH_ANGLES_DEG):
                yield from set_analysers(alice, a, bob, b)
                yield from measure_setting([tagger], [alice, bob])
                block = tagger.last_block
                if not delays:
                    delays = _delays(block, alice, bob)
                counts[k] += coincidences(block, alice, bob, window_ps, delays)
                singles[k] += block.counts(4)
            live_s += acquisition_s
            result = chsh(list(counts))
            if result.sigma <= sigma:
                break
        if result is None:
            msg = f"measure_chsh: max_rounds = {max_rounds}; expected at least 1"
            raise PlanError(msg)
        rates = singles / live_s
        values = {
            "s": result.s,
            "s_sigma": result.sigma,
            "e": np.array([term.e for term in result.terms]),
            "e_sigma": np.array([term.sigma for term in result.terms]),
            "counts": counts,
            "live_s_per_setting": live_s,
            "singles_hz": rates,
            "window_ps": window_ps,
            "delays_ps": np.array([delays[c] for c in sorted(delays)]),
        }
        yield from _publish("chsh", values, tagger.clock, {"singles_hz": "Hz", "window_ps": "ps", "delays_ps": "ps"})
        return values

    return (yield from with_source_on(source, recording_run("measure_chsh", [tagger], body, md)))
