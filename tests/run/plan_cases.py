"""A short run of every plan, for its estimate: the lab, the arguments, the lab's changes, and how far off it may be.

Where a plan goes on until an error bar is reached, its length depends on what is measured, and so on the seed: the bound is
relative to what it took under another seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.run.test_nanowires import LAB as COLD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CASES", "Case"]

WARM = ("instruments.oven.twin.tau_s=1",)
STRAIGHT = (
    "optics.alice_fibre.rotation_seed=null",
    "optics.bob_fibre.rotation_seed=null",
    "optics.crystal.brightness_hz_per_mw=4000",
    *WARM,
)
FIXED, COUNTED = 0.05, 0.35
OWN = {"cold": COLD}
"""Labs that are not shipped, by name."""


@dataclass(frozen=True)
class Case:
    """One run of a plan."""

    lab: str = "bell"
    texts: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = STRAIGHT
    bound: float = FIXED
    after: str = ""
    """A plan that must have run before, in the same data folder."""

    def lab_name(self, folder: Path) -> str:
        """Return what to open: a shipped lab, or one of ours written into a folder."""
        if self.lab not in OWN:
            return self.lab
        path = folder / f"{self.lab}.yaml"
        path.write_text(OWN[self.lab])
        return str(path)


CASES: dict[str, Case] = {
    "align_polarisation": Case(texts={"acquisition_s": "0.1"}),
    "calibrate_tagger": Case(texts={"acquisition_s": "0.3", "resolution_ps": "20"}, bound=COUNTED),
    "characterise_oscillator": Case("timing", {"pair_clock": "by_rabbit", "points": "64"}, ()),
    "compare_time_transfer": Case("timing", {"points": "16", "every_s": "4"}, ()),
    "holdover_test": Case(
        "timing",
        {"pair_clock": "by_gps", "holding_clock": "bob_gps", "outage_s": "2400", "every_s": "600"},
        (),
        bound=COUNTED,
    ),
    "measure_ghz": Case("ghz", {"acquisition_s": "0.05", "search_s": "0.05", "sigma": "0.06"}, (), bound=COUNTED),
    "transfer_time": Case(
        "twoway", {"out": "out", "home": "home", "sources": "alice_pump,bob_pump", "duration_s": "4"}, (), bound=COUNTED
    ),
    "characterise_detectors": Case(texts={"acquisition_s": "0.5", "clicks": "1000"}, bound=COUNTED),
    "characterise_source": Case(texts={"acquisition_s": "0.3", "dark_s": "0.3"}),
    "count_rates": Case(texts={"gate_s": "0.5", "points": "3"}),
    "measure_bandwidth": Case(
        texts={"dispersion_a_ps_nm": "-300", "reference_fwhm_ps": "495", "acquisition_s": "0.3", "sigma": "0.05"},
        overrides=(*STRAIGHT, "optics.alice_fibre.dispersion_ps_nm_km=-3000"),
        bound=COUNTED,
    ),
    "measure_chain": Case("chain", {"pairs": "6"}, (), bound=3.0),  # heralds come at random, a few a second
    "measure_chsh": Case(texts={"acquisition_s": "0.1", "sigma": "0.04"}, bound=COUNTED),
    "measure_darks": Case(texts={"acquisition_s": "0.5", "sigma": "0.05"}, bound=COUNTED),
    "measure_detectors": Case(
        texts={"acquisition_s": "0.3", "dark_s": "0.5", "sigma": "0.005", "dark_sigma": "0.05"}, bound=COUNTED
    ),
    "measure_error_rates": Case(texts={"duration_s": "1", "alice": "[0,1]", "bob": "[2,3]"}),
    "measure_jitter": Case(texts={"acquisition_s": "0.3", "sigma_ps": "10"}, bound=COUNTED),
    "measure_klyshko_efficiency": Case(
        texts={"acquisition_s": "0.3", "dark_s": "0.3", "sigma": "0.005"}, bound=COUNTED
    ),
    "measure_process": Case(
        texts={"acquisition_s": "0.2", "sigma": "0.02", "reference": "-1"}, bound=COUNTED, after="measure_tomography"
    ),
    "measure_joint_spectrum": Case(
        "spectrum", {"search_ps": "20000000", "acquisition_s": "0.5", "sigma": "0.02"}, (), bound=COUNTED
    ),
    "measure_swapping": Case("swap", {"acquisition_s": "0.05", "search_s": "0.02", "sigma": "0.05"}, (), bound=COUNTED),
    "measure_tomography": Case(texts={"acquisition_s": "0.1", "sigma": "0.005"}, bound=COUNTED),
    "measure_visibility": Case(texts={"acquisition_s": "0.1", "points": "4", "sigma": "0.02"}, bound=COUNTED),
    "monitor_stability": Case(texts={"duration_s": "20", "acquisition_s": "0.2", "every_s": "5"}),
    "purify_pairs": Case("chain", {"modules": "alice,hub", "pairs": "6"}, (), bound=3.0),  # as measure_chain
    "qkd_bbm92": Case("bbm92", {"blocks": "1"}, (), bound=COUNTED),
    "qkd_e91": Case("e91", {"blocks": "1"}, (), bound=COUNTED),  # settings come at random
    "qkd_decoy": Case("decoy", {"blocks": "1"}, (), bound=COUNTED),
    "record_tags": Case(texts={"duration_s": "1"}),
    "scan_hom": Case(
        "swap",
        {"ports": "[5,7]", "range_ps": "20", "acquisition_s": "0.02", "search_s": "0.02", "sigma": "0.06"},
        (),
        bound=COUNTED,
    ),
    "scan_pump": Case(
        texts={
            "settings": "[0.04,0.05,0.06]",
            "meter": "meter",
            "acquisition_s": "0.2",
            "dark_s": "0.3",
            "max_rounds": "1",
        }
    ),
    "synchronise_clocks": Case("clocks", {"duration_s": "10"}, (), bound=COUNTED),
    "synchronise_towers": Case("towers", {"hours": "0.02"}, (), bound=COUNTED),
    "track_polarisation": Case(texts={"duration_s": "10", "data_s": "0.3", "probe_s": "0.1"}),
    "watch_detectors": Case(texts={"duration_s": "30", "every_s": "10"}),
    "watch_nanowires": Case("cold", {"acquisition_s": "0.3", "points": "3"}, ()),
}
