"""From fibres that turn the polarisation as they like to a violated inequality."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.pairs import PairCounter
from plans.stubs import measure_setting, publish_counts, recording_run, with_source_on

__all__ = ["align_polarisation", "measure_chsh", "measure_visibility"]

CHSH_ANGLES_DEG = ((0.0, 22.5), (0.0, 67.5), (45.0, 22.5), (45.0, 67.5))
"""Settings (a, b), (a, b'), (a', b), (a', b') that are best for phi+, with the signs of qlab.analysis.bell."""
AXES_XYZ = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
"""The Bloch axes x, y, z as an analyser takes them, (Z, X, Y)."""
BELL = ("phi+", "phi-", "psi+", "psi-")
PHI_PLUS = np.diag([1.0, 1.0, -1.0])
"""Correlations of phi+ along Z, X and Y."""
ZXY = [2, 0, 1]
"""Where an analyser's axes stand in x, y, z."""


def _linear(angle_deg):
    """Return the Bloch vector (Z, X, Y) of linear polarisation."""
    return np.array([np.cos(np.radians(2.0 * angle_deg)), np.sin(np.radians(2.0 * angle_deg)), 0.0])


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
        counts = np.zeros((3, 3, 2, 2), dtype=np.int64)
        for i, a in enumerate(AXES_XYZ):
            for j, b in enumerate(AXES_XYZ):
                yield from measure_setting([tagger], [alice, bob], [(alice, a), (bob, b)])
                counted = pairs.add(3 * i + j, tagger.last_block)
                for setting, table in counted:
                    counts[divmod(setting, 3)] = table
                yield from publish_counts(pairs.results, counted, tagger.clock)
        pairs.settle()
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
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
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
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        angles = np.arange(points) * 180.0 / points
        tables = np.zeros((2 * points, 2, 2), dtype=np.int64)
        for i, basis_deg in enumerate((0.0, 45.0)):
            for j, angle_deg in enumerate(angles):
                # The first point is at 22.5 degrees from both bases: every pair of channels has coincidences there.
                settings = [(alice, basis_deg), (bob, float(angle_deg) + 22.5)]
                yield from measure_setting([tagger], [alice, bob], settings)
                counted = pairs.add(i * points + j, tagger.last_block)
                for setting, table in counted:
                    tables[setting] = table
                yield from publish_counts(pairs.results, counted, tagger.clock)
        pairs.settle()
        fringes = tables[:, 0, 0].reshape(2, points)
        values: dict[str, object] = {
            "angles_deg": angles + 22.5,
            "fringes": fringes,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
        }
        for i, name in enumerate(("hv", "da")):
            fit = fit_fringe(angles + 22.5, fringes[i])
            values |= {f"visibility_{name}": fit.visibility, f"visibility_{name}_sigma": fit.visibility_sigma}
        yield from _publish("visibility", values, tagger.clock)
        return values

    return (yield from with_source_on(source, recording_run("measure_visibility", [tagger], body, 2 * points, md)))


def measure_chsh(
    tagger,
    alice,
    bob,
    source=None,
    acquisition_s: float = 1.0,
    sigma: float = 0.01,
    max_rounds: int = 20,
    window_ps: int = 2000,
    delays_ps: list[int] | None = None,
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
        Wanted standard uncertainty of S from the counts; `s_sigma` of the result also has that of the plates' angles.
    max_rounds : int
        Rounds after which the plan gives up waiting for it.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int
        Delays of Alice's and Bob's transmitted and reflected channel; found from the data where not given.
    md : dict
        Metadata.
    """
    from qlab.analysis.bell import chsh, setting_sigma
    from qlab.errors import PlanError

    if max_rounds < 1 or not acquisition_s > 0:
        msg = f"measure_chsh: max_rounds = {max_rounds}, acquisition_s = {acquisition_s:g}; expected at least 1, and above 0"
        raise PlanError(msg)
    pairs = PairCounter(alice, bob, window_ps, delays_ps, tagger)

    def body():
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        counts = np.zeros((4, 2, 2), dtype=np.int64)
        singles = np.zeros((4, 4), dtype=np.float64)
        live_s = 0.0
        of_settings = np.zeros(4)
        for rounds in range(1, max_rounds + 1):
            for k, (a, b) in enumerate(CHSH_ANGLES_DEG):
                yield from measure_setting([tagger], [alice, bob], [(alice, a), (bob, b)])
                counted = pairs.add(k, tagger.last_block)
                for setting, table in counted:
                    counts[setting] += table
                singles[k] += pairs.singles(tagger.last_block)
                live_s += tagger.last_block.live_s / 4.0
                yield from publish_counts(pairs.results, counted, tagger.clock)
                of_settings[k] = setting_sigma(
                    PHI_PLUS, _linear(a), alice.bloch_covariance(), _linear(b), bob.bloch_covariance()
                )
            pairs.settle()
            result = chsh(list(counts))
            # Each round turns the plates anew.  The correlations are those of phi+ less what S has lost of it.
            e_settings = of_settings * min(abs(result.s) / 8.0**0.5, 1.0) / rounds**0.5
            if result.sigma <= sigma:
                break
        s_settings = float(np.sqrt((e_settings**2).sum()))
        rates = singles / live_s
        values = {
            "s": result.s,
            "s_sigma": float(np.hypot(result.sigma, s_settings)),
            "s_sigma_counts": result.sigma,
            "s_sigma_settings": s_settings,
            "e": np.array([term.e for term in result.terms]),
            "e_sigma": np.hypot([term.sigma for term in result.terms], e_settings),
            "counts": counts,
            "live_s_per_setting": live_s,
            "singles_hz": rates,
            "window_ps": window_ps,
            "channels": np.array(pairs.channels),
            "delays_ps": np.array(pairs.delays()),
        }
        yield from _publish("chsh", values, tagger.clock, {"singles_hz": "Hz", "window_ps": "ps", "delays_ps": "ps"})
        return values

    return (yield from with_source_on(source, recording_run("measure_chsh", [tagger], body, 4 * max_rounds, md)))
