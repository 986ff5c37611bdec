"""What BBM92 with a continuously pumped source would make: the model to compare runs with.

S. P. Neumann, T. Scheidl, M. Selimovic, M. Pivoluska, B. Liu, M. Bohmann, R. Ursin, Phys. Rev. A 104, 022406 (2021):
pairs come at random, true coincidences at B eta_A eta_B, accidental ones at S_A S_B t, half of these wrong.  Here basis
choice is passive, and clicks within the dead time behind any other click of the party are dropped: a pair is kept
if neither party has clicked for that long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from qlab.analysis.qber import binary_entropy
from qlab.errors import BadRequestError

__all__ = ["PairLink"]


@dataclass(frozen=True, slots=True)
class PairLink:
    """A source, two arms and two receivers that choose the basis by a beam splitter.

    Attributes
    ----------
    pair_rate_hz:
        Pairs that the source makes.
    efficiency_alice, efficiency_bob:
        Probability that a photon is detected, in either basis: channel, optics and detector.
    key_share_alice, key_share_bob:
        Probability that it goes to the key basis.
    dark_rate_hz:
        Of all four detectors of a party together.
    visibility:
        Of the correlations in either basis, optics included.
    window_ps:
        Full width of the coincidence window; all true coincidences are inside.
    dead_time_ps:
        See above.
    """

    pair_rate_hz: float
    efficiency_alice: float
    efficiency_bob: float
    key_share_alice: float = 0.5
    key_share_bob: float = 0.5
    dark_rate_hz: float = 0.0
    visibility: float = 1.0
    window_ps: float = 1000.0
    dead_time_ps: float = 0.0

    def __post_init__(self) -> None:
        shares = (
            self.efficiency_alice,
            self.efficiency_bob,
            self.key_share_alice,
            self.key_share_bob,
            self.visibility,
        )
        others = (self.pair_rate_hz, self.dark_rate_hz, self.window_ps, self.dead_time_ps)
        if not all(0.0 <= share <= 1.0 for share in shares) or min(others) < 0.0:
            msg = f"{self}: expected probabilities and a visibility from 0 to 1, rates and times of at least 0"
            raise BadRequestError(msg)

    def with_loss(self, loss_db: float) -> PairLink:
        """Return the link with so much more loss, half of it on either side."""
        factor = 10.0 ** (-loss_db / 20.0)
        return replace(
            self, efficiency_alice=self.efficiency_alice * factor, efficiency_bob=self.efficiency_bob * factor
        )

    @property
    def _kept(self) -> float:
        a, b = self._singles_hz
        both = self.pair_rate_hz * self.efficiency_alice * self.efficiency_bob
        return math.exp(-(a + b - both) * self.dead_time_ps * 1e-12)

    @property
    def _singles_hz(self) -> tuple[float, float]:
        return (
            self.pair_rate_hz * self.efficiency_alice + self.dark_rate_hz,
            self.pair_rate_hz * self.efficiency_bob + self.dark_rate_hz,
        )

    def rates_hz(self, *, test: bool = False) -> tuple[float, float]:
        """Return true and accidental sifted bits a second, of the key basis or of the test basis."""
        share_a = 1.0 - self.key_share_alice if test else self.key_share_alice
        share_b = 1.0 - self.key_share_bob if test else self.key_share_bob
        singles_a, singles_b = self._singles_hz
        true = self.pair_rate_hz * self.efficiency_alice * share_a * self.efficiency_bob * share_b
        # Of a pair's two photons neither makes an accidental with the other.
        chance = (singles_a * share_a * singles_b * share_b) * self.window_ps * 1e-12
        return true * self._kept, chance * self._kept

    def sifted_rate_hz(self, *, test: bool = False) -> float:
        """Return sifted bits a second of a basis."""
        return sum(self.rates_hz(test=test))

    def error_rate(self) -> float:
        """Return the share of sifted bits that differ; the same in both bases where both are chosen alike."""
        true, chance = self.rates_hz()
        if true + chance == 0.0:
            return 0.5
        return (true * (1.0 - self.visibility) / 2.0 + chance / 2.0) / (true + chance)

    def asymptotic_rate_hz(self, efficiency: float = 1.1) -> float:
        """Return secret bits a second of endless blocks; `efficiency` is that of reconciliation, f."""
        h = binary_entropy(self.error_rate())
        return self.sifted_rate_hz() * max(1.0 - (1.0 + efficiency) * h, 0.0)
