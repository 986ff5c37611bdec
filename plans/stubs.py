"""Pieces that plans are made of."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp

__all__ = [
    "Switch",
    "measure_setting",
    "own_delays_ps",
    "perform",
    "perform_together",
    "publish_counts",
    "recording_run",
    "with_source_off",
    "with_source_on",
]


class Switch:
    """A source's emission as something that can be set, so that the run engine waits for it as for any motor."""

    parent = None

    def __init__(self, source):
        self.name = f"{source.name}_switch"
        self._source = source

    def set(self, value):
        """Switch on (1) or off (0)."""
        return self._source.switch_on() if value else self._source.switch_off()


class _Action:
    """Something that is done, as something that can be set."""

    parent = None

    def __init__(self, name, start):
        self.name = name
        self._start = start

    def set(self, value):
        """Do it."""
        del value
        return self._start()


def perform(name, start):
    """Do something that takes a while and wait for it.

    Parameters
    ----------
    name : str
        For the log.
    start : callable
        Begins it and returns its status.
    """
    yield from perform_together({name: start})


def perform_together(actions):
    """Begin several things at once and wait for all of them.

    Parameters
    ----------
    actions : dict of str to callable
        By a name for the log, what begins each and returns its status.
    """
    group = " and ".join(actions)
    for name, start in actions.items():
        yield from bps.abs_set(_Action(name, start), 1, group=group)
    yield from bps.wait(group=group)


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
    switch = Switch(source)

    def body():
        yield from bps.abs_set(switch, 1, group="light", wait=True)
        return (yield from inner)

    def off():
        yield from bps.abs_set(switch, 0, group="dark", wait=True)

    return (yield from bpp.finalize_wrapper(body(), off()))


def with_source_off(source, inner):
    """Run `inner` with the source switched off; it stays off."""
    yield from bps.abs_set(Switch(source), 0, group="dark", wait=True)
    return (yield from inner)


def recording_run(plan_name, taggers, body, points, md=None):
    """Open a run in which the taggers record; `body` is called inside and returns a plan, whose result is returned.

    Staging opens a tag file for each tagger; the tags' stream is declared first and collected after each point.  `points` is
    the most that the run will have.
    """
    result = []

    @bpp.stage_decorator(list(taggers))
    @bpp.run_decorator(
        md={"plan_name": plan_name, "num_points": points, "detectors": [t.name for t in taggers], **(md or {})}
    )
    def inner():
        for tagger in taggers:
            yield from bps.declare_stream(tagger.recorder, name=tagger.recorder.name, collect=True)
        # Rows that a failing acquisition still wrote are announced too, as long as the run is open.
        result.append((yield from bpp.finalize_wrapper(body(), lambda: _announce(taggers))))

    yield from inner()
    return result[0]


def measure_setting(taggers, readables, settings=(), stream="primary", after=()):
    """Move, take one acquisition and one event and announce the tags: a unit that a pause repeats whole.

    Parameters
    ----------
    taggers : list of TimeTagger
        Triggered together.
    readables : list of Readable
        Read into the same event.
    settings : list of (Movable, setting)
        Set together beforehand.  They belong here: if a pause repeated the acquisition alone, it would take it again with
        the devices already on their way to the next setting.
    after : list of Triggerable and Readable
        Triggered once the taggers are done, because they look at the tags, and read into the same event.
    stream : str
        The event's stream.
    """
    yield from bps.checkpoint()
    for device, setting in settings:
        yield from bps.abs_set(device, setting, group="settings")
    if settings:
        yield from bps.wait(group="settings")
    for tagger in taggers:
        yield from bps.trigger(tagger, group="acquire")
    yield from bps.wait(group="acquire")
    for device in after:
        yield from bps.trigger(device, group="after")
    if after:
        yield from bps.wait(group="after")
    yield from bps.create(name=stream)
    for readable in (*taggers, *readables, *after):
        yield from bps.read(readable)
    yield from bps.save()
    yield from _announce(taggers)
    yield from bps.checkpoint()


def own_delays_ps(tagger):
    """Return the delay settings of a tagger's inputs, as last fetched; empty where it has none."""
    settings = [getattr(one, "delay_ps", None) for one in getattr(tagger, "inputs", ())]
    return [int(signal.get()) for signal in settings if signal is not None] if all(settings) else []


def _announce(taggers):
    for tagger in taggers:
        yield from bps.collect(tagger.recorder, name=tagger.recorder.name)


def publish_counts(results, counted, clock):
    """Emit each setting's coincidences, as `PairCounter.add` returns them, as an event of the stream `coincidences`."""
    from qlab.run.results import publish

    for setting, counts in counted:
        values = {"setting": setting, "counts": counts, "total": int(counts.sum())}
        yield from publish("coincidences", results, values, clock.now_s())
