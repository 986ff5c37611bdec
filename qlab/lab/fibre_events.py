"""What happens to a fibre at known times, as a lab file schedules it: the world faults of fibres, with `at_s`.

Beside what faults turn in mid-run, and added to it: a schedule neither takes back a fault nor the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.physics.fibre import FibreSchedule
from qlab.physics.knob import Relaxation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CUT_DB", "FibreEventModel", "fibre_schedule"]

CUT_DB = 300.0
"""Loss of a cut fibre: nothing comes through."""
SECOND_PS = 10**12


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    at_s: float = Field(ge=0, description="lab time")


class DelayEventModel(_Event):
    """Light is later by so much from then on: another length; one way alone is a delay attack on two-way time transfer."""

    kind: Literal["delay"]
    by_ps: float = Field(description="later than without, if above 0; 0 takes it back")
    way: Literal["forth", "back", "both"] = "both"


class LossEventModel(_Event):
    """So much more loss from then on; 0 takes it back."""

    kind: Literal["loss"]
    db: float = Field(ge=0)


class CutEventModel(_Event):
    """Nothing comes through, for a time or for good."""

    kind: Literal["cut"]
    for_s: float | None = Field(None, gt=0, description="until it is spliced; none: for good")


class WarmthEventModel(_Event):
    """The fibre gets so much warmer than it is otherwise."""

    kind: Literal["warmth"]
    by_k: float
    tau_s: float = Field(0.0, ge=0, description="time constant with which it gets there; 0: at once")


FibreEventModel = Annotated[
    DelayEventModel | LossEventModel | CutEventModel | WarmthEventModel, Field(discriminator="kind")
]


def fibre_schedule(
    events: Sequence[DelayEventModel | LossEventModel | CutEventModel | WarmthEventModel], *, back: bool
) -> FibreSchedule | None:
    """Return what is to happen to light on one way through a fibre; None where nothing is."""
    schedule = FibreSchedule()
    losses: dict[int, float] = {}
    cuts: list[tuple[int, int]] = []
    for event in sorted(events, key=lambda event: event.at_s):
        at = round(event.at_s * SECOND_PS)
        if isinstance(event, DelayEventModel):
            if event.way in ("both", "back" if back else "forth"):
                schedule.ps.set(event.by_ps, at)
        elif isinstance(event, LossEventModel):
            losses[at] = event.db
        elif isinstance(event, CutEventModel):
            cuts.append((at, 2**62 if event.for_s is None else at + round(event.for_s * SECOND_PS)))
        elif event.tau_s > 0:
            before = schedule.k.value(at)
            schedule.k.set(Relaxation(at, before, event.by_k, round(event.tau_s * SECOND_PS)), at)
        else:
            schedule.k.set(event.by_k, at)
    lost = 0.0
    for at in sorted({*losses, *(edge for cut in cuts for edge in cut)}):
        lost = losses.get(at, lost)
        schedule.db.set(lost + (CUT_DB if any(begin <= at < end for begin, end in cuts) else 0.0), at)
    return schedule if events else None
