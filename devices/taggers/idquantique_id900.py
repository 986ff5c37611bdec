"""ID Quantique ID900 time controller: records the detectors' clicks on four inputs.

SCPI text over ZeroMQ, every command answered; errors stand at the end of the reply.  Tags come through the vendor's download
service, one file an input.  The gate is the controller's own record window, so that live time is exact and all inputs share
one epoch.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.signals import QuerySignal, SoftSignal
from devices.taggers.datalink import DataLink
from devices.taggers.id900_input import ID900Input
from devices.taggers.tagging import TaggingInstrument
from qlab.clock import PS_PER_S
from qlab.errors import InstrumentError
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["ID900"]

ERRORS = ("SCPI_ERR_INVALID_CMD", "SCPI_ERR_PARAM_TYPE")
NO_CONNECTION = "No connection"
INPUTS = 4
POLL_S = 0.05
LATE_S = 5.0
"""How much longer than asked a record window may take."""
HIRES_WORDS = {
    1: "wants a recalibration",
    1001: "sees more clicks than it can time (1001)",
    1002: "sees more clicks than it can time (1002)",
    1003: "sees more clicks than it can time, or its threshold lies in the noise (1003)",
}


def _word(text: str) -> str:
    return text.strip().split()[-1]


class ID900(TaggingInstrument):
    """The time controller; role `qlab.roles.TimeTagger`.

    Parameters
    ----------
    datalink:
        The link to the download service.
    """

    identity = r"ID ?Quantique,ID(900|1000)"
    usual_addresses = ("tcp://169.254.99.1xx:5555",)
    twin = "sim_devices.taggers.idquantique_id900.ID900Twin"
    wire = "zmq"
    further_links = {"datalink": {}}
    speaks_in_files = True
    connectors = INPUTS + 1  # START

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        datalink: str | None = None
        """Address of the download service, for a real instrument."""
        resolution: Literal["HIRES", "LOWRES"] = "HIRES"
        inputs: tuple[int, ...] = (1, 2, 3, 4)
        """Those that are switched on, and downloaded."""
        threshold_v: float | None = None
        edge: Literal["RISING", "FALLING"] | None = None
        coupling: Literal["AC", "DC"] | None = None
        """These three go to all inputs."""
        spool: Path | None = None
        """Folder that the download service and this program can both reach."""

    resolution = Cpt(
        QuerySignal, query="DEVI:RES?", command="DEVI:RES {}", parse=_word, initial="LOWRES", kind="config"
    )
    in1 = Cpt(ID900Input, "", number=1)
    in2 = Cpt(ID900Input, "", number=2)
    in3 = Cpt(ID900Input, "", number=3)
    in4 = Cpt(ID900Input, "", number=4)
    input_errors = Cpt(SoftSignal, initial=np.zeros(INPUTS, np.int64), kind="normal")

    def __init__(self, prefix: str = "", *, datalink: Link | None = None, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.datalink = DataLink(datalink, self.name) if datalink is not None else None
        self.inputs = (self.in1, self.in2, self.in3, self.in4)
        self._spool: tempfile.TemporaryDirectory[str] | None = None
        self._playing = False

    @property
    def links(self) -> dict[str, Link]:
        """The controller and its download service."""
        return super().links | ({"datalink": self.datalink.link} if self.datalink is not None else {})

    # Life.

    def connect(self) -> None:
        """Connect to the controller and to its download service."""
        super().connect()
        if self.datalink is not None:
            self.datalink.link.open()

    def disconnect(self) -> None:
        """Stop what records, and close both links and the tag file."""
        try:
            super().disconnect()
        finally:
            if self.datalink is not None:
                self.datalink.link.close()
            if self._spool is not None:
                self._spool.cleanup()
                self._spool = None

    def apply_settings(self) -> None:
        """Set the resolution and the inputs."""
        self.resolution.store(self.settings.resolution)
        for n, channel in enumerate(self.inputs, start=1):
            for signal, value in (
                (channel.threshold_v, self.settings.threshold_v),
                (channel.edge, self.settings.edge),
                (channel.coupling, self.settings.coupling),
            ):
                if value is not None:
                    signal.store(value)
            channel.enable.store(int(n in self.settings.inputs))

    def make_safe(self) -> None:
        """Stop a record window that is open."""
        if self._playing and self.link.is_open:
            self._playing = False
            self.tell("REC:STOP")

    def check_health(self) -> list[str]:
        """Return the high-resolution errors of the inputs, and what is missing."""
        errors = [(n, channel.hires_error.fetch()) for n, channel in enumerate(self.inputs, start=1)]
        sentences = [f"input {n} {HIRES_WORDS.get(code, f'reports error {code}')}" for n, code in errors if code]
        return sentences if self.datalink else [*sentences, "no tag download service is configured"]

    def recalibrate(self) -> WorkerStatus:
        """Calibrate the high-resolution timing, needed after warm-up, and clear the inputs' errors."""
        return self.in_thread("recalibrate", self._recalibrate)

    # Dialogue.

    def ask(self, command: str, *, delay_s: float = 0.0, timeout_s: float | None = None) -> str:
        """Return the reply; raises `InstrumentError` where it ends with an error word."""
        return self._checked(command, super().ask(command, delay_s=delay_s, timeout_s=timeout_s))

    def tell(self, command: str) -> None:
        """Send a set, once; it is answered like a query."""
        self._checked(command, self.link.ask(command, retry=False))

    def _checked(self, command: str, reply: str) -> str:
        if reply.rstrip().endswith(ERRORS) or NO_CONNECTION in reply:
            what = "the controller refused a command"
            raise InstrumentError(what, device=self.name, command=command, found=reply)
        return reply

    # Acquisition.

    def measure(self) -> None:
        """Record one acquisition, download it and append it to the tag file, and ask what the inputs complain of."""
        super().measure()
        errors = np.array([channel.hires_error.fetch() for channel in self.inputs], dtype=np.int64)
        self.input_errors.put(errors)
        for n in np.flatnonzero(errors):
            words = HIRES_WORDS.get(int(errors[n]), f"reports error {errors[n]}")
            self.log.warning("%s: input %d %s; tags may be missing", self.name, n + 1, words)

    def record(self, seconds: float) -> TagBlock:
        """Open the record window for so long; returns its tags on lab time, as well as the link's latency is known."""
        datalink = self._download_service()
        duration_ps = round(seconds * PS_PER_S)
        folder = self._folder()
        host = re.sub(r"^tcp://|:\d+$", "", self.link.address)
        jobs: dict[str, Path] = {}
        counts: dict[str, int | None] = {}

        def end(job: str) -> None:
            counts[job] = datalink.stop(job)

        self.tell("REC:ENAB ON;NUM 1")
        self.tell(f"REC:DUR {duration_ps}TB")
        with ExitStack() as ends:  # whatever fails, the window is shut and every job is ended
            for n in self.settings.inputs:
                path = folder / f"input{n}.bin"
                path.unlink(missing_ok=True)
                job = datalink.start(host, n, path)
                jobs[job] = path
                ends.callback(end, job)
                self.tell(f"RAW{n}:SEND ON")
                ends.callback(self.tell, f"RAW{n}:SEND OFF")
            ends.callback(self.make_safe)
            self._playing = True
            epoch_ps = self.clock.now_ps()
            self.tell("REC:PLAY")
            self.wait_s(seconds)
            self._wait_for_end(seconds)
            self._check_still_sending(seconds)
            for job in jobs:
                datalink.flush(job)
        times = [datalink.read(path, counts[job]) for job, path in jobs.items()]
        channels = [np.full(t.size, n - 1, dtype=np.uint8) for n, t in zip(self.settings.inputs, times, strict=True)]
        block = TagBlock.from_unsorted(np.concatenate(times), np.concatenate(channels), 0, duration_ps)
        return block.moved(epoch_ps)

    def _wait_for_end(self, seconds: float) -> None:
        deadline_s = self.clock.now_s() + LATE_S
        while (stage := _word(self.ask("REC:STAG?")).upper()) != "IDLE":
            if self.clock.now_s() > deadline_s:
                what = f"the record window of {seconds:g} s has not ended {LATE_S:g} s after its time"
                raise InstrumentError(what, device=self.name, command="REC:STAG?", found=stage, expected="IDLE")
            self.clock.sleep(POLL_S)
        self._playing = False

    def _check_still_sending(self, seconds: float) -> None:
        """Raise where the controller forgot its settings: it was without power, and the record window with it."""
        command = f"RAW{self.settings.inputs[0]}:SEND?"
        if (found := _word(self.ask(command)).upper()) != "ON":
            what = f"the controller was restarted while a record window of {seconds:g} s was open: its tags are lost"
            hint = "check the controller's power and take this acquisition again"
            raise InstrumentError(what, device=self.name, command=command, found=found, expected="ON", hint=hint)

    def _recalibrate(self) -> None:
        reply = self.ask("DEVI:SAMP:RECA")
        if "failed" in reply.lower():
            what = "the recalibration failed"
            raise InstrumentError(what, device=self.name, command="DEVI:SAMP:RECA", found=reply)
        for channel in self.inputs:
            channel.clear_error()

    def _download_service(self) -> DataLink:
        if self.datalink is None:
            what = "no tag download service is configured"
            hint = "set settings.datalink to its address, for example tcp://127.0.0.1:6060"
            raise InstrumentError(what, device=self.name, hint=hint)
        return self.datalink

    def _folder(self) -> Path:
        if self.settings.spool is not None:
            folder: Path = self.settings.spool
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        if self._spool is None:
            self._spool = tempfile.TemporaryDirectory(prefix=f"qlab-{self.name}-")
        return Path(self._spool.name)
