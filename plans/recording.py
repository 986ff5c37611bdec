"""Plain recording."""

from math import ceil

import bluesky.plan_stubs as bps

from plans.stubs import measure_setting, recording_run, with_source_on
from qlab.errors import BadRequestError

__all__ = ["record_tags"]


def record_tags(
    taggers, source=None, duration_s: float = 1.0, block_s: float = 60.0, md: dict[str, object] | None = None
):
    """Record tags on one or several taggers at once.

    Parameters
    ----------
    taggers : list of TimeTagger
        All of the lab if none is named.
    source : PhotonSource
        Switched on for the run; leave it out for recorded photons.
    duration_s : float
        Seconds.
    block_s : float
        Longest acquisition, in seconds: a longer recording is made of several, each with an event, and a process that is
        killed loses the last at most. Between two of them the taggers are not listening.
    md : dict
        Metadata.
    """
    if not duration_s > 0 or not block_s > 0:
        msg = f"record_tags: duration_s={duration_s}, block_s={block_s}; expected both positive, in seconds"
        raise BadRequestError(msg)
    blocks = ceil(duration_s / block_s)

    def body():
        tags = dict.fromkeys((tagger.name for tagger in taggers), 0)
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, duration_s / blocks, wait=True)
        for _ in range(blocks):
            yield from measure_setting(taggers, [])
            for tagger in taggers:
                tags[tagger.name] += tagger.last_block.n
        return {tagger.name: {"tags": tags[tagger.name], "file": str(tagger.recorder.path)} for tagger in taggers}

    return (yield from with_source_on(source, recording_run("record_tags", taggers, body, blocks, md)))
