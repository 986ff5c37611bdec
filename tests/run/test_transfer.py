"""Two-way time transfer over one fibre, over the wire, against the world's truth and theory; who delays one way is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plans.clocks import transfer_time
from qlab.lab.build import Lab, open_lab
from qlab.run.engine import Session
from qlab.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

METRE_PS = 1.468 / 299_792_458 * 1e12


def with_events(plan: Generator[Any, Any, Any], events: dict[int, Callable[[], None]]) -> Generator[Any, Any, Any]:
    """Do things after so many points of the stream `transfer`."""
    points, stream, reply = 0, "", None
    while True:
        try:
            message = plan.send(reply)
        except StopIteration as stop:
            return stop.value
        reply = yield message
        stream = message.kwargs.get("name", "") if message.command == "create" else stream
        if message.command == "save" and stream == "transfer":
            points += 1
            if points in events:
                events[points]()


def run(tmp_path: Path, km: float, events: Callable[[Lab], dict[int, Callable[[], None]]], **more: Any) -> Any:
    """Return what a run finds, and the error of its offsets."""
    overrides = [f"optics.spool.length_m={km * 1000.0}", "optics.spool.dispersion_ps_nm_km=0"]
    with open_lab("twoway", data_dir=tmp_path, overrides=overrides) as lab:
        with Session(lab, RunOptions(data_dir=tmp_path)) as session:
            d = lab.devices
            plan = transfer_time(d["out"], d["home"], [d["alice_pump"], d["bob_pump"]], acquisition_s=1.3, **more)
            found: dict[str, Any] = session.run(with_events(plan, events(lab)))
        clocks = lab.wiring.clocks
        at = [round(s * 1e12) for s in found["at_s"]]
        truth = np.array([clocks["bob"].local(t) - clocks["alice"].local(t) for t in at], np.float64)
    return found, truth


def test_a_delay_of_one_way_is_seen_and_one_that_is_taken_off_the_other_is_not(tmp_path: Path) -> None:
    def attacks(lab: Lab) -> dict[int, Callable[[], None]]:
        def shift_both() -> None:
            lab.faults.arm("fibre_delay", "spool", by_ps=500, way="forth")
            lab.faults.arm("fibre_delay", "spool", by_ps=-500, way="back")

        return {3: shift_both, 6: lambda: lab.faults.arm("fibre_delay", "spool", by_ps=500, way="back")}

    found, truth = run(tmp_path, 10.0, attacks, duration_s=13.0, drift_ps_per_s=1.0)
    assert found["at_s"].size == 9
    error, sigma = found["offset_ps"] - truth, found["sigma_ps"]
    assert sigma.max() < 15.0
    # From the equations of the scheme: d_out - d_home is 0, then 1 ns, then 0 again with a round trip 1 ns longer.
    expected = np.repeat([0.0, 500.0, 0.0], 3)
    assert np.abs((error - expected) / sigma).max() < 4.0
    trip = found["round_trip_ps"] - 2.0 * 10_000 * METRE_PS
    assert trip == pytest.approx(np.repeat([0.0, 0.0, 1000.0], 3), abs=4.0 * 2.0 * sigma.max())
    # The first attack, which moves the time, raises no alarm; the second does, at once and once.
    assert found["alarm"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found["step_ps"][6] == pytest.approx(1000.0, abs=80.0)


@pytest.mark.slow
@pytest.mark.parametrize("km", [1.0, 10.0, 50.0])
def test_a_warmer_fibre_moves_one_way_by_10_ps_per_km_and_kelvin_and_two_way_by_nothing(
    tmp_path: Path, km: float
) -> None:
    def warm(lab: Lab) -> dict[int, Callable[[], None]]:
        return {15: lambda: lab.faults.arm("warmth", "spool", by_k=1.0, tau_s=5.0)}

    drift = 2.0 * 10.0 * km / 5.0
    found, truth = run(tmp_path, km, warm, duration_s=70.0, drift_ps_per_s=drift, known_delay_ps=km * 1000.0 * METRE_PS)
    two, one = found["offset_ps"] - truth, found["one_way_ps"] - truth
    before, after = slice(0, 15), slice(-15, None)
    mean_sigma = found["sigma_ps"].mean() / 15**0.5 * 2.0  # neighbouring points share what the filter remembers
    assert abs(two[before].mean()) < 4.0 * mean_sigma
    assert abs(two[after].mean()) < 4.0 * mean_sigma
    assert two.std() == pytest.approx(found["sigma_ps"].mean(), rel=0.5)
    assert one[after].mean() - one[before].mean() == pytest.approx(10.0 * km, abs=10.0 * mean_sigma + 0.01 * km)
    trip = found["round_trip_ps"]
    assert trip[after].mean() - trip[before].mean() == pytest.approx(20.0 * km, abs=10.0 * mean_sigma + 0.02 * km)
    assert found["alarms"] == 0


@pytest.mark.slow
def test_opposite_dispersion_before_the_other_detector_narrows_the_peak_again(tmp_path: Path) -> None:
    # J. D. Franson, Phys. Rev. A 45, 3126 (1992): for anticorrelated photons the spread is |D_A L_A + D_B L_B| of the
    # bandwidth; 17 ps/(nm km), 50 km and 0.5 nm make 425 ps (FWHM) beside two detectors of 350 ps.
    widths = []
    for spool, local in ((0, 0), (17, 0), (17, -17)):
        text = open_lab("twoway", connect=False)
        path, source = tmp_path / f"{spool}{local}.yaml", text.path.read_text()
        text.close()
        source = source.replace("length_m: 10000", "length_m: 50000")
        source = source.replace("dispersion_ps_nm_km: 17,", f"dispersion_ps_nm_km: {spool},")
        coil = f"coil: {{kind: fibre, length_m: 50000, loss_db_per_km: 0, dispersion_ps_nm_km: {local}}}"
        source = source.replace("\npaths:", f"\n  {coil}\n\npaths:")
        source = source.replace("crystal.signal, to: alice_local", "crystal.signal, via: [coil], to: alice_local")
        path.write_text(source)
        with open_lab(str(path), data_dir=tmp_path) as lab, Session(lab, RunOptions(data_dir=tmp_path)) as session:
            d = lab.devices
            sources = [d["alice_pump"], d["bob_pump"]]
            session.run(transfer_time(d["out"], d["home"], sources, duration_s=4.0, acquisition_s=4.0))
            widths.append(d["out"].jitter_ps)
    plain = (2.0 * (350.0 / 2.3548) ** 2) ** 0.5
    broad = (plain**2 + (17.0 * 50.0 * 0.5 / 2.3548) ** 2) ** 0.5
    assert widths == pytest.approx([plain, broad, plain], rel=0.04)
