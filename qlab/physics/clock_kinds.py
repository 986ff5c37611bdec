"""Typical noise of the kinds of clock that a laboratory has; a lab file may give its own levels.

A particular clock may be three times better or worse.  Stability at 1 s and flicker floor: M. A. Lombardi's table of
oscillator types (in R. H. Bishop, The Mechatronics Handbook, CRC Press 2002): TCXO 1e-8 to 1e-9 and 1e-9, OCXO 1e-12 and
1e-12, rubidium 5e-11 to 5e-12 and 1e-12, caesium 5e-11 to 5e-12.  Ageing: the same and J. R. Vig, Introduction to Quartz
Frequency Standards (1992), table 1: TCXO 5e-7 a year; OCXO 5e-9 a year after long running, where owners measured 1.5e-11 to
2e-10 a day (time-nuts list, 2009 to 2020), here 1e-10.  Rubidium: the SRS PRS10 (2e-11 at 1 s falling as tau^(-1/2), as
measured by T. Van Baak, time-nuts 2006; 5e-11 a month by its data sheet).

[INF], within these but with no source of their own: random walks, the phase noise, caesium's 1.2e-11 and 5e-14 (what the
5071A's data sheet is remembered to say of its standard tube), and the slopes with temperature, taken as the mean over the
range that data sheets give (TCXO 1e-6 over 50 K, OCXO 5e-9 over 50 K, PRS10 1e-10 over 85 K, caesium 1e-13 over 50 K).
GPS-disciplined: an oven's crystal whose phase a loop holds, which leaves some nanoseconds, and which ages by some
microseconds in a day without satellites (M. A. Lombardi, NCSLI Measure 3(3), 56 (2008)).
"""

from __future__ import annotations

from dataclasses import dataclass

from qlab.physics.wander import NoiseLevels

__all__ = ["CLOCK_KINDS", "ClockKind"]


@dataclass(frozen=True, slots=True)
class ClockKind:
    """Noise, and the change of the fractional frequency per day and per K."""

    noise: NoiseLevels
    ageing_per_day: float = 0.0
    per_k: float = 0.0


CLOCK_KINDS = {
    "ideal": ClockKind(NoiseLevels()),
    "quartz": ClockKind(
        NoiseLevels(white_pm_ps=10.0, white_fm=1e-9, flicker_fm=1e-9, random_walk_fm=1e-10),
        ageing_per_day=1.4e-9,
        per_k=2e-8,
    ),
    "ocxo": ClockKind(
        NoiseLevels(white_pm_ps=1.0, flicker_pm_ps=0.2, white_fm=1e-12, flicker_fm=2e-12, random_walk_fm=2e-14),
        ageing_per_day=1e-10,
        per_k=1e-10,
    ),
    "rubidium": ClockKind(
        NoiseLevels(white_pm_ps=1.0, white_fm=2e-11, flicker_fm=1e-12, random_walk_fm=1e-15),
        ageing_per_day=1.7e-12,
        per_k=1.2e-12,
    ),
    "gps_disciplined": ClockKind(
        NoiseLevels(white_pm_ps=1.0, flicker_pm_ps=0.2, white_fm=1e-12, flicker_fm=3e-12, loop_s=1000.0),
        ageing_per_day=1e-10,
        per_k=1e-11,
    ),
    "caesium": ClockKind(NoiseLevels(white_pm_ps=1.0, white_fm=1.2e-11, flicker_fm=5e-14), per_k=2e-15),
}
