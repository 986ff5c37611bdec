"""`qlab demo`: a Bell test from cold instruments to a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.clock import PS_PER_S, RealClock
from qlab.lab.build import open_lab
from qlab.lab.predict import predict_chsh
from qlab.run.commands import run_to_its_end, say, say_killed, write_report
from qlab.run.engine import Session
from qlab.run.loader import bind_parameters, find_plans
from qlab.run.warming import warm_up

if TYPE_CHECKING:
    from qlab.run.options import RunOptions

__all__ = ["demo"]


def demo(lab_name: str, options: RunOptions) -> int:
    """Warm up, align, measure visibility and S, and render the report; returns 0 if S agrees with theory."""
    plans = find_plans()
    with RealClock() as wall, open_lab(lab_name, overrides=options.overrides, data_dir=options.data_dir) as lab:
        links = ", ".join(sorted({device.link.address for device in lab.devices.values() if hasattr(device, "link")}))
        say(f"lab {lab.file.name}: {len(lab.file.instruments)} instruments on {links}")
        with Session(lab, options) as session:  # first: its catalogue starts while the oven warms up
            say_killed(session)
            warm_up(lab, say)
            results = {}
            for name in ("align_polarisation", "measure_visibility", "measure_chsh"):
                plan = plans[name]
                results[name] = run_to_its_end(session, plan(**bind_parameters(plan, {}, lab.devices)))
            seen, test = results["measure_visibility"], results["measure_chsh"]
            say(f"alignment: fidelity to phi+ {results['align_polarisation']['fidelity']:.3f}")
            for basis in ("hv", "da"):
                value, sigma = seen[f"visibility_{basis}"], seen[f"visibility_{basis}_sigma"]
                say(f"visibility {basis.upper()}: {value:.4f} +- {sigma:.4f}")
            rate = float(test["counts"].sum()) / 4.0 / test["live_s_per_setting"]
            theory = predict_chsh(lab.file, np.asarray(test["singles_hz"]).mean(axis=0), rate, test["window_ps"])
            z = (test["s"] - theory.s) / test["s_sigma"]
            say(
                f"S = {test['s']:.4f} +- {test['s_sigma']:.4f} (counts {test['s_sigma_counts']:.4f}, plates "
                f"{test['s_sigma_settings']:.4f})   theory {theory.s:.4f}   ({z:+.1f} sigma; classical bound 2)"
            )
            write_report(session.data_dir, "-1", None)
        say(f"took {wall.now_ps() / PS_PER_S:.0f} s")
    return 0 if abs(z) <= 3.0 else 1
