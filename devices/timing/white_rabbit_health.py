"""What is wrong with a White Rabbit servo, node's or switch's."""

from __future__ import annotations

__all__ = ["ServoWatch"]


class ServoWatch:
    """Remembers the update counter, which stands still when a servo hangs without saying so.

    Parameters
    ----------
    interval_s:
        Lab seconds within which it must count.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._count = -1
        self._since_s = 0.0
        self._now_s = 0.0

    def see(self, count: int, now_s: float) -> None:
        """Take the counter at a lab time."""
        self._now_s = now_s
        if count != self._count:
            self._count, self._since_s = count, now_s

    def complaints(self, state: str, offset_ps: float, limit_ps: float) -> list[str]:
        """Return what is wrong, in sentences."""
        if state != "TRACK_PHASE":
            return [f"the servo does not track the phase: {state}"]
        still_s = self._now_s - self._since_s
        if still_s > self._interval_s:
            return [f"the servo has not updated for {still_s:.0f} s"]
        if abs(offset_ps) > limit_ps:
            return [f"the clock offset is {offset_ps:.0f} ps, more than {limit_ps:g} ps"]
        return []
