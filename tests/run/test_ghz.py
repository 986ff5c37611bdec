"""The lab `ghz` over the wire: fidelity and witness of four photons are those of an exact sum over Fock states."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.ghz import contributions, measure_ghz
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.run.engine import Session
from qlab.run.loader import bind_parameters
from qlab.run.options import RunOptions

from ..physics.fock import bits, fock_bell_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIES = ("alice", "bob", "carol", "dave")
# What Fock states are summed for: pure photons, ideal splitters; 0.1 pairs a pulse, detectors of 80 %, 98 % overlap.
BRIGHT = [
    *(f"optics.crystal_{x}.{what}" for x in "ab" for what in ("brightness_hz_per_mw=40000", "pulsed.modes=1")),
    "optics.fusion.extinction_db=80",
    *(f"optics.{x}_pbs.extinction_db=60" for x in PARTIES),
    *(f"instruments.{x}_{y}.twin.repeatability_deg=0" for x in PARTIES for y in ("hwp", "qwp")),
]
MEAN, ETA, OVERLAP = 0.1, 0.8, 0.98


@pytest.fixture(scope="module")
def ghz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Session]]:
    folder = tmp_path_factory.mktemp("ghz")
    options = RunOptions(overrides=BRIGHT, data_dir=folder)
    with open_lab("ghz", overrides=BRIGHT, data_dir=folder) as lab, Session(lab, options) as session:
        yield lab, session


def theory(angle: float) -> np.ndarray:
    """Return the four-fold probabilities with all parties at a linear polarisation, shape (2, 2, 2, 2)."""
    four = (angle, angle)
    p = fock_bell_pairs(four, four, (1.0, 0.0), mean=MEAN, eta=ETA, v=math.sqrt(OVERLAP))
    return np.array([p[bits(*who)] for who in itertools.product((1, 2), (3, 4), (5, 6), (7, 8))]).reshape((2,) * 4)


def test_fidelity_and_witness_are_those_of_theory(ghz: tuple[Any, Session]) -> None:
    """F = (P + C)/2.  A turn of all four about Z by k pi/4 multiplies the amplitude of v vertical pairs by (-1)^(k v) and a
    common phase, so that all four coherences have the size of that along X, multi-pair emission and losses included."""
    lab, session = ghz
    arguments = bind_parameters(
        measure_ghz, {"acquisition_s": "0.16", "search_s": "0.02", "sigma": "0.003"}, lab.devices
    )
    assert [party.name for party in arguments["analysers"]] == list(PARTIES)
    found = session.run(measure_ghz(**arguments))
    assert found["fidelity_sigma"] <= 0.003
    along_z, along_x = theory(0.0), theory(math.pi / 4)
    population = (along_z[0, 0, 0, 0] + along_z[1, 1, 1, 1]) / along_z.sum()
    parity = np.prod(np.meshgrid(*[[1.0, -1.0]] * 4, indexing="ij"), axis=0)
    coherence = -(parity * along_x).sum() / along_x.sum()
    assert 0.85 < population < 0.99
    assert 0.7 < coherence < population
    assert found["population"] == pytest.approx(population, abs=0.01)
    assert found["fidelity"] == pytest.approx((population + coherence) / 2.0, abs=4.0 * found["fidelity_sigma"])
    assert found["coherences"] == pytest.approx([coherence] * 4, abs=4.5 * 8.0 * found["fidelity_sigma"] / 2.0)
    # W = 3 - (1 + <XXXX>) - 2 P for the state that <XXXX> = -1 belongs to.
    assert found["witness"] == pytest.approx(2.0 - coherence - 2.0 * population, abs=4.0 * found["witness_sigma"])
    assert found["witness"] < -20.0 * found["witness_sigma"]
    rate = found["counts"][0].sum() / (found["acquisitions"][0] * 0.16)
    assert rate == pytest.approx(8e6 * along_z.sum(), rel=4.0 / math.sqrt(found["counts"][0].sum()))


def test_a_perfect_state_has_fidelity_one_and_its_error_is_not_nothing() -> None:
    counts = np.zeros((5, 2, 2, 2, 2))
    counts[0, 0, 0, 0, 0] = counts[0, 1, 1, 1, 1] = 50
    wanted = np.array([-1.0, 1.0, -1.0, 1.0])
    for k, sign in enumerate(wanted, 1):
        counts[k, 0, 0, 0, 0 if sign > 0 else 1] = 100
    population, coherences, variances = contributions(counts, wanted)
    assert population / 2.0 + coherences.mean() / 2.0 == 1.0
    assert 0.0 < variances.sum() < 0.01


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"parties": 3}, "alice, bob, carol; expected four analysers"),
        ({"phase": "0"}, "phase = '0'; expected . or -"),
        ({"acquisition_s": 0.0}, "acquisition_s = 0"),
        ({"sigma": -1.0}, "sigma = -1"),
    ],
)
def test_what_cannot_be_is_refused(ghz: tuple[Any, Session], wrong: dict[str, Any], text: str) -> None:
    lab, session = ghz
    d = lab.devices
    count = wrong.pop("parties", 4)
    with pytest.raises(PlanError, match=text):
        session.run(measure_ghz([d["tagger"], d["other_tagger"]], [d[name] for name in PARTIES[:count]], **wrong))
