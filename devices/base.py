"""The declarative base of all drivers: a device is its signals, its identity and its limits.

bluesky calls `read`, `set` and `stage` inside the run engine's event loop, which must not block.  So wire I/O happens in
worker threads: `trigger` fetches, `read` returns what was fetched, `set` returns a status.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ophyd import Component as Cpt
from ophyd import Device, Kind
from pydantic import BaseModel, ConfigDict, ValidationError

from devices.health import Health
from devices.signals import QuerySignal, ScpiSignal
from devices.worker import WorkerStatus, run_in_thread
from qlab.clock import PS_PER_S
from qlab.errors import BadReplyError, BadRequestError, InstrumentError, LinkError, QlabError, WrongIdentityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qlab.clock import Clock
    from qlab.links.link import Link

__all__ = ["Instrument", "InstrumentSettings", "ScpiInstrument"]

LONGEST_WAIT_S = 0.5
"""Lab seconds after which a waiting job looks whether it is still wanted."""


class InterruptedJobError(InstrumentError):
    """Nobody wants the job's result any more."""


class InstrumentSettings(BaseModel):
    """The `settings:` of an instrument in the lab file; a driver extends it by its own."""

    model_config = ConfigDict(extra="forbid")


class Instrument(Device):
    """A device with a wire.

    Parameters
    ----------
    name:
        The instrument's name in the lab.
    link:
        The byte channel; may be shared on a multidrop bus.
    clock:
        The lab's clock: every wait is on it and every time stamp from it.
    settings:
        What the lab file sets at connection, checked by `Settings`.
    """

    identity: ClassVar[str] = ".*"
    """What the reply to the identity query must match."""
    twin: ClassVar[str] = ""
    """Dotted name of the twin's class."""
    wire: ClassVar[Literal["tcp", "serial", "zmq", "udp"]] = "tcp"
    usual_addresses: ClassVar[tuple[str, ...]] = ()
    """Where its maker has it listen, as a lab file's `address`; HOST, SERIAL and the like are to be filled in."""
    link_options: ClassVar[Mapping[str, Any]] = {}
    further_links: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Further ports of the instrument and their link options: each is a port of its twin, a setting that holds the address of
    a real one, and an argument of the constructor that takes the link."""
    multidrop: ClassVar[bool] = False
    line_break: ClassVar[bytes] = b""
    """What is sent after each opening, to end half a command that somebody left in the instrument's buffer."""
    speaks_in_files: ClassVar[bool] = False
    """Whether measurements go through files, which no cassette holds."""
    Settings: ClassVar[type[BaseModel]] = InstrumentSettings
    warm_up_s: ClassVar[float] = 0.0
    """How long it takes from power-on until it is of use."""
    health_interval_s: ClassVar[float] = 10.0
    """After so many lab seconds a trigger asks for the health as well."""

    health = Cpt(Health, kind="omitted")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        link: Link,
        clock: Clock,
        settings: Mapping[str, object] | None = None,
        **kwargs: Any,
    ) -> None:
        self.link = link
        self.clock = clock
        self.identity_text = ""
        self._jobs: list[WorkerStatus] = []
        self._turn = 0
        self._turns: dict[int, int] = {}
        try:
            self.settings: Any = type(self).Settings.model_validate(dict(settings or {}))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            msg = f"{name}: setting {key} = {first['input']!r}: {first['msg']}"
            raise BadRequestError(msg) from error
        super().__init__(prefix, name=name, **kwargs)
        self._health_asked_s = clock.now_s()

    @property
    def links(self) -> dict[str, Link]:
        """All links by port; the instrument's own is `main`."""
        return {"main": self.link}

    # Life.

    def connect(self) -> None:
        """Open the link, check who answers, apply the lab file's settings and read the configuration."""
        self.link.identify = self._greet
        self.link.open()
        if not self.identity_text:
            self.check_identity(self.link)
        self.prepare()
        self.apply_settings()
        self.link.restore = lambda _: self.restore()
        self.refresh_configuration()
        self.health.report([])

    def prepare(self) -> None:
        """Bring the dialogue into a known state, at connection and after each reconnection."""

    def disconnect(self) -> None:
        """Leave the instrument safe, whatever it is at, and close the link."""
        self.interrupt_jobs()
        if self.link.is_open:
            try:
                self.make_safe()
            finally:
                self.link.close()

    def check_identity(self, link: Link) -> None:
        """Ask who answers; raises `WrongIdentityError` for anybody else."""
        found = self.query_identity(link)
        if re.search(self.identity, found) is None:
            what = f"another instrument answers at {link.address}"
            hint = "correct the address in the lab file"
            raise WrongIdentityError(what, device=self.name, found=found, expected=f"/{self.identity}/", hint=hint)
        self.identity_text = found

    def _greet(self, link: Link) -> None:
        if self.line_break:
            link.clear(self.line_break)
        self.check_identity(link)

    def query_identity(self, link: Link) -> str:
        """Return what the instrument says of itself."""
        return link.ask("*IDN?", retry=False)

    @property
    def firmware(self) -> str:
        """The firmware's version, as far as the identity tells."""
        return self.identity_text.split(",")[-1].strip()

    def apply_settings(self) -> None:
        """Set what the lab file asks for and what is safe without a person: each setting with a signal of its name."""
        for key, value in self.settings.model_dump(exclude_none=True).items():
            signal = getattr(self, key, None)
            if isinstance(signal, QuerySignal):
                signal.store(value)

    def restore(self) -> None:
        """Set again, after a reconnection, what was set last; an output that makes light or motion is not among it."""
        self.prepare()
        for signal in self.wire_signals():
            if signal.restorable and signal.wanted is not None:
                signal.store(signal.wanted)

    def refresh_configuration(self) -> None:
        """Fetch all configuration signals."""
        for signal in self.wire_signals():
            if signal.kind & Kind.config:
                signal.fetch()

    def make_safe(self) -> None:
        """Bring the instrument into a state in which it may be left alone; may be called at any time."""

    def check_health(self) -> list[str]:
        """Return what is wrong, in sentences; empty when nothing is.  Blocks for the wire."""
        return []

    def refresh_health(self) -> bool:
        """Ask the instrument how it is, and return whether it is well; what keeps it from answering counts as well."""
        self._health_asked_s = self.clock.now_s()
        try:
            reasons = self.check_health()
        except (InstrumentError, LinkError) as error:
            reasons = [str(error)]
        self.health.report(reasons)
        return not reasons

    # bluesky.

    def trigger(self) -> WorkerStatus:
        """Fetch what `read` will return."""
        return self.in_thread("measure", self._measure_and_check)

    def _measure_and_check(self) -> None:
        self.measure()
        if not self.health.ok.get() or self.clock.now_s() - self._health_asked_s >= self.health_interval_s:
            self.refresh_health()

    def measure(self) -> None:
        """Fetch all signals that are read."""
        for signal in self.wire_signals():
            if signal.kind & Kind.normal:
                signal.fetch()

    def unstage(self) -> WorkerStatus:
        """Leave the instrument safe, whatever it is at; the run engine waits for the status."""
        self.interrupt_jobs()
        super().unstage()
        return self.in_thread("make safe", self.make_safe)

    def stop(self, *, success: bool = False) -> WorkerStatus | None:
        """Leave the instrument safe at once, unless all went well."""
        super().stop(success=success)
        if not success:
            self.interrupt_jobs()
        return None if success else self.in_thread("make safe", self.make_safe)

    def in_thread(self, what: str, work: Callable[[], object]) -> WorkerStatus:
        """Do wire I/O in a thread."""
        turn = self._turn

        def job() -> None:
            self._turns[threading.get_ident()] = turn
            try:
                work()
            except InterruptedJobError:
                raise
            except (InstrumentError, LinkError) as error:
                self.health.report([str(error)])
                raise
            finally:
                del self._turns[threading.get_ident()]

        self._jobs = [status for status in self._jobs if not status.join(0.0)]
        status = run_in_thread(self.clock, f"{self.name} {what}", job)
        self._jobs.append(status)
        return status

    def interrupt_jobs(self) -> None:
        """Let every job that waits in `wait_s` fail now; jobs that begin later are not meant."""
        self._turn += 1

    def join_jobs(self, timeout: float | None = None) -> bool:
        """Wait for all jobs, each for at most so many wall seconds; returns whether all have ended."""
        ended = [status.join(timeout) for status in self._jobs]
        return all(ended)

    def wait_s(self, seconds: float) -> None:
        """Let lab time pass within a job; raises `InterruptedJobError` when the job is interrupted."""
        turn = self._turns.get(threading.get_ident(), self._turn)
        end_ps = self.clock.now_ps() + round(seconds * PS_PER_S)
        while True:
            if turn != self._turn:
                what = f"was interrupted in a wait of {seconds:g} s"
                raise InterruptedJobError(what, device=self.name)
            now_ps = self.clock.now_ps()
            if now_ps >= end_ps:
                return
            self.clock.wait_until(min(now_ps + round(LONGEST_WAIT_S * PS_PER_S), end_ps))

    def wire_signals(self) -> Iterator[QuerySignal]:
        """Yield the signals that go over the wire, those of inner devices too, in the order of their declaration."""
        for walk in self.walk_signals():
            if isinstance(walk.item, QuerySignal):
                yield walk.item

    def limits_text(self) -> list[str]:
        """Return the limits of each settable signal, for a person."""
        return [
            f"{s.dotted_name} {s.limits[0]:g}..{s.limits[1]:g} {s.units}".rstrip()
            for s in self.wire_signals()
            if s.limits is not None
        ]

    # Dialogue, for signals; a driver of another grammar overrides these two.

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the reply to a query."""
        return self.link.ask(command, delay_s=delay_s, timeout_s=timeout_s)

    def tell(self, command: str) -> None:
        """Send a set; raises `InstrumentError` for what the instrument refuses."""
        with self.link.transaction():
            self.link.tell(command)

    def guard(self, work: Callable[[], object]) -> None:
        """Do `work` and swallow a qlab error: for clean-up that must go on."""
        try:
            work()
        except QlabError as error:
            self.log.warning("%s", error)


class ScpiInstrument(Instrument):
    """A SCPI instrument: after each set its error queue is asked, in the same transaction."""

    error_query: ClassVar[str] = "SYST:ERR?"
    queue_length: ClassVar[int] = 32
    """The most errors that are read out of the queue at once."""

    def prepare(self) -> None:
        """Forget errors from before our time."""
        self.link.tell("*CLS")

    def refresh_configuration(self) -> None:
        """Fetch all configuration signals, and the limits that the instrument knows better."""
        for signal in self.wire_signals():
            if isinstance(signal, ScpiSignal):
                signal.fetch_limits()
        super().refresh_configuration()

    def tell(self, command: str) -> None:
        """Send a set and empty the error queue; raises `InstrumentError` with the queue's own words."""
        errors: list[str] = []
        with self.link.transaction() as link:
            link.tell(command)
            while len(errors) < self.queue_length:
                found = link.ask(self.error_query, retry=False)
                code = re.match(r"\s*([-+]?\d+)", found)
                if code is None:
                    what = "the error queue's reply does not begin with a number"
                    raise BadReplyError(what, device=self.name, command=self.error_query, found=found)
                if int(code[1]) == 0:
                    break
                errors.append(found)
        if errors:
            self.refused(command, "; ".join(errors))

    def refused(self, command: str, found: str) -> None:
        """Raise the error that the instrument's words mean; a driver may know more."""
        what = "the instrument refused a command"
        raise InstrumentError(what, device=self.name, command=command, found=found, expected='0,"No error"')
