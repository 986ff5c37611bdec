"""Plain recording."""

import bluesky.plan_stubs as bps

from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["record_tags"]


def record_tags(taggers, source=None, duration_s: float = 1.0, md: dict[str, object] | None = None):
    """Record tags on one or several taggers at once.

    Parameters
    ----------
    taggers : list of TimeTagger
        All of the lab if none is named.
    source : PhotonSource
        Switched on for the run; leave it out for recorded photons.
    duration_s : float
        Seconds.
    md : dict
        Metadata.
    """

    def body():
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, duration_s, wait=True)
        yield from measure_setting(taggers, [])
        return {tagger.name: {"tags": tagger.last_block.n, "file": str(tagger.recorder.path)} for tagger in taggers}

    return (yield from with_source_on(source, recording_run("record_tags", taggers, body, 1, md)))
