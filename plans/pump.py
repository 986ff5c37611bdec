"""A pair source over its pump power: brightness, and how its accidentals grow."""

from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

from plans.goals import Goal
from plans.klyshko import arm_channels
from plans.stubs import Switch, measure_setting, recording_run

__all__ = ["scan_pump"]

DISPLACED = 20
"""Windows beside the peak in which accidentals are counted."""
AWAY_PS = 2_000_000
"""How far: beyond what afterpulses of one photon's click could add to the other's."""


def scan_pump(
    tagger,
    source,
    settings: list[float],
    control: str = "current_a",
    meter=None,
    acquisition_s: float = 0.5,
    dark_s: float = 1.0,
    sigma: float = 0.03,
    max_rounds: int = 10,
    max_duration_s: float | None = None,
    inputs_a: list[int] | None = None,
    inputs_b: list[int] | None = None,
    window_ps: int = 2000,
    md: dict[str, object] | None = None,
):
    """Measure pair rate, efficiencies and coincidence-to-accidental ratio at several pump powers, and fit them together.

    Pair rates are corrected as those of `measure_klyshko_efficiency` are; a line through them is the brightness.  The
    ratios are counted, accidentals in displaced windows, and held against what the line, the mean efficiencies and the dark
    rates have them to be.

    Parameters
    ----------
    tagger : TimeTagger
        Sees both arms.
    source : PhotonSource
        The pump: off for the dark rates, on for the rest; makes pairs continuously.
    settings : list of float
        Values of the pump's control, at least three.
    control : str
        The signal of the pump that is set.
    meter : PowerMeter
        Measures the pump; without it the control's value stands for the power.
    acquisition_s, dark_s : float
        Seconds a round, and seconds in the dark.
    sigma : float
        Wanted relative standard uncertainty of each ratio.
    max_rounds : int
        Rounds a power after which the plan takes what there is.
    max_duration_s : float
        Lab seconds a power after which it does.
    inputs_a, inputs_b : list of int
        Inputs of the arms, from 1; by default 1, 2 and 3, 4.
    window_ps : int
        Full width of the coincidence window.
    md : dict
        Metadata.
    """
    from qlab.analysis.accidentals import counted_car
    from qlab.analysis.klyshko_gathering import DarkRates, KlyshkoGathering
    from qlab.analysis.pump_scan import ArmFigures, expected_car, fit_brightness
    from qlab.errors import PlanError
    from qlab.run.results import Results, publish
    from qlab.tags.coincidence import coincidence_matrix

    a, b = arm_channels("scan_pump", inputs_a, inputs_b)
    signal = getattr(source, control, None)
    if not hasattr(signal, "set"):
        msg = f"scan_pump: {source.name} has no signal {control!r} to set; name one, control=SIGNAL"
        raise PlanError(msg)
    if len(set(settings)) < 3 or not min(acquisition_s, dark_s) > 0:
        msg = (
            f"scan_pump: settings = {settings}, acquisition_s = {acquisition_s:g}, dark_s = {dark_s:g}; expected three "
            "different settings or more, and times above 0"
        )
        raise PlanError(msg)
    Goal("scan_pump", sigma, max_rounds, max_duration_s)
    switch, darks = Switch(source), DarkRates()
    readables = [] if meter is None else [meter]
    taken = Results("pump_point", {"pair_rate_hz": "Hz"})

    def aside(block, delays):
        """Return the coincidences in displaced windows, all together."""
        total = 0
        for n in range(DISPLACED):
            away = (AWAY_PS + (n // 2) * 10 * window_ps) * (1 if n % 2 else -1)
            moved = {c: delay + (away if c in b else 0) for c, delay in delays.items()}
            total += int(coincidence_matrix(block, a, b, window_ps, moved).sum())
        return total

    def point(setting):
        goal = Goal("scan_pump", sigma, max_rounds, max_duration_s)
        goal.begin(tagger.clock)
        light, displaced, power = KlyshkoGathering(a, b, window_ps, darks), 0, []
        yield from bps.abs_set(signal, setting, wait=True)
        while True:
            if meter is not None:
                yield from bps.trigger(meter, group="power", wait=True)
            yield from measure_setting([tagger], readables, [(signal, setting)])
            if meter is not None:
                power.append(float(meter.power_w.get()))
            light.feed(tagger.last_block)
            figures = light.figures()
            displaced += aside(tagger.last_block, light.delays_ps())
            car = counted_car(int(light.table.sum()), displaced, DISPLACED)
            if displaced and goal.reached((car.high - car.low) / 2.0 / car.value):
                break
            if not displaced and goal.reached(np.inf):
                break
        row = {
            "setting": setting,
            "power": float(np.mean(power)) if power else setting,
            "pair_rate_hz": figures.pair_rate_hz,
            "pair_rate_hz_sigma": figures.pair_rate_hz_sigma,
            "efficiency_a": figures.arm_a,
            "efficiency_a_sigma": figures.arm_a_sigma,
            "efficiency_b": figures.arm_b,
            "efficiency_b_sigma": figures.arm_b_sigma,
            "car": car.value,
            "car_low": car.low,
            "car_high": car.high,
            "coincidences": int(light.table.sum()),
            "displaced": displaced,
            "capture": float(light.capture.mean()),
            "rounds": goal.rounds,
        }
        yield from publish("points", taken, row, tagger.clock.now_s())
        return row, light

    def arm(channels, efficiency, light):
        """Return an arm's figures, its darks and afterpulses weighted as the clicks are."""
        clicks = [light.clicks[c] for c in channels]
        share = sum(c.afterpulses * c.singles for c in clicks) / sum(c.singles for c in clicks)
        return ArmFigures(efficiency, sum(c.dark_hz * (1.0 - c.afterpulses) for c in clicks), share)

    def body():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, dark_s, wait=True)
        yield from measure_setting([tagger], [], stream="dark")
        darks.feed(tagger.last_block)
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        yield from bps.abs_set(tagger.acquisition_s, acquisition_s, wait=True)
        rows = []
        for setting in settings:
            row, light = yield from point(setting)
            rows.append(row)
        values: dict[str, Any] = {f"point_{name}": np.array([row[name] for row in rows]) for name in rows[0]}
        line = fit_brightness(*(values[f"point_{name}"] for name in ("power", "pair_rate_hz", "pair_rate_hz_sigma")))
        arms = []
        for name, channels in (("a", a), ("b", b)):
            weights = np.array([row[f"efficiency_{name}_sigma"] for row in rows]) ** -2.0
            mean = float((weights * values[f"point_efficiency_{name}"]).sum() / weights.sum())
            values |= {f"efficiency_{name}": mean, f"efficiency_{name}_sigma": float(weights.sum() ** -0.5)}
            arms.append(arm(channels, mean, light))
        power = values["point_power"]
        made = line.slope * (power - line.threshold)
        # A window of whole ps from -h to h is 1 ps wider than twice h.
        values["point_car_expected"] = expected_car(
            made, arms[0], arms[1], 2 * (window_ps // 2) + 1, rows[0]["capture"]
        )
        values |= {
            "brightness": line.slope,
            "brightness_sigma": line.slope_sigma,
            "threshold": line.threshold,
            "threshold_sigma": line.threshold_sigma,
            "chi2": line.chi2,
            "degrees_of_freedom": line.degrees_of_freedom,
            "power_is": control if meter is None else f"{meter.name}, W",
            "darks_a_hz": arms[0].dark_hz,
            "darks_b_hz": arms[1].dark_hz,
            "window_ps": window_ps,
            "channels": np.array([*a, *b]),
        }
        units = {"window_ps": "ps", "darks_a_hz": "Hz", "darks_b_hz": "Hz"}
        yield from publish("analysis", "pump", values, tagger.clock.now_s(), units)
        return values

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    run = recording_run("scan_pump", [tagger], body, 1 + len(settings) * max_rounds, md)
    return (yield from bpp.finalize_wrapper(run, off))
