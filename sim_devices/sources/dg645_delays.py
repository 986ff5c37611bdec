"""The DG645's delays: each edge behind T0 or behind another edge."""

from __future__ import annotations

from qlab.twin.scpi import ScpiError, command, integer, number, query
from sim_devices.srs_error_list import SrsErrorList

__all__ = ["DelayTable"]

CHANNELS, OUTPUTS = integer(0, 9), integer(0, 4)
T0, T1 = 0, 1
STEP_S, LONGEST_S = 5e-12, 2000.0  # [V1]
ILLEGAL_VALUE, ILLEGAL_MODE, ILLEGAL_DELAY, ILLEGAL_LINK, RECALL_FAILED, NOT_ALLOWED = 10, 11, 12, 13, 14, 15  # [V2]


class DelayTable(SrsErrorList):
    """Edges and what they are linked to."""

    _delays: dict[int, tuple[int, float]]

    def edge_s(self, channel: int) -> float:
        """Return the delay of an edge after T0."""
        seconds = 0.0
        while channel != T0:
            channel, more = self._delays[channel]
            seconds += more
        return seconds

    @command("DLAY", CHANNELS, CHANNELS, number())
    def _delay(self, channel: int, reference: int, seconds: float) -> None:
        if channel in (T0, T1):
            raise ScpiError(NOT_ALLOWED, "not allowed")
        before = self._delays[channel]
        self._link_to(channel, reference)
        self._delays[channel] = (reference, round(seconds / STEP_S) * STEP_S)
        if not 0.0 <= self.edge_s(channel) <= LONGEST_S:
            self._delays[channel] = before
            raise ScpiError(ILLEGAL_DELAY, "illegal delay")
        self._changed()

    @query("DLAY?", CHANNELS)
    def _delay_query(self, channel: int) -> str:
        reference, seconds = self._delays[channel]
        return f"{reference},{seconds:+.12f}"

    @command("LINK", CHANNELS, CHANNELS)
    def _link(self, channel: int, reference: int) -> None:
        if channel in (T0, T1):
            raise ScpiError(NOT_ALLOWED, "not allowed")
        self._link_to(channel, reference)
        self._delays[channel] = (reference, self._delays[channel][1])
        self._changed()

    @query("LINK?", CHANNELS)
    def _link_query(self, channel: int) -> int:
        return self._delays[channel][0]

    def _link_to(self, channel: int, reference: int) -> None:
        """Refuse a link that leads back to itself."""
        at = reference
        while at not in (T0, T1):
            if at == channel:
                raise ScpiError(ILLEGAL_LINK, "illegal link")
            at = self._delays[at][0]

    def _changed(self) -> None:
        """Let the world know."""
        raise NotImplementedError

    def _longest_s(self) -> float:
        return max(self.edge_s(channel) for channel in range(2, 10))
