"""Two parties with several detectors each: delays, coincidences and error rates from one acquisition."""

import bluesky.plan_stubs as bps
import numpy as np

from plans.stubs import measure_setting, recording_run, with_source_on

__all__ = ["measure_error_rates"]


def measure_error_rates(
    taggers,
    source=None,
    duration_s: float = 1.0,
    bin_ps: float | None = None,
    window_ps: float | None = None,
    alice: list[int] | None = None,
    bob: list[int] | None = None,
    md: dict[str, object] | None = None,
):
    """Record both parties, find all delays, and count coincidences and the error rate of each basis.

    It does with tags from the wire what `qlab tags coincidences` does with a file, and prints the same numbers.

    Parameters
    ----------
    taggers : list of TimeTagger
        On one clock; all of the lab if none is named.  Their inputs are counted through: two taggers of four inputs have
        the channels 0 to 7.
    source : PhotonSource
        Switched on for the run; leave it out for recorded photons.
    duration_s : float
        Seconds.
    bin_ps : float
        Length of a time bin, where the tags are coarser than 1 ps.
    window_ps : float
        Full width of the coincidence window; by default 12 bins, or 2000 ps.
    alice, bob : list of int
        Each party's channels from 0, as H, V, A, D where there are four; by default 0 to 3 and 4 to 7.
    md : dict
        Metadata.
    """
    from qlab.run.results import publish
    from qlab.tags.commands import count_parties

    def body():
        for tagger in taggers:
            yield from bps.abs_set(tagger.acquisition_s, duration_s, wait=True)
        yield from measure_setting(taggers, [])
        block = joined(taggers)
        counted = count_parties(block, " + ".join(tagger.name for tagger in taggers), bin_ps, window_ps, alice, bob)
        values = {
            "matrix": np.array(counted.matrix),
            "matrix_one_to_one": np.array(counted.one_to_one),
            "coincidences": counted.total,
            "coincidences_one_to_one": counted.total_one_to_one,
            "channels": np.array(sorted(counted.delays_ps)),
            "delays_ps": np.array([counted.delays_ps[channel] for channel in sorted(counted.delays_ps)]),
        }
        for suffix, bases in (("", counted.bases), ("_one_to_one", counted.bases_one_to_one)):
            for basis in bases:
                key = f"error_rate_{basis.basis.lower()}{suffix}"
                values |= {key: basis.error_rate, f"{key}_sigma": basis.error_rate_sigma}
        clock = taggers[0].clock
        yield from publish("analysis", "error_rates", values, clock.now_s(), {"delays_ps": "ps"})
        return {"text": counted.render(), **values}

    return (yield from with_source_on(source, recording_run("measure_error_rates", taggers, body, 1, md)))


def joined(taggers):
    """Return the last acquisitions as one block, inputs counted through, from the first tag to the last."""
    from qlab.tags.stream import TagBlock, merge

    blocks, before = [], 0
    for tagger in taggers:
        block = tagger.last_block
        blocks.append(TagBlock(block.t, block.ch + np.uint8(before), block.start_ps, block.stop_ps, block.gaps))
        before += len(tagger.inputs)
    both = merge(*blocks)
    # A recording may begin after the acquisition and end before it; rates are meant while there is light.
    return both.between(int(both.t[0]), int(both.t[-1]) + 1) if both.n else both
