"""The pump laser and the crystal that makes pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qlab.physics.knob import Knob
from qlab.physics.states import bell_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qlab.physics.beam import Beam

__all__ = ["LaserDiode", "PairSource"]

_SINC2_HALF = 1.39155737825151
"""sinc^2(x) = 1/2 at this x."""


@dataclass(frozen=True, slots=True)
class LaserDiode:
    """Light against current: nothing below threshold, a straight line above (Saleh & Teich, chapter 17).

    The junction's temperature raises the threshold and lowers the slope, by exponentials (Coldren, Corzine & Masanovic,
    *Diode Lasers and Photonic Integrated Circuits*, 2nd edition, chapter 2).

    Parameters
    ----------
    threshold_a:
        Threshold current at `reference_c`.
    slope_w_per_a:
        Slope efficiency.
    reference_c, t0_k, t1_k:
        The threshold grows as exp((T - reference) / T0), the slope falls as exp(-(T - reference) / T1).
    rollover_per_a:
        Thermal roll-off: the slope falls by this share per ampere above threshold.
    wavelength_nm, mode_spacing_nm:
        At `reference_c` and threshold; longitudinal modes.
    gain_nm_per_k, mode_nm_per_k, heating_k_per_a:
        How gain peak and modes move with the junction's temperature, which the current heats: the laser hops to the mode
        next to the gain peak.
    """

    threshold_a: float = 0.03
    slope_w_per_a: float = 0.6
    reference_c: float = 25.0
    t0_k: float = 120.0
    t1_k: float = math.inf
    rollover_per_a: float = 0.0
    wavelength_nm: float = 405.0
    mode_spacing_nm: float = 0.03
    gain_nm_per_k: float = 0.06
    mode_nm_per_k: float = 0.015
    heating_k_per_a: float = 60.0

    def power_w(self, current_a: float, temperature_c: float = 25.0) -> float:
        """Return the optical power in W."""
        warmer_k = temperature_c - self.reference_c
        above = max(current_a - self.threshold_a * math.exp(warmer_k / self.t0_k), 0.0)
        slope = self.slope_w_per_a * math.exp(-warmer_k / self.t1_k)
        return max(above * slope * (1.0 - self.rollover_per_a * above), 0.0)

    def wavelength_at(self, current_a: float, temperature_c: float = 25.0) -> float:
        """Return the wavelength in nm: that of the mode nearest to the gain peak."""
        heat_k = temperature_c - self.reference_c + self.heating_k_per_a * (current_a - self.threshold_a)
        gain, comb = self.gain_nm_per_k * heat_k, self.mode_nm_per_k * heat_k
        return self.wavelength_nm + comb + self.mode_spacing_nm * round((gain - comb) / self.mode_spacing_nm)


@dataclass(slots=True)
class PairSource:
    """A crystal pumped continuously, whose coherence time is far below any window: pairs are a Poisson process.

    Parameters
    ----------
    brightness_hz_per_w:
        Pairs per second made in the collected modes, per watt of pump, at perfect phase matching.
    state:
        Density matrix of a pair, shape (4, 4); signal first.
    pump_power_w, temperature_c:
        Knobs of the pump power at the crystal and of the crystal's temperature.
    pump_way, port:
        How the pump's light comes to the crystal, and the crystal's port there; None: all of it.
    phase_match_c, phase_match_fwhm_c:
        Where the sinc^2 of the phase mismatch peaks, and its full width at half maximum.
    pump_colour, pump_nm, phase_match_c_per_nm:
        Knob of the pump's wavelength, which moves that peak by so much from where it is at `pump_nm`; None: it does not.
    signal_nm, idler_nm, bandwidth_nm:
        Centre wavelengths and the FWHM of the signal's spectrum.
    """

    brightness_hz_per_w: float
    state: NDArray[np.complex128] = field(default_factory=lambda: bell_state("phi+"))
    pump_power_w: Knob = field(default_factory=lambda: Knob(0.0))
    temperature_c: Knob = field(default_factory=lambda: Knob(25.0))
    pump_way: Beam | None = None
    port: int = 0
    phase_match_c: float = 25.0
    phase_match_fwhm_c: float = 2.0
    signal_nm: float = 810.0
    idler_nm: float = 810.0
    bandwidth_nm: float = 1.0
    pump_colour: Knob | None = None
    pump_nm: float = 0.0
    phase_match_c_per_nm: float = 0.0

    def rate_hz(self, t_ps: int) -> float:
        """Return the pair rate at `t_ps`."""
        peak_c = self.phase_match_c
        if self.pump_colour is not None:
            peak_c += self.phase_match_c_per_nm * (self.pump_colour.value(t_ps) - self.pump_nm)
        detuning = (self.temperature_c.value(t_ps) - peak_c) / (self.phase_match_fwhm_c / 2.0)
        x = _SINC2_HALF * detuning
        match = 1.0 if abs(x) < 1e-9 else (math.sin(x) / x) ** 2
        share = self.pump_way.share(self.port, t_ps) if self.pump_way is not None else 1.0
        return self.brightness_hz_per_w * self.pump_power_w.value(t_ps) * share * match

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the rate depends on."""
        way = self.pump_way.knobs() if self.pump_way is not None else ()
        colour = (self.pump_colour,) if self.pump_colour is not None else ()
        return (self.pump_power_w, self.temperature_c, *colour, *way)
