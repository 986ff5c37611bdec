"""ID Quantique ID900 time controller: records the detectors' clicks.

SCPI text over ZeroMQ, every command answered; tags come through the vendor's download service, one file an input.  The gate
is the controller's own record window, so that live time is exact and all inputs share one epoch.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Signal

from devices.base import Instrument, InstrumentSettings
from devices.signals import WireSignal
from devices.taggers.recorder import FileRecorder
from qlab.clock import PS_PER_S
from qlab.errors import BadReplyError, InstrumentError, LimitError, StorageError
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.links.link import Link

__all__ = ["ID900"]

ERRORS = ("SCPI_ERR_INVALID_CMD", "SCPI_ERR_PARAM_TYPE")
INPUTS = 4
POLL_S = 0.05
LATE_S = 5.0
"""How much longer than asked a record window may take."""
INTEGRATION_UNIT = "ms"
"""The sheet's doubt: milliseconds in three drivers, nanoseconds in newer vendor scripts."""


def _seconds(text: str) -> float:
    return float(re.sub(r"[A-Z]+$", "", text.strip())) * 1e-12


def _resolution(text: str) -> str:
    return text.strip().split()[-1]


class ID900(Instrument):
    """The time controller; role `qlab.roles.TimeTagger`.

    Parameters
    ----------
    datalink:
        The link to the download service.
    """

    identity = r"ID ?Quantique,ID(900|1000)"
    twin = "sim_devices.taggers.idquantique_id900.ID900Twin"
    wire = "zmq"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        datalink: str | None = None
        """Address of the download service, for a real instrument."""
        resolution: str = "HIRES"
        threshold_v: float | None = None
        spool: Path | None = None
        """Folder that the download service and we can both reach."""

    acquisition_s = Cpt(Signal, value=1.0, kind="config")
    resolution = Cpt(
        WireSignal, query="DEVI:RES?", command="DEVI:RES {}", parse=_resolution, initial="LOWRES", kind="config"
    )
    counts = Cpt(Signal, value=np.zeros(INPUTS, np.int64), kind="normal")
    live_s = Cpt(Signal, value=0.0, kind="normal")
    row_start = Cpt(Signal, value=0, kind="normal")
    row_stop = Cpt(Signal, value=0, kind="normal")

    def __init__(self, prefix: str = "", *, datalink: Link | None = None, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.datalink = datalink
        self.recorder = FileRecorder(f"{self.name}_tags")
        self.last_block = TagBlock(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 0)
        self._spool: tempfile.TemporaryDirectory[str] | None = None
        self._playing = False

    # Life.

    def connect(self) -> None:
        """Connect to the controller and to its download service."""
        super().connect()
        if self.datalink is not None:
            self.datalink.open()

    def disconnect(self) -> None:
        """Stop what records, and close both links and the tag file."""
        super().disconnect()
        if self.datalink is not None:
            self.datalink.close()
        self.recorder.close()
        if self._spool is not None:
            self._spool.cleanup()
            self._spool = None

    def apply_settings(self) -> None:
        """Set resolution and thresholds, and switch the inputs on."""
        self.resolution.store(self.settings.resolution)
        for n in range(1, INPUTS + 1):
            if self.settings.threshold_v is not None:
                self.tell(f"INPU{n}:THRE {self.settings.threshold_v:g}V")
            self.tell(f"INPU{n}:ENAB ON")

    def make_safe(self) -> None:
        """Stop a record window that is open."""
        if self._playing and self.link.is_open:
            self._playing = False
            self.tell("REC:STOP")

    def stage(self) -> list[object]:
        """Begin a tag file."""
        self.recorder.begin()
        return list(super().stage())

    def unstage(self) -> list[object]:
        """Stop and close the tag file."""
        result = super().unstage()
        self.recorder.close()
        return result

    def check_health(self) -> list[str]:
        """Return the high-resolution errors of the inputs."""
        codes = {n: self.ask(f"INPU{n}:HIRE:ERRO?") for n in range(1, INPUTS + 1)}
        return [f"input {n} reports error {code}" for n, code in codes.items() if not code.endswith("0")]

    # Dialogue.

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the reply; raises `InstrumentError` where it ends with an error word."""
        reply = super().ask(command, delay_s=delay_s, timeout_s=timeout_s)
        if reply.rstrip().endswith(ERRORS):
            what = "the controller refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=reply)
        return reply

    def tell(self, command: str) -> None:
        """Send a set; it is answered like a query, and repeating it does no harm."""
        self.ask(command)

    # Acquisition.

    def measure(self) -> None:
        """Record one acquisition, download it and append it to the tag file."""
        seconds = float(self.acquisition_s.get())
        if not 0.0 < seconds <= 3600.0:
            msg = f"{self.name}_acquisition_s = {seconds!r} s: expected more than 0 and at most 3600 s"
            raise LimitError(msg)
        epoch_ps = self.clock.now_ps()
        block = self._record(seconds).moved(epoch_ps)
        self.last_block = block
        stamp = self.clock.now_s()
        if self.recorder.is_open:
            row_start, row_stop = self.recorder.append(block)
            self.row_start.put(row_start, timestamp=stamp)
            self.row_stop.put(row_stop, timestamp=stamp)
        self.counts.put(block.counts(INPUTS), timestamp=stamp)
        self.live_s.put(block.live_s, timestamp=stamp)

    def _record(self, seconds: float) -> TagBlock:
        duration_ps = round(seconds * PS_PER_S)
        folder = self._folder()
        paths = [folder / f"input{n}.bin" for n in range(1, INPUTS + 1)]
        for path in paths:
            path.unlink(missing_ok=True)
        self.tell("REC:ENAB ON;NUM 1")
        self.tell(f"REC:DUR {duration_ps}TB")
        host = re.sub(r"^tcp://|:\d+$", "", self.link.address)
        saves = [
            self._service(f"start-save --address {host} --channel {n} --filename {path} --format bin")["id"]
            for n, path in enumerate(paths, start=1)
        ]
        try:
            self._playing = True
            self.tell("REC:PLAY")
            self.clock.sleep(seconds)
            self._wait_for_end(seconds)
        finally:
            self.make_safe()
            states = [self._service(f"stop --id {save}") for save in saves]
        for state in states:
            if "error" in state:
                what = f"the download service failed: {state['error']}"
                msg = f"{self.name}: {what}; the tags of this acquisition are incomplete and were not used"
                raise StorageError(msg)
        return self._merge(paths, [int(state["acquisitions_count"]) for state in states], duration_ps)

    def _wait_for_end(self, seconds: float) -> None:
        deadline_s = self.clock.now_s() + LATE_S
        while (stage := self.ask("REC:STAG?")).upper() != "IDLE":
            if self.clock.now_s() > deadline_s:
                what = f"the record window of {seconds:g} s has not ended {LATE_S:g} s after its time"
                raise InstrumentError(what, device=self.name, command="REC:STAG?", found=stage, expected="IDLE")
            self.clock.sleep(POLL_S)
        self._playing = False

    def _merge(self, paths: list[Path], expected: list[int], duration_ps: int) -> TagBlock:
        times, channels = [], []
        for channel, (path, count) in enumerate(zip(paths, expected, strict=True)):
            t = np.fromfile(path, dtype="<u8").astype(np.int64)
            if t.size != count:
                what = f"the download service counted {count} tags on input {channel + 1}, its file has {t.size}"
                raise BadReplyError(what, device=self.name, found=str(path))
            times.append(t)
            channels.append(np.full(t.size, channel, dtype=np.uint8))
            path.unlink()
        return TagBlock.from_unsorted(np.concatenate(times), np.concatenate(channels), 0, duration_ps)

    def _service(self, command: str) -> Mapping[str, Any]:
        if self.datalink is None:
            what = "no tag download service is configured"
            hint = "set settings.datalink to its address, for example tcp://127.0.0.1:6060"
            raise InstrumentError(what, device=self.name, hint=hint)
        reply = self.datalink.ask(command)
        try:
            state: Mapping[str, Any] = json.loads(reply)
        except json.JSONDecodeError as error:
            what = "the download service's reply is not JSON"
            raise BadReplyError(what, device=self.name, command=command, found=reply) from error
        if "error" in state and "id" not in state:
            what = "the download service refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=str(state["error"]))
        return state

    def _folder(self) -> Path:
        if self.settings.spool is not None:
            folder = Path(self.settings.spool)
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        if self._spool is None:
            self._spool = tempfile.TemporaryDirectory(prefix=f"qlab-{self.name}-")
        return Path(self._spool.name)
