"""What a key from a CHSH test takes for granted: less of the devices' insides, more of what they let out and let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.qkd.assumptions import (
    Assumption,
    Assumptions,
    basis_choice,
    equal_efficiencies,
    of_detectors,
    of_reconciliation,
)
from qlab.qkd.device_independent import enough_rounds

if TYPE_CHECKING:
    from qlab.qkd.assumptions import DeviceFacts

__all__ = ["e91_assumptions"]

NEEDED_EFFICIENCY = 0.924
"""Of each party, detector and all losses, below which no key is device-independent (Ma, Lutkenhaus, arXiv:1109.1203)."""


def e91_assumptions(
    facts: DeviceFacts,
    n_key: int,
    n_test: int,
    eps_sec: float,
    paired: float,
    accepted: frozenset[str] = frozenset(),
    *,
    variant: str = "fast",
) -> Assumptions:
    """Return what the finite key of E91 takes for granted.

    Parameters
    ----------
    facts, n_key, n_test, accepted, variant:
        As for `qlab.qkd.assumptions.bbm92_assumptions`.
    eps_sec:
        Secrecy asked for.
    paired:
        Share of this party's detections that make key or test.
    """
    acin = "Acin et al., PRL 98, 230501 (2007)"
    aep = "Tomamichel, Colbeck, Renner, IEEE Trans. Inf. Theory 55, 5840 (2009)"
    seen = (
        f"{paired:.2%} of the detections make key or test, the others are dropped; {NEEDED_EFFICIENCY:.1%} are needed"
    )
    items = (
        Assumption(
            "block-length",
            "the block is long enough for the equipartition bound",
            aep,
            enough_rounds(n_key, eps_sec) and n_test >= 4,
            f"{n_key}, {n_test}",
        ),
        Assumption("fixed-tolerance", "the S that is needed was fixed before the block", acin, True, "by this program"),
        Assumption(
            "random-bits",
            "settings, double clicks, seeds and hashes take uniform, private bits",
            acin,
            True,
            "entropy given",
        ),
        basis_choice(facts),
        Assumption(
            "fair-sampling",
            "pairs that were lost would have shown the same S: without that nothing is device-independent",
            "Pearle, Phys. Rev. D 2, 1418 (1970); Gerhardt et al., PRL 107, 170404 (2011)",
            False,
            seen,
        ),
        equal_efficiencies(facts),
        *of_detectors(facts),
        Assumption(
            "collective-attacks",
            "all rounds are alike and independent; other attacks need entropy accumulation, which is not done here",
            acin,
            None,
            "needs an argument that this program does not make",
        ),
        Assumption(
            "closed-devices",
            "no device sends anything out but outcomes, and none hears the other's setting before it answers",
            acin,
            None,
            "not checked: neither shielding nor distance",
        ),
        *of_reconciliation(variant),
    )
    return Assumptions(items, accepted)
