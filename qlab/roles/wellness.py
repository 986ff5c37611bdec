"""What every device says about how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ophyd import Signal
    from ophyd.status import Status


__all__ = ["Monitored", "Wellness"]


class Wellness(Protocol):
    """Signals `ok` (1 or 0), `reason` and `since` of an instrument; reading them asks nobody."""

    name: str
    ok: Signal
    reason: Signal


@runtime_checkable
class Monitored(Protocol):
    """Any instrument that tells whether it is well.

    `trigger` fetches its state, `health` says what is wrong; a status that fails has told it to `health` before.
    """

    name: str
    health: Wellness

    def trigger(self) -> Status:
        """Fetch what there is to see."""
