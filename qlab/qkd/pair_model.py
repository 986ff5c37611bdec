"""Rates of QKD with an entangled source, from its brightness and the losses: the model to compare runs with.

X. Ma, C.-H. F. Fung, H.-K. Lo, Phys. Rev. A 76, 012307 (2007), equations 8, 9 and 15: a pulsed type-II down-conversion source
that emits n pairs with probability (n + 1) l^n / (1 + l)^(n + 2), threshold detectors, double clicks given a random bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError

__all__ = ["PairModel"]


@dataclass(frozen=True, slots=True)
class PairModel:
    """A source between two parties.

    Attributes
    ----------
    brightness:
        l = sinh^2 of the squeezing; 2 l pairs a pulse on average.
    efficiency_alice, efficiency_bob:
        Probability that a photon is detected: channel, optics and detector.
    background_alice, background_bob:
        Y0, probability of a click without light, in a pulse.
    misalignment:
        e_d, probability that a photon of a pair goes to the wrong detector.
    """

    brightness: float
    efficiency_alice: float
    efficiency_bob: float
    background_alice: float = 0.0
    background_bob: float = 0.0
    misalignment: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.efficiency_alice, self.efficiency_bob, self.background_alice, self.background_bob)
        if (
            not self.brightness > 0.0
            or not all(0.0 <= share <= 1.0 for share in shares)
            or not 0 <= self.misalignment <= 0.5
        ):
            msg = f"{self}: expected brightness above 0, probabilities 0 to 1, misalignment 0 to 0.5"
            raise BadRequestError(msg)

    @property
    def gain(self) -> float:
        """Probability of a coincidence in a pulse, Q_l."""
        a, b, light = self.efficiency_alice, self.efficiency_bob, self.brightness
        dark_a, dark_b = 1.0 - self.background_alice, 1.0 - self.background_bob
        none_a, none_b = dark_a / (1.0 + a * light) ** 2, dark_b / (1.0 + b * light) ** 2
        return 1.0 - none_a - none_b + dark_a * dark_b / (1.0 + (a + b - a * b) * light) ** 2

    @property
    def error_rate(self) -> float:
        """Fraction of wrong coincidences, E_l; 1/2 where there are none."""
        a, b, light, gain = self.efficiency_alice, self.efficiency_bob, self.brightness, self.gain
        if gain <= 0.0:
            return 0.5
        right = 2.0 * (0.5 - self.misalignment) * a * b * light * (1.0 + light)
        return 0.5 - right / ((1.0 + a * light) * (1.0 + b * light) * (1.0 + (a + b - a * b) * light)) / gain

    def asymptotic_rate(self, efficiency: float = 1.22) -> float:
        """Return secret bits a pulse, R = Q/2 (1 - (1 + f) h(E)), f of reconciliation; 0 where there are none."""
        return max(0.5 * self.gain * (1.0 - (1.0 + efficiency) * binary_entropy(self.error_rate)), 0.0)
