"""A run that waits while an instrument is not well, and tells when and why.

Bluesky's suspenders interrupt the engine from another thread and count wall seconds; a rehearsal that is to repeat needs lab
time and a fixed moment.  So the plan itself looks, between its points, at what suspenders look at: the Health of instruments.
"""

from contextlib import suppress

import bluesky.plan_stubs as bps
from bluesky.utils import FailedStatus

from plans.stubs import perform
from qlab.roles import TimeTagger
from qlab.run.results import Results, publish

__all__ = ["Watch"]


class Watch:
    """Looks after instruments; keeps the incidents.

    Parameters
    ----------
    devices : list of Monitored
        Whose health counts.
    clock : Clock
        The lab's.

    Attributes
    ----------
    incidents : list of dict
        `begin_s` and `end_s` after the start, `device`, `reason`; `end_s` is NaN while it lasts.
    """

    def __init__(self, devices, clock):
        self._devices = list(devices)
        self._clock = clock
        self._begun_s = clock.now_s()
        self._open: dict[str, dict[str, object]] = {}
        self._results = Results("incident", {"begin_s": "s", "end_s": "s"})
        self.incidents: list[dict[str, object]] = []

    def elapsed_s(self):
        """Return the lab seconds since the start."""
        return self._clock.now_s() - self._begun_s

    def look(self):
        """Ask all instruments; returns what is wrong, by device.  A tagger tells with its acquisitions."""
        wrong: dict[str, str] = {}
        for device in self._devices:
            if not isinstance(device, TimeTagger):
                with suppress(FailedStatus):  # its health says why
                    yield from perform(f"{device.name} look", device.trigger)
            if not device.health.ok.get():
                wrong[device.name] = str(device.health.reason.get())
        return wrong

    def note(self, wrong):
        """Begin incidents of what has become wrong, end those of what is well again, and publish both."""
        for name, reason in wrong.items():
            if name not in self._open:
                incident = {"begin_s": self.elapsed_s(), "end_s": float("nan"), "device": name, "reason": reason}
                self._open[name] = incident
                self.incidents.append(incident)
                yield from publish("incidents", self._results, incident, self._clock.now_s())
        for name in [name for name in self._open if name not in wrong]:
            incident = self._open.pop(name)
            incident["end_s"] = self.elapsed_s()
            yield from publish("incidents", self._results, incident, self._clock.now_s())

    def wait(self, poll_s, settle_s, until_s, revive=None, more=None):
        """Stay suspended until all is well for a time; returns whether that came before the end.

        Parameters
        ----------
        poll_s, settle_s : float
            Lab seconds between two looks, and for which all must have been well.
        until_s : float
            End of the run, in seconds after its start.
        revive : callable, optional
            A plan that tries to make things well, before each look; its failure is one of an instrument that is watched.
        more : callable, optional
            A plan that looks at something else, and returns what is wrong by name.
        """
        well_s = 0.0
        while well_s < settle_s or self._open:
            if self.elapsed_s() + poll_s > until_s:
                return False
            yield from bps.checkpoint()
            yield from bps.sleep(poll_s)
            if revive is not None:
                with suppress(FailedStatus):
                    yield from revive()
            wrong = yield from self.look()
            if not wrong and more is not None:
                wrong = yield from more()
            yield from self.note(wrong)
            well_s = 0.0 if wrong else well_s + poll_s
        return True
