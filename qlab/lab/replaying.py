"""A recording in the world's place: what the inputs of each tagger see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.errors import BadRequestError, LabFileError, TagFileError
from qlab.tags.files.sniff import open_tags
from qlab.tags.replay import ReplayFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.load import Loaded
    from qlab.tags.stream import TagFeed

__all__ = ["replay_feeds"]


def replay_feeds(loaded: Loaded) -> Callable[[str], TagFeed] | None:
    """Return what makes the feed of a tagger by its name, None for a lab that replays nothing.

    Raises
    ------
    LabFileError
        The recording cannot be read, or an input takes a channel that the recording does not have.
    """
    replay = loaded.lab.world.replay
    if replay is None:
        return None
    source = loaded.source
    try:
        block = open_tags(replay.file, bin_ps=replay.bin_ps)
    except (TagFileError, BadRequestError) as error:
        hint = "" if replay.file.exists() else "; name yours with --set world.replay.file=FILE"
        raise LabFileError(source.complain(("world", "replay", "file"), f"{error}{hint}")) from error
    recorded = set(block.ch.tolist())
    complaints = []
    for tagger, inputs in replay.inputs.items():
        place = ("world", "replay", "inputs", tagger)
        if inputs and not recorded & set(inputs.values()):
            text = f"none of the channels {sorted(inputs.values())} is in the recording, which has {sorted(recorded)}"
            complaints.append(source.complain(place, text))
        if len(set(inputs.values())) < len(inputs):
            complaints.append(source.complain(place, "two inputs take the same channel of the recording"))
        if any(number < 1 for number in inputs):
            complaints.append(source.complain(place, "inputs count from 1"))
    if complaints:
        raise LabFileError("\n".join(complaints))
    start_ps = round(replay.start_s * PS_PER_S)

    def feed(tagger: str) -> TagFeed:
        if replay.inputs:
            channels = {channel: number - 1 for number, channel in replay.inputs.get(tagger, {}).items()}
            return ReplayFeed(block, start_ps=start_ps, channels=channels, repeat=replay.repeat)
        return ReplayFeed(block, start_ps=start_ps, repeat=replay.repeat)

    try:
        feed("")
    except BadRequestError as error:
        raise LabFileError(source.complain(("world", "replay", "file"), str(error))) from error
    return feed
