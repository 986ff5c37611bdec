"""A superconducting nanowire single-photon detector: what bias current and temperature make of it.

Sources: the depairing current's temperature dependence, I(T) = I(0) (1 - (T/Tc)^2)^(3/2), is Bardeen's (Rev. Mod. Phys. 34,
667, 1962); efficiency as a sigmoid of the bias current, dark counts that grow exponentially with it and jitter that falls
with it are reviewed by Natarajan, Tanner and Hadfield (Supercond. Sci. Technol. 25, 063001, 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["BiasedNanowire", "Nanowire"]


@dataclass(frozen=True, slots=True)
class Nanowire:
    """What a nanowire is.

    Parameters
    ----------
    switching_ua:
        Switching current at `base_k`: above it the wire becomes normal.
    base_k, critical_k:
        Where the switching current was measured, and where it vanishes.
    efficiency:
        System detection efficiency on the plateau.
    half_at, width:
        Bias, as shares of the switching current, at which half of the plateau is reached, and standard deviation of the
        sigmoid there.
    dark_rate_hz:
        Dark counts at the switching current.
    dark_decay:
        Share of the switching current over which they fall by a factor e.
    background_hz:
        Clicks by thermal light in the fibre at full efficiency.
    normal_kohm:
        Resistance of the normal wire.
    """

    switching_ua: float = 20.0
    base_k: float = 2.5
    critical_k: float = 9.0
    efficiency: float = 0.85
    half_at: float = 0.6
    width: float = 0.08
    dark_rate_hz: float = 1000.0
    dark_decay: float = 0.03
    background_hz: float = 10.0
    normal_kohm: float = 10.0

    def switching_at(self, temperature_k: float) -> float:
        """Return the switching current in uA at a temperature; 0 above the critical one."""

        def share(kelvin: float) -> float:
            return math.pow(max(1.0 - (kelvin / self.critical_k) ** 2, 0.0), 1.5)

        return self.switching_ua * share(temperature_k) / share(self.base_k)

    def efficiency_at(self, bias_ua: float, temperature_k: float) -> float:
        """Return the detection efficiency of the superconducting wire."""
        reduced = self._reduced(bias_ua, temperature_k)
        return self.efficiency * 0.5 * (1.0 + math.erf((reduced - self.half_at) / (self.width * math.sqrt(2.0))))

    def darks_at(self, bias_ua: float, temperature_k: float) -> float:
        """Return the dark count rate in Hz: intrinsic, and by thermal light."""
        reduced = self._reduced(bias_ua, temperature_k)
        light = self.background_hz * self.efficiency_at(bias_ua, temperature_k) / self.efficiency
        return self.dark_rate_hz * math.exp(min(reduced - 1.0, 0.0) / self.dark_decay) * (reduced > 0.0) + light

    def jitter_scale_at(self, bias_ua: float) -> float:
        """Return the jitter against that at the switching current: noise over slew rate, and the slew rate is as the bias."""
        return min(self.switching_ua / max(abs(bias_ua), 1e-9), 5.0)

    def _reduced(self, bias_ua: float, temperature_k: float) -> float:
        switching_ua = self.switching_at(temperature_k)
        return abs(bias_ua) / switching_ua if switching_ua > 0.0 else 0.0


ZERO_UA = 0.05
"""[INF] Below this bias a normal wire cools down and becomes superconducting again."""


class BiasedNanowire:
    """A nanowire under bias, which may latch: once normal, it stays so until its bias goes to zero.

    Parameters
    ----------
    wire:
        What it is.
    """

    def __init__(self, wire: Nanowire) -> None:
        self.wire = wire
        self.bias_ua = 0.0
        self.temperature_k = wire.base_k
        self.latched = False

    def set_bias(self, bias_ua: float) -> None:
        """Change the bias; zero clears a latch where it is cold enough."""
        self.bias_ua = bias_ua
        if abs(bias_ua) <= ZERO_UA:
            self.latched = False
        self._settle()

    def set_temperature(self, temperature_k: float) -> None:
        """Change the temperature; a wire that is too warm for its bias becomes normal."""
        self.temperature_k = temperature_k
        self._settle()

    def latch(self) -> None:
        """Become normal, as by a burst of light; nothing happens without a bias."""
        self.latched = abs(self.bias_ua) > ZERO_UA

    @property
    def voltage_mv(self) -> float:
        """Voltage across the wire in mV: zero while it superconducts."""
        normal = self.latched or self.wire.switching_at(self.temperature_k) <= 0.0
        return self.bias_ua * self.wire.normal_kohm if normal else 0.0

    @property
    def efficiency(self) -> float:
        """Detection efficiency now."""
        return 0.0 if self._blind else self.wire.efficiency_at(self.bias_ua, self.temperature_k)

    @property
    def dark_rate_hz(self) -> float:
        """Dark count rate now."""
        return 0.0 if self._blind else self.wire.darks_at(self.bias_ua, self.temperature_k)

    @property
    def jitter_scale(self) -> float:
        """Jitter now against that at the switching current."""
        return self.wire.jitter_scale_at(self.bias_ua)

    @property
    def _blind(self) -> bool:
        return self.latched or abs(self.bias_ua) <= ZERO_UA or self.wire.switching_at(self.temperature_k) <= 0.0

    def _settle(self) -> None:
        if abs(self.bias_ua) > max(self.wire.switching_at(self.temperature_k), ZERO_UA):
            self.latched = True
