"""Pictures of reports: one function each, by the key of the results that it draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.run.pictures.detectors import (
    draw_calibration,
    draw_darks,
    draw_efficiencies,
    draw_intervals,
    draw_responses,
)
from qlab.run.pictures.drift import draw_stability, draw_tracking
from qlab.run.pictures.interference import draw_dip, draw_swapping
from qlab.run.pictures.keys import draw_keys
from qlab.run.pictures.pairs import (
    draw_correlations,
    draw_fringes,
    draw_histogram,
    draw_matrix,
    draw_process,
    draw_state,
)
from qlab.run.pictures.source import draw_bandwidth, draw_joint, draw_pump

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.run.journal import RunRecord

__all__ = ["draw_pictures"]

PICTURES: dict[str, tuple[str, str, Callable[[dict[str, Any]], Any]]] = {
    "chsh_e": ("Correlations", "correlations", draw_correlations),
    "visibility_fringes": ("Fringes", "fringes", draw_fringes),
    "tomography_rho_real": ("The density matrix of the largest likelihood", "state", draw_state),
    "process_mueller": ("What the link does to Stokes vectors", "process", draw_process),
    "alignment_t": ("Correlation matrix before alignment", "matrix", draw_matrix),
    "hom_points_ps": ("The dip", "dip", draw_dip),
    "swapping_psi_minus_e": ("Correlations of photons that never met", "swapping", draw_swapping),
    "darks_counted_hz": ("In the dark", "darks", draw_darks),
    "klyshko_inputs_a": ("Efficiencies", "efficiencies", draw_efficiencies),
    "jitter_responses": ("Coincidence peaks", "responses", draw_responses),
    "sheet_responses": ("Coincidence peaks", "responses", draw_responses),
    "detectors_dead_time_ps": ("Dead time and afterpulses", "intervals", draw_intervals),
    "calibration_delays_ps": ("Delays", "delays", draw_calibration),
    "drift_round_time_s": ("Error rates and compensation", "tracking", draw_tracking),
    "pump_point_power": ("Brightness and accidentals", "pump", draw_pump),
    "spectrum_response": ("The peak that dispersion widened", "bandwidth", draw_bandwidth),
    "joint_histogram": ("Joint spectrum", "joint", draw_joint),
    "keys_net_bits": ("Blocks", "keys", draw_keys),
    "stability_point_time_s": ("What happened when", "stability", draw_stability),
}
"""By a key of the results: title, file name, and what draws it."""


def draw_pictures(record: RunRecord, results: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return title, file name and figure of all that a run has to show."""
    histogram = draw_histogram(record, results)
    found = [("Coincidences", "coincidences", histogram)] if histogram is not None else []
    found += [(title, name, draw(results)) for key, (title, name, draw) in PICTURES.items() if key in results]
    return found
