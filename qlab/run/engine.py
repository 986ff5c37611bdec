"""A session: the RunEngine on the lab's clock, with the lab's metadata, and safe instruments at every end."""

from __future__ import annotations

import json
import threading
from importlib import metadata
from typing import TYPE_CHECKING, Any

from qlab import __version__
from qlab.errors import StorageError
from qlab.run.conditions import conditions
from qlab.run.journal import Journal
from qlab.run.recovery import mark_killed_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self

    from qlab.clock import Hold
    from qlab.lab.build import Lab
    from qlab.run.options import RunOptions

__all__ = ["Session"]

JOIN_S = 10.0
"""Wall seconds that the end of a session waits for a job; they notice within half a second that nobody wants them."""

PACKAGES = ("bluesky", "ophyd", "event-model", "numpy", "h5py", "pyvisa", "pyvisa-py", "pyserial", "pyzmq")


class Session:
    """A RunEngine for one lab.

    Parameters
    ----------
    lab:
        An open lab.
    options:
        Where data go, and which catalogue.

    Attributes
    ----------
    RE:
        The run engine.
    catalogue:
        The catalogue, None without one.
    killed:
        Runs of the data folder whose process was killed, which this session has marked.
    """

    def __init__(self, lab: Lab, options: RunOptions) -> None:
        from bluesky import RunEngine

        self.lab = lab
        self.data_dir = (options.data_dir or lab.data_dir).resolve()
        self.journal = Journal(self.data_dir / "runs")
        self.catalogue: Any = None  # opened before the engine: where it cannot be, no engine's thread is left behind
        if options.catalogue_uri is not None:
            from qlab.run.catalogue import choose_catalogue, open_catalogue

            uri = choose_catalogue(options.catalogue_uri, lab.file.catalogue)
            if uri is not None:
                self.catalogue = open_catalogue(uri, self.data_dir)
        try:
            self.killed = mark_killed_runs(self.journal.folder, self.catalogue)
        except BaseException:
            if self.catalogue is not None:
                self.catalogue.close()
            raise
        main = threading.current_thread() is threading.main_thread()
        engine: Any = RunEngine  # untyped by its makers
        self.RE = engine(
            self._metadata(),
            call_returns_result=True,
            scan_id_source=self._next_scan_id,
            context_managers=None if main else [],  # outside the main thread no signal handler can be set
        )
        self._hold: Hold | None = None
        self._reason = ""
        self.RE.register_command("sleep", self._sleep)
        self.RE.register_command("close_run", self._close_run)
        self.RE.state_hook = self._state_changed
        self.RE.waiting_hook = self._waiting
        self.RE.preprocessors.append(self._with_conditions)
        self.RE.subscribe(self.journal)
        if self.catalogue is not None:
            self.RE.subscribe(self.catalogue.writer)

    def run(self, plan: Generator[Any, Any, Any], **md: Any) -> Any:
        """Run a plan; returns its result.  Whatever ends it, the instruments are left safe."""
        self._reason = ""
        try:
            return self.RE(plan, **md).plan_result
        finally:
            self._make_safe()

    def resume(self) -> Any:
        """Go on with a paused plan, from the beginning of the point it was at; returns its result."""
        try:
            return self.RE.resume().plan_result
        finally:
            self._make_safe()

    def abort(self, reason: str) -> None:
        """End a plan: its finalisers run, its run is marked as aborted, the instruments are left safe.

        Of a paused plan everything is over when this returns; a running one goes on to its end in the engine's thread.
        """
        self._reason = reason
        try:
            self.RE.abort(reason)
        finally:
            self._make_safe()

    def _make_safe(self) -> None:
        if self.RE.state == "idle":
            self.lab.make_safe()

    def subscribe(self, callback: Callable[[str, dict[str, Any]], None]) -> None:
        """Send all documents to a callback."""
        self.RE.subscribe(callback)

    def close(self) -> None:
        """End the engine's loop and thread, the journal and the catalogue."""
        if self.RE.state not in ("idle", "panicked"):
            self.RE.abort("the session was closed")
        # Jobs that an interrupted plan left behind report to the engine's loop when they end.
        self.lab.join_jobs(JOIN_S)
        self.journal.close()
        if self.catalogue is not None:
            self.catalogue.close()
        loop = self.RE.loop
        thread = next(
            (t for t in threading.enumerate() if t.name == "bluesky-run-engine" or t is getattr(self.RE, "_th", None)),
            None,
        )
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(5.0)
        if not loop.is_running():
            loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # Time: the engine computes while it runs, and lets time pass while it waits.

    async def _sleep(self, msg: Any) -> None:
        await self.lab.clock.sleep_async(float(msg.args[0]), self._hold)

    async def _close_run(self, msg: Any) -> Any:
        # The preprocessors of bluesky close an aborted run without telling why.
        if msg.kwargs.get("exit_status") == "abort" and not msg.kwargs.get("reason"):
            msg = msg._replace(kwargs={**msg.kwargs, "reason": self._reason})
        return await self.RE._close_run(msg)  # noqa: SLF001

    def _state_changed(self, new: str, old: str) -> None:
        del old
        if new == "running" and self._hold is None:
            self._hold = self.lab.clock.hold("run engine")
            # What blocks in the engine's own thread (unstage, stop) gives the hold up while it waits on the clock.
            hold = self._hold
            self.RE.loop.call_soon_threadsafe(lambda: self._bind(hold))
        elif new in ("idle", "paused", "panicked") and self._hold is not None:
            hold, self._hold = self._hold, None
            hold.release()

    def _bind(self, hold: Hold) -> None:
        stack = self.lab.clock.bound_holds()
        stack[:] = [hold]

    def _waiting(self, statuses: Any) -> None:
        if self._hold is None:
            return
        if statuses is None:
            self._hold.resume()
        else:
            self._hold.suspend_until([s.clock_hold for s in statuses if hasattr(s, "clock_hold")])

    # Metadata.

    def _metadata(self) -> dict[str, Any]:
        versions = {"qlab": __version__, **{name: metadata.version(name) for name in PACKAGES}}
        return {
            "lab": self.lab.file.name,
            "lab_file": str(self.lab.path.name),
            "lab_path": str(self.lab.path.resolve()),
            "lab_overrides": list(self.lab.loaded.overrides),
            "lab_sha256": self.lab.sha256,
            "seed": self.lab.seed,
            "clock_mode": self.lab.clock.mode,
            "data_dir": str(self.data_dir),
            "versions": versions,
        }

    def _with_conditions(self, plan: Any) -> Any:
        """Have each run of a plan begin with who the instruments are, and the settings that they were last known to have."""
        from bluesky.preprocessors import msg_mutator

        def look(message: Any) -> Any:
            if message.command != "open_run":
                return message
            return message._replace(kwargs={"instruments": conditions(self.lab), **message.kwargs})

        return (yield from msg_mutator(plan, look))

    def _next_scan_id(self, md: dict[str, Any]) -> int:
        del md
        path = self.data_dir / "scan_id.json"
        try:
            number = int(json.loads(path.read_text())) + 1
        except (FileNotFoundError, ValueError):  # the first, or a disk was full
            number = sum(1 for _ in self.journal.folder.glob("*.jsonl")) + 1
        try:
            path.write_text(json.dumps(number))
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror or error}; check free space and permissions"
            raise StorageError(msg) from error
        return number
