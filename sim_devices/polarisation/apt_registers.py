"""Parameters of an APT controller: as it is delivered, as they are sent, and as they were saved to its memory."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim_devices.polarisation.apt_axis import Axis

__all__ = ["REGISTERS", "Registers"]

REGISTERS = {0x0413: 14, 0x0416: 22, 0x0423: 16, 0x043A: 6, 0x0440: 14, 0x0445: 6, 0x0450: 6, 0x0530: 12}
"""[V2] Id of the message that sets, and bytes; the next id asks, the one after answers."""
VELOCITY, JOG, LIMITS = Struct("<Hiii"), Struct("<HHiiiiH"), Struct("<HHHiiH")
COUNTS, HOME, PADDLES = Struct("<Hi"), Struct("<HHHii"), Struct("<HHHHHH")
STEP, PROFILED, REVERSE, REVERSE_SWITCH, IGNORED_SWITCH = 2, 2, 2, 1, 1
"""[V2] Jog mode, stop mode, direction and switch of homing; [INF] that other switches are ignored."""
JOG_STEP = 5.0
"""[INF] Degrees, or millimetres, as delivered."""
PADDLE_HOME, PADDLE_JOG = 685, 81
"""[INF] Counts: the middle, 85 degrees, and 10 degrees."""


def delivered(number: int, channel: int, axis: Axis | None) -> bytes:
    """Return what a parameter is as delivered."""
    if number == 0x0530:
        return PADDLES.pack(channel, 100, PADDLE_HOME, PADDLE_JOG, PADDLE_JOG, PADDLE_JOG)
    if axis is None:
        return channel.to_bytes(2, "little") + bytes(REGISTERS[number] - 2)
    scale = axis.scale
    steep, fast = round(scale.steepest * scale.acceleration), round(scale.fastest * scale.velocity)
    if number == 0x0413:
        return VELOCITY.pack(channel, 0, steep, fast)
    if number == 0x0416:
        return JOG.pack(channel, STEP, round(JOG_STEP * scale.position), 0, steep, fast, PROFILED)
    if number == 0x0423:
        return LIMITS.pack(channel, IGNORED_SWITCH, IGNORED_SWITCH, 0, 0, 1)
    if number == 0x0440:
        return HOME.pack(channel, REVERSE, REVERSE_SWITCH, round(axis.home_speed * scale.velocity), 0)
    return COUNTS.pack(channel, axis.delivered if number == 0x043A else 0)


class Registers:
    """By id of the message that sets them, and channel."""

    def __init__(self) -> None:
        self._now: dict[tuple[int, int], bytes] = {}
        self._saved: dict[tuple[int, int], bytes] = {}

    def store(self, number: int, channel: int, data: bytes) -> None:
        """Keep a parameter until power goes."""
        self._now[number, channel] = data

    def value(self, number: int, channel: int, axis: Axis | None) -> bytes:
        """Return a parameter."""
        return self._now.get((number, channel)) or delivered(number, channel, axis)

    def save(self, number: int, channel: int) -> None:
        """Keep a parameter beyond the end of power (0x04B9); nothing happens to what was not changed."""
        if (number, channel) in self._now:
            self._saved[number, channel] = self._now[number, channel]

    def power_up(self) -> dict[tuple[int, int], bytes]:
        """Return to what was saved; return that."""
        self._now = dict(self._saved)
        return self._now
