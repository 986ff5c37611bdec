"""Secret key against loss, from twins, beside the model and the bound of Pirandola et al. without repeater.

    python benchmarks/qkd_rates.py FOLDER [bbm92|decoy] ...

Runs `qkd_bbm92` over 0, 20 and 40 km and `qkd_decoy` over several losses, one block each, in stepped time, and draws both
into FOLDER.  Points are secret bits of one block, authentication not yet paid, over the light that it took; `model` is the
same bound for the counts that are expected, with the run's reconciliation efficiency; `endless` is that of long blocks.
PLOB: -log2(1 - eta) a pulse, eta that of the line (S. Pirandola et al., Nat. Commun. 8, 15043 (2017)).
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from plans.keys import qkd_bbm92, qkd_decoy
from qlab.analysis.qber import binary_entropy
from qlab.lab.build import open_lab
from qlab.qkd.cw_model import PairLink
from qlab.qkd.decoy import DecoyCounts, Intensities, decoy_bounds, decoy_secret_bits
from qlab.qkd.finite_key import phase_error_bound, secret_bits
from qlab.run.engine import Session
from qlab.run.options import RunOptions

EPS, TAG_BITS = 1e-10, 50
PULSE_HZ, PULSES = 500_000, Intensities((0.631, 0.1897, 0.000631), (0.4, 0.4, 0.2))
GATE_DARKS = 20_000 * 5e-9


def made_in(name: str, overrides: tuple[str, ...], plan: Any) -> tuple[Any, float]:
    """Return the statement of one block, and the seconds of light that it took."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with (
            open_lab(name, overrides=overrides, data_dir=folder) as lab,
            Session(lab, RunOptions(data_dir=folder, catalogue_uri=None)) as session,
        ):
            result = session.run(plan(lab.devices["parties"]))
            return result["statements"][0], result["lit_s"] - lab.file.qkd.piece_s  # the first piece was given away


def link(kilometres: float) -> PairLink:
    """Return the model of the lab `bbm92` with so much fibre."""
    bare = PairLink(1.2e6, 0.6, 0.6, 0.7, 0.7, 800.0, 0.97 * (1 - 2e-3) ** 2, 800.0, 30_000.0)
    return bare.with_loss(0.2 * kilometres)


def bbm92_block(kilometres: float, seconds: float, efficiency: float) -> float:
    """Return the length of the key that the model expects of a block of so many seconds."""
    expected = link(kilometres)
    n, k = (expected.sifted_rate_hz(test=test) * seconds for test in (False, True))
    phase = phase_error_bound(round(n), round(k), 0.03, (EPS / 2) ** 2)
    return secret_bits(round(n), phase, efficiency * n * binary_entropy(expected.error_rate()) + TAG_BITS, EPS)


def weak_counts(loss_db: float, pulses: float) -> tuple[DecoyCounts, float]:
    """Return the counts that the lab `decoy` is expected to make, and the error rate of the key basis."""
    key, test, wrong = [], [], []
    clicks = sum(
        share * (1 - math.exp(-mu * 10 ** (-loss_db / 10) * 0.2 - 4 * GATE_DARKS))
        for mu, share in zip(PULSES.mean_photons, PULSES.probabilities, strict=True)
    )
    # Wrong: 25 dB of the modulator, 30 dB of the splitter, 1 degree of misalignment.
    flip = 10**-2.5 + 1e-3 + math.sin(math.radians(1.0)) ** 2
    for mu, share in zip(PULSES.mean_photons, PULSES.probabilities, strict=True):
        light = mu * 10 ** (-loss_db / 10) * 0.2 / 2
        seen = 1 - math.exp(-light - 2 * GATE_DARKS)
        alone = pulses * share * seen * (1 - seen) * (1 - clicks)
        key.append(0.6 * alone)
        test.append(0.4 * alone)
        wrong.append((light * flip + GATE_DARKS) / (light + 2 * GATE_DARKS) * 0.4 * alone)
    rate = sum(w / 0.4 * 0.6 for w in wrong) / sum(key)
    return DecoyCounts(tuple(key), (0, 0, 0), tuple(test), tuple(wrong)), rate


def decoy_block(loss_db: float, pulses: float, efficiency: float) -> float:
    """Return the length of the key that the model expects of so many pulses."""
    counts, rate = weak_counts(loss_db, pulses)
    bounds = decoy_bounds(PULSES, counts, EPS)
    disclosed = efficiency * sum(counts.key) * binary_entropy(rate) + TAG_BITS
    return decoy_secret_bits(bounds, disclosed, EPS, PULSES.parts)


def draw_bbm92(folder: Path) -> None:
    """Run and draw BBM92."""
    from matplotlib import pyplot as plt

    points, f = [], 1.1
    for kilometres, key_bits in ((0, 300_000), (20, 150_000), (40, 60_000)):
        fibres = tuple(f"optics.{side}_fibre.length_m={kilometres * 500}" for side in ("alice", "bob"))
        made, seconds = made_in("bbm92", (*fibres, f"qkd.key_bits={key_bits}", "qkd.test_bits=10000"), qkd_bbm92)
        f = made.efficiency
        expected = bbm92_block(kilometres, seconds, f)
        points.append((kilometres, made.key_bits / seconds, seconds))
        print(
            f"{kilometres:3d} km  {made.key_bits / seconds:9.0f} bit/s in {seconds:.1f} s, model {expected / seconds:9.0f}"
        )
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    grid = [0.5 * k for k in range(241)]
    axes.semilogy(grid, [link(k).asymptotic_rate_hz(f) or math.nan for k in grid], "k:", label="endless")
    seconds = points[-1][2]
    axes.semilogy(
        grid,
        [bbm92_block(k, seconds, f) / seconds or math.nan for k in grid],
        "C0-",
        label=f"model, {seconds:g} s of light",
    )
    axes.semilogy([p[0] for p in points], [p[1] for p in points], "C1o", label="twins, one block")
    axes.set(xlabel="fibre, source in the middle (km)", ylabel="secret bits a second", title="BBM92, lab bbm92")
    axes.legend()
    figure.savefig(folder / "bbm92.png", dpi=120)


def draw_decoy(folder: Path) -> None:
    """Run and draw decoy BB84."""
    from matplotlib import pyplot as plt

    points, f = [], 1.1
    for loss_db, key_bits in ((0.0, 150_000), (2.0, 100_000), (5.0, 100_000)):
        test_bits = round(key_bits * 0.6)
        overrides = (
            f"optics.line.loss_db_per_km={loss_db / 10:g}",
            f"qkd.key_bits={key_bits}",
            f"qkd.test_bits={test_bits}",
            *(f"instruments.bob_{x}.twin.afterpulse_probability=0" for x in "hvda"),
        )
        made, seconds = made_in("decoy", overrides, qkd_decoy)
        pulses = PULSE_HZ * seconds
        f = made.efficiency or f
        points.append((loss_db, made.key_bits / pulses, pulses))
        expected = decoy_block(loss_db, pulses, f)
        print(
            f"{loss_db:4.1f} dB  {made.key_bits / pulses:.2e} bits a pulse of {pulses:.1e}, model {expected / pulses:.2e}"
        )
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    grid = [0.1 * k for k in range(1, 301)]
    axes.semilogy(grid, [-math.log2(1 - 10 ** (-x / 10)) for x in grid], "k--", label="PLOB, without repeater")
    axes.semilogy(grid, [decoy_block(x, 1e12, f) / 1e12 or math.nan for x in grid], "k:", label="endless")
    pulses = points[-1][2]
    axes.semilogy(
        grid, [decoy_block(x, pulses, f) / pulses or math.nan for x in grid], "C0-", label=f"model, {pulses:.1e} pulses"
    )
    axes.semilogy([p[0] for p in points], [p[1] for p in points], "C1o", label="twins, one block")
    axes.set(
        xlabel="loss of the line (dB)", ylabel="secret bits a pulse", title="BB84 with two decoy states, lab decoy"
    )
    axes.legend()
    figure.savefig(folder / "decoy.png", dpi=120)


def main() -> None:
    """Draw what is asked for."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or ["bbm92", "decoy"]:
        {"bbm92": draw_bbm92, "decoy": draw_decoy}[name](folder)


if __name__ == "__main__":
    main()
