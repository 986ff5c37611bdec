"""Failure probabilities of a key, by name, and their sum: what "composable" means in numbers.

A key that is eps_cor-correct and eps_sec-secret is (eps_cor + eps_sec)-secure, and epsilons of parts add by the triangle
inequality (R. Renner, PhD thesis, ETH Zurich 2005; C. Portmann, R. Renner, Rev. Mod. Phys. 94, 025008 (2022)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qlab.errors import BadRequestError

__all__ = ["Epsilon", "EpsilonBudget"]


@dataclass(frozen=True, slots=True)
class Epsilon:
    """One way to fail: its name, its probability or distance, and where it comes from."""

    name: str
    value: float
    source: str

    def __post_init__(self) -> None:
        if not 0.0 < self.value < 1.0:
            msg = f"epsilon of {self.name}: {self.value:g}; expected between 0 and 1"
            raise BadRequestError(msg)


@dataclass(frozen=True, slots=True)
class EpsilonBudget:
    """All ways to fail of one key, or of all keys of a session."""

    terms: tuple[Epsilon, ...]

    @property
    def total(self) -> float:
        """The sum, rounded up in the last place."""
        return math.nextafter(math.fsum(term.value for term in self.terms), 1.0)

    def with_term(self, name: str, value: float, source: str) -> EpsilonBudget:
        """Return the budget with one term more."""
        return EpsilonBudget((*self.terms, Epsilon(name, value, source)))

    def over_blocks(self, blocks: int) -> EpsilonBudget:
        """Return the budget of so many keys together.

        Raises
        ------
        BadRequestError
            Fewer than one block, or so many that an epsilon reaches 1.
        """
        if blocks < 1:
            msg = f"epsilons of {blocks} blocks: expected at least 1"
            raise BadRequestError(msg)
        return EpsilonBudget(tuple(Epsilon(t.name, t.value * blocks, t.source) for t in self.terms))

    def __str__(self) -> str:
        """Return one line a term, and the sum."""
        lines = [f"{term.value:9.2e}  {term.name} ({term.source})" for term in self.terms]
        return "\n".join([*lines, f"{self.total:9.2e}  in all"])
