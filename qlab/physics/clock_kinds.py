"""Typical noise of the kinds of clock that a laboratory has; a lab file may give its own levels.

Figures are data-sheet limits or typical values at room temperature; a particular clock may be three times better.
Sources: quartz and OCXO, J. R. Vig, "Quartz crystal resonators and oscillators for frequency control and timing
applications: a tutorial" (2016), chapter 4, and the ageing of data sheets (TCXO 1e-6 a year, OCXO 5e-10 a day);
rubidium, SRS PRS10 data sheet (2e-11 at 1 s, 1e-11 at 10 s, 2e-12 at 100 s, 5e-11 a month); caesium, Microchip 5071A
data sheet, standard tube (1.2e-11 at 1 s, 2.7e-12 at 100 s, floor 5e-14); GPS-disciplined, an oven's crystal whose
phase a loop holds, which leaves some nanoseconds, and which ages by some microseconds in a day without satellites
(M. A. Lombardi, NCSLI Measure 3(3), 56 (2008)).  Temperature: quartz +-1 ppm over its range, OCXO 5e-9 over 50 K, PRS10
1e-10 over 85 K, 5071A 1e-13 over 50 K; the slope in a room is taken as the mean slope over the range.
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
        ageing_per_day=3e-9,
        per_k=2e-8,
    ),
    "ocxo": ClockKind(
        NoiseLevels(white_pm_ps=1.0, flicker_pm_ps=0.2, white_fm=1e-12, flicker_fm=2e-12, random_walk_fm=2e-14),
        ageing_per_day=5e-10,
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
