"""A fibre both ways: reciprocity, warmth, what somebody puts in."""

from __future__ import annotations

import numpy as np
import pytest

from qlab.physics.ambient import DAY_PS, Ambient
from qlab.physics.arm import Path, Port
from qlab.physics.fibre import Fibre
from qlab.physics.jones import random_rotation
from qlab.physics.keys import Brownian
from qlab.physics.knob import Knob

S = 10**12


def fibre(*, back: bool, ambient: Ambient | None = None, extra_ps: Knob | None = None) -> Fibre:
    return Fibre(
        Port(1),
        length_m=20_000.0,
        loss_db_per_km=0.2,
        turn=random_rotation(4),
        drift_rad_per_sqrt_s=0.3,
        walk=(Brownian(1, 5), Brownian(1, 6), Brownian(1, 7)),
        ps_per_km_k=10.0,
        ambient=ambient or Ambient(5.0),
        asymmetry_ps=30.0,
        back=back,
        extra_ps=extra_ps or Knob(0.0),
    )


def test_on_the_way_back_light_meets_the_transposed_matrix_at_any_time() -> None:
    """Reciprocity (Potton, Rep. Prog. Phys. 67, 717, 2004): a mirror that turns each state into its partner (Faraday mirror)
    gives back what was sent, whatever the fibre does: J^T (i sigma_y) J = det(J) (i sigma_y)."""
    partner = np.array([[0.0, 1.0], [-1.0, 0.0]])
    for t in (0, 100 * S):
        forth, back = fibre(back=False).jones(t), fibre(back=True).jones(t)
        assert np.abs(back - forth.T).max() < 1e-12
        there_and_back = back @ partner @ forth
        assert np.abs(there_and_back - np.linalg.det(forth) * partner).max() < 1e-12
        assert abs(np.linalg.det(forth)) == pytest.approx(10 ** (-0.4))
    assert np.abs(fibre(back=False).jones(100 * S) - fibre(back=False).jones(0)).max() > 0.1


def test_warmth_and_what_is_put_in_make_light_late_and_the_asymmetry_on_the_way_back_only() -> None:
    knob, extra = Knob(0.0), Knob(0.0)
    knob.set(2.0, DAY_PS // 2)
    extra.set(500.0, S)
    forth, back = (
        fibre(back=b, ambient=Ambient(5.0, knob), extra_ps=e) for b, e in ((False, extra), (True, Knob(0.0)))
    )
    start = forth.delay_at(0)
    assert start == pytest.approx(20_000 * 1.468 / 299_792_458 * 1e12)
    assert back.delay_at(0) == start + 30.0
    assert forth.delay_at(DAY_PS // 4) == pytest.approx(start + 5.0 * 200.0 + 500.0)
    assert back.delay_at(DAY_PS // 4) == pytest.approx(start + 5.0 * 200.0 + 30.0)
    assert back.delay_at(3 * DAY_PS // 4) == pytest.approx(start + (2.0 - 5.0) * 200.0 + 30.0)
    (arrived,) = forth.outcomes(2 * S, Path())
    assert arrived.delay_ps == round(forth.delay_at(2 * S))
    assert {id(k) for k in (knob, extra)} <= {id(k) for k in forth.knobs()}
    assert forth.drifts()
    assert not Fibre(Port(1), length_m=5.0, ps_per_km_k=33.0, ambient=Ambient()).drifts()
