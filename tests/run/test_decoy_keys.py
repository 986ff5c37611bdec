"""`qkd_decoy` on the lab `decoy`: a key from weak pulses as the model counts them, none once somebody splits photons off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from plans.keys import qkd_bbm92, qkd_decoy
from qlab.errors import PlanError
from qlab.lab.build import open_lab
from qlab.qkd.ledger import KeyLedger
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

QUIET = [f"instruments.bob_{x}.twin.afterpulse_probability=0" for x in "hvda"]


@pytest.mark.slow
def test_weak_pulses_give_a_key_as_the_model_counts_them(tmp_path: Path) -> None:
    with (
        open_lab("decoy", overrides=QUIET, data_dir=tmp_path) as lab,
        Session(lab, RunOptions(data_dir=tmp_path, catalogue_uri=None)) as session,
    ):
        parties = lab.devices["parties"]
        with pytest.raises(PlanError, match="has the protocol decoy; expected bbm92"):
            session.run(qkd_bbm92(parties))
        result = session.run(qkd_decoy(parties))
        (made,) = result["statements"]
        known = made.estimated
        # Detections of one of two detectors, as in test_decoy: photons behind 2 dB, a splitter and 20 %; darks in 5 ns.
        key = test = clicks = 0.0
        for photons, share in ((0.631, 0.4), (0.1897, 0.4), (0.000631, 0.2)):
            seen = 1 - math.exp(-photons * 10**-0.2 * 0.2 / 2 - 2 * 20_000 * 5e-9)
            alone = share * seen * (1 - seen)  # clicks in both bases are dropped
            key, test, clicks = key + 0.6 * alone, test + 0.4 * alone, clicks + share * (1 - (1 - seen) ** 2)
        dead = 1 - clicks  # 3 us behind any click: the gate after it is lost
        for found, each in ((known.n_key, key), (known.n_test, test)):
            mean = 500_000 * (result["lit_s"] - 1.0) * each * dead  # the first piece was given away
            assert found == pytest.approx(mean, rel=0.02)
        assert made.key_bits > 15_000
        lab.faults.arm("attack", "laser", fraction=1.0)
        (attacked,) = session.run(qkd_decoy(parties))["statements"]
        assert attacked.key_bits == 0
        assert "at least 0 came from single photons" in attacked.reason
    a, b = (KeyLedger(tmp_path / "keys" / side) for side in ("alice", "bob"))
    assert a.blocks("usable") == b.blocks("usable") == [0]
    assert (a.deliver(0).reveal() == b.deliver(0).reveal()).all()
