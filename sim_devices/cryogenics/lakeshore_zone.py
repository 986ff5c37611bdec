"""One zone of a Lake Shore 336's loop: what holds for set points up to a temperature."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ZONES", "Zone"]

ZONES = 10


@dataclass(frozen=True, slots=True)
class Zone:
    """What holds for set points up to `upper_k`."""

    upper_k: float = 0.0
    pid: tuple[float, float, float] = (50.0, 20.0, 0.0)
    manual_percent: float = 0.0
    range: int = 0
    input: int = 0
    rate_k_per_min: float = 0.1
