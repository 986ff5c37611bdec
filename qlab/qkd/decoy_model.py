"""What decoy-state BB84 would count over a fibre: the channel of Lim et al. 2014, to compare runs and bounds with.

C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, Phys. Rev. A 89, 022307 (2014), section IV.  There e_k has the
transmission of the channel alone in the term of misalignment; only with that of the whole system do their figures
follow, and that is what stands here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlab.errors import BadRequestError
from qlab.qkd.decoy import DecoyCounts, Intensities

__all__ = ["FibreLink"]


@dataclass(frozen=True, slots=True)
class FibreLink:
    """A fibre and the receiver at its end.

    Attributes
    ----------
    loss_db:
        Of the fibre.
    efficiency:
        Of the receiver.
    dark_probability, after_pulse_probability:
        Of one detector in a gate; after a detection.
    misalignment:
        Probability that a photon goes to the wrong detector.
    """

    loss_db: float
    efficiency: float = 0.1
    dark_probability: float = 6e-7
    after_pulse_probability: float = 0.04
    misalignment: float = 5e-3

    def __post_init__(self) -> None:
        shares = (self.efficiency, self.dark_probability, self.after_pulse_probability, self.misalignment)
        if not self.loss_db >= 0.0 or not all(0.0 <= share <= 1.0 for share in shares):
            msg = f"{self}: expected a loss of at least 0 dB and probabilities from 0 to 1"
            raise BadRequestError(msg)

    def click_and_error(self, mean_photons: float) -> tuple[float, float]:
        """Return the probabilities that a pulse is detected, and that it is detected wrongly."""
        light = self.efficiency * 10.0 ** (-self.loss_db / 10.0) * mean_photons
        without = 1.0 - (1.0 - 2.0 * self.dark_probability) * math.exp(-light)
        click = without * (1.0 + self.after_pulse_probability)
        wrong = (
            self.dark_probability
            - self.misalignment * math.expm1(-light)
            + self.after_pulse_probability * without / 2.0
        )
        return click, wrong

    def expected_counts(self, intensities: Intensities, key_bits: float, key_basis: float) -> tuple[DecoyCounts, float]:
        """Return the counts expected when the key basis has `key_bits` detections, and how many pulses that takes.

        Parameters
        ----------
        intensities:
            Of the pulses.
        key_bits:
            Detections in the key basis, chosen by both.
        key_basis:
            Probability with which each party chooses the key basis.
        """
        if not (key_bits >= 1 and 0.0 < key_basis < 1.0):
            msg = (
                f"{key_bits:g} key bits with a key basis chosen at {key_basis:g}: expected at least 1; between 0 and 1"
            )
            raise BadRequestError(msg)
        each = [self.click_and_error(mu) for mu in intensities.mean_photons]
        clicks = [p * click for p, (click, _) in zip(intensities.probabilities, each, strict=True)]
        wrong = [p * error for p, (_, error) in zip(intensities.probabilities, each, strict=True)]
        pulses = key_bits / (key_basis**2 * sum(clicks))
        in_key, in_test = pulses * key_basis**2, pulses * (1.0 - key_basis) ** 2
        counts = DecoyCounts(
            tuple(in_key * c for c in clicks),
            tuple(in_key * w for w in wrong),
            tuple(in_test * c for c in clicks),
            tuple(in_test * w for w in wrong),
        )
        return counts, pulses
