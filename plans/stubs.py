"""Pieces that plans are made of."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

__all__ = ["coincidences", "measure_setting", "recording_run", "with_source_on"]


class _Switch:
    """A source's emission as something that can be set, so that the run engine waits for it as for any motor."""

    parent = None

    def __init__(self, source):
        self.name = f"{source.name}_switch"
        self._source = source

    def set(self, value):
        """Switch on (1) or off (0)."""
        return self._source.switch_on() if value else self._source.switch_off()


def with_source_on(source, inner):
    """Run `inner` with the source switched on; it goes off whatever happens.

    Parameters
    ----------
    source : PhotonSource or None
        None leaves the light as it is.
    inner : generator
        The plan.
    """
    if source is None:
        return (yield from inner)
    switch = _Switch(source)

    def body():
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        return (yield from inner)

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    return (yield from bpp.finalize_wrapper(body(), off()))


def recording_run(plan_name, taggers, body, md=None):
    """Open a run in which the taggers record; `body` is called inside and returns a plan, whose result is returned.

    Staging opens a tag file for each tagger; the tags' stream is declared first and collected after each point.
    """
    result = []

    @bpp.stage_decorator(list(taggers))
    @bpp.run_decorator(md={"plan_name": plan_name, "detectors": [t.name for t in taggers], **(md or {})})
    def inner():
        for tagger in taggers:
            yield from bps.declare_stream(tagger.recorder, name=tagger.recorder.name, collect=True)
        result.append((yield from body()))

    yield from inner()
    return result[0]


def measure_setting(taggers, readables, stream="primary"):
    """Take one acquisition and one event and announce the tags: a point that a pause repeats whole."""
    yield from bps.checkpoint()
    for tagger in taggers:
        yield from bps.trigger(tagger, group="acquire")
    yield from bps.wait(group="acquire")
    yield from bps.create(name=stream)
    for readable in (*taggers, *readables):
        yield from bps.read(readable)
    yield from bps.save()
    for tagger in taggers:
        yield from bps.collect(tagger.recorder, name=tagger.recorder.name)


def set_analysers(alice, alice_setting, bob, bob_setting):
    """Turn both analysers at once; a setting is an angle in degrees or a Bloch vector (Z, X, Y)."""
    yield from bps.abs_set(alice, alice_setting, group="analysers")
    yield from bps.abs_set(bob, bob_setting, group="analysers")
    yield from bps.wait(group="analysers")


def coincidences(block, alice, bob, window_ps, delays_ps):
    """Return the 2x2 counts (transmitted, reflected) of two analysers on one tagger, int64."""
    from qlab.tags.coincidence import coincidence_matrix

    a = [alice.transmitted - 1, alice.reflected - 1]
    b = [bob.transmitted - 1, bob.reflected - 1]
    return coincidence_matrix(block, a, b, window_ps, delays_ps)
