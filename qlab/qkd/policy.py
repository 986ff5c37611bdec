"""What both parties must have agreed on before the first photon: the rules of all blocks of a session."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from qlab.errors import BadRequestError
from qlab.qkd.finite_key import SecurityTarget

if TYPE_CHECKING:
    from qlab.qkd.cascade_schedule import Variant
    from qlab.qkd.decoy import Intensities
    from qlab.qkd.finite_key import SamplingBound

__all__ = ["QkdPolicy"]


@dataclass(frozen=True, slots=True)
class QkdPolicy:
    """Rules of a session of BBM92, of BB84 with decoy states, or of E91.

    Attributes
    ----------
    window_ps, merge_ps:
        Full width of the coincidence window; clicks of one party within `merge_ps` are one detection.
    clock_offset_ps, clock_frequency:
        How far apart the parties' clocks may be, and by how much one may be faster; 0: they are one clock.
    delay_search_ps, peak_width_ps:
        Largest difference of two detectors' delays, and about the width of a coincidence peak; for the alignment.
    key_bits, test_bits:
        A block is complete with so many sifted bits of the key basis and of the test basis.
    most_pieces:
        A block that is not complete after so many pieces of photons is given up.
    tolerance:
        Error rate of the test basis up to which a block is taken.
    expected_error_rate:
        Of the key basis, for the first block; later ones are planned with what was corrected in the last.
    variant, frame_bits:
        How errors are corrected: Cascade `fast` or `tight`, or `ldpc` in one message; the raw key is reconciled in frames
        of at most so many bits, side by side.
    target, bound:
        What is asked of each key, and how phase errors are bounded.
    intensities:
        Of the pulses that Alice sends, with one or two decoy states; None: photons come in pairs.
    chsh:
        E91: the key's secrecy follows from a CHSH test, not from errors in a second basis; a block is taken if S is at least
        what a Werner state with the tolerated error rate has.
    chosen:
        Whether the reference and the corrector choose their settings by random bits, a piece at a time, and not by beam
        splitters.
    accepted:
        Assumptions that need not be met (`qlab.qkd.assumptions`).
    """

    window_ps: int = 1000
    merge_ps: int = 1000
    clock_offset_ps: int = 0
    clock_frequency: float = 0.0
    delay_search_ps: int = 1_000_000
    peak_width_ps: int = 2000
    key_bits: int = 200_000
    test_bits: int = 20_000
    most_pieces: int = 10_000
    tolerance: float = 0.04
    expected_error_rate: float = 0.03
    variant: Variant | Literal["ldpc"] = "fast"
    frame_bits: int = 1 << 17
    target: SecurityTarget = field(default_factory=SecurityTarget)
    bound: SamplingBound = "exact"
    accepted: frozenset[str] = frozenset()
    intensities: Intensities | None = None
    chsh: bool = False
    chosen: tuple[bool, bool] = (False, False)
    version: Literal[1] = 1

    def __post_init__(self) -> None:
        fine = self.window_ps >= 0 and self.merge_ps >= 0 and min(self.key_bits, self.test_bits, self.most_pieces) >= 1
        if not fine or not 64 <= self.frame_bits <= 1 << (20 if self.variant == "ldpc" else 24):
            msg = (
                f"{self}: expected windows of 0 ps or more, blocks of at least 1 bit and piece, frames of 64 to 2^24 bits "
                "(ldpc 2^20)"
            )
            raise BadRequestError(msg)
        if self.chsh and (self.intensities is not None or not self.chosen[0]):
            msg = "E91 takes photon pairs, and its reference has three settings: expected no intensities, an analyser of hers"
            raise BadRequestError(msg)
        if not 0.0 <= self.tolerance < 0.5 or not 0.0 < self.expected_error_rate < 0.5:
            msg = f"tolerated error rate {self.tolerance:g}, expected {self.expected_error_rate:g}: expected both below 0.5"
            raise BadRequestError(msg)

    def digest(self) -> bytes:
        """Return 32 bytes that are the same on both sides if all rules are; accepted assumptions are each party's own."""
        said = ";".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name != "accepted")
        return hashlib.sha256(said.encode()).digest()
