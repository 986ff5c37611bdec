"""Tags on the time of the clock whose 1 pps the tagger records beside them.

A tagger that counts the periods of a clock has a zero of its own: when its acquisition began, as well as the wire's latency
lets one know.  The 1 pps of the same clock on one of its inputs tells where the clock's whole seconds are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from qlab.tags.stream import TagBlock

__all__ = ["on_pulses"]

SECOND_PS = 10**12
TOLERANCE_PS = 10**6
"""So far pulses may lie from where the first says that they are: noise and a change of frequency, no other pulses."""


def on_pulses(block: TagBlock, channel: int, name: str = "the tagger") -> TagBlock:
    """Move a block so that the pulses on a channel are whole seconds.

    The block's time must be right to half a second; the average over the pulses is taken.

    Parameters
    ----------
    block:
        An acquisition on the tagger's time.
    channel:
        Where the 1 pps is, from 0.
    name:
        Of the tagger, for errors.

    Raises
    ------
    BadRequestError
        There is no pulse, or pulses do not come every second.
    """
    pulses = block.t[block.ch == channel]
    if not pulses.size:
        msg = (
            f"{name}: no 1 pps on input {channel + 1} in {block.live_s:g} s; expected a pulse every second: is it connected, "
            "and is the acquisition longer than 1 s?"
        )
        raise BadRequestError(msg)
    first = int(pulses[0])
    late = (pulses - first + SECOND_PS // 2) % SECOND_PS - SECOND_PS // 2
    if np.abs(late).max() > TOLERANCE_PS:
        worst = int(late[np.argmax(np.abs(late))])
        msg = f"{name}: pulses on input {channel + 1} are {worst * 1e-6:.3f} us off whole seconds; is it a 1 pps?"
        raise BadRequestError(msg)
    rest = (first + SECOND_PS // 2) % SECOND_PS - SECOND_PS // 2 + round(float(late.mean()))
    return block.moved(-rest)
