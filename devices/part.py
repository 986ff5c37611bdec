"""A part of an instrument that has signals of its own: an input, an output, a channel; it speaks through the instrument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Device

if TYPE_CHECKING:
    from collections.abc import Callable

    from devices.worker import WorkerStatus
    from qlab.clock import Clock
    from qlab.links.link import Link

__all__ = ["Part"]


class Part(Device):
    """A part with a number.

    Parameters
    ----------
    number:
        As the instrument numbers it.
    lead:
        Before every command, for example `INPU2:`.
    """

    def __init__(self, prefix: str = "", *, number: int = 0, lead: str = "", **kwargs: Any) -> None:
        self.number = number
        self._lead = lead
        super().__init__(prefix, **kwargs)

    @property
    def clock(self) -> Clock:
        """The instrument's clock."""
        clock: Clock = self.parent.clock
        return clock

    @property
    def link(self) -> Link:
        """The instrument's link."""
        link: Link = self.parent.link
        return link

    def ask(self, command: str, **more: Any) -> str:
        """Ask the instrument for something of this part."""
        answer: str = self.parent.ask(f"{self._lead}{command}", **more)
        return answer

    def tell(self, command: str) -> None:
        """Set something of this part."""
        self.parent.tell(f"{self._lead}{command}")

    def in_thread(self, what: str, work: Callable[[], object]) -> WorkerStatus:
        """Do wire I/O in a thread of the instrument's."""
        status: WorkerStatus = self.parent.in_thread(f"{self.attr_name} {what}", work)
        return status
