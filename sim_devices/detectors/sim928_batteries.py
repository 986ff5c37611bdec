"""The two batteries of a SIM928: one in use, the other charging or ready; they swap when one is empty, or when told to."""

from __future__ import annotations

from dataclasses import dataclass

from qlab.clock import PS_PER_S

__all__ = ["Batteries"]

IN_USE, CHARGING, READY = 1, 2, 3
HOUR_PS = 3600 * PS_PER_S
USE_PS = 15 * HOUR_PS
"""[V2] 12 to 18 hours."""
CHARGE_PS = 5 * HOUR_PS
"""[V2]"""
SWAP_PS = PS_PER_S // 2
"""[INF] Of a swap by command; at most 1 s [V2]."""
MOST_CYCLES = 300  # [INF]


@dataclass(slots=True)
class Batteries:
    """Which one is in use, since when, and when the other one began to charge."""

    used: int = 0
    since_ps: int = 0
    charging_ps: int | None = None
    cycles: int = 12
    _swap_ps: int | None = None

    def advance(self, now_ps: int) -> bool:
        """Do what is due; tell whether they were swapped."""
        swapped = False
        while True:
            charged_ps = 0 if self.charging_ps is None else self.charging_ps + CHARGE_PS
            due = max(self.since_ps + USE_PS, charged_ps)
            if self._swap_ps is not None:
                due = min(due, self._swap_ps)
            if due > now_ps:
                return swapped
            self.used, self.since_ps, self.charging_ps, self._swap_ps = 1 - self.used, due, due, None
            self.cycles += 1
            swapped = True

    def ready(self, now_ps: int) -> bool:
        """Return whether the other one is charged."""
        return self.charging_ps is None or now_ps >= self.charging_ps + CHARGE_PS

    def swap(self, now_ps: int) -> None:
        """Swap soon, where the other one is charged."""
        if self.ready(now_ps):
            self._swap_ps = now_ps + SWAP_PS

    def states(self, now_ps: int) -> str:
        """Return what `BATS?` says: battery A, battery B, service."""
        other = READY if self.ready(now_ps) else CHARGING
        first, second = (IN_USE, other) if self.used == 0 else (other, IN_USE)
        return f"{first},{second},{int(self.cycles >= MOST_CYCLES)}"
