"""S-Fifteen TDC1: four-channel time tagger with bins of 2 ns.  Serial (USB-CDC), sets are silent, tags come as binary words.

The words have 27 bits of time and no frame: a lost byte makes nonsense of all that follow.  That shows, as times then jump,
and the acquisition fails instead of giving wrong tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings
from devices.signals import QuerySignal, parse_float, parse_int
from devices.taggers.tagging import TaggingInstrument
from qlab.clock import PS_PER_S
from qlab.errors import BadReplyError, BadRequestError, InstrumentError
from qlab.tags.stream import TagBlock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.links.link import Link

__all__ = ["TDC1", "decode_words"]

BIN_PS = 2_000
TIME_BITS, MARKER = 27, 1 << 4
WRAP_PS = BIN_PS << TIME_BITS
LARGEST_FALL = 1 << 24
"""[V1] Times that fall by more than 2^25 ns have wrapped."""
LONGEST_MS = 65_535
SLICE_S = 0.5
"""After so much of an acquisition the driver looks whether it is still wanted."""
AFTER_S = 0.25
"""How long the line must be silent after an acquisition: several of the packets that words come in."""


def decode_words(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8], int]:
    """Return times in ps since the start of the stream, and channels from 0, sorted by both; and the last word's time.

    Parameters
    ----------
    data:
        Little-endian 32-bit words: bits 31 to 5 the time in bins of 2 ns, bit 4 a marker without an event, bits 3 to 0 the
        pattern of channels.

    Raises
    ------
    BadReplyError
        Bytes are missing: it is no whole number of words, or times jump.

    Notes
    -----
    Time wraps every 2^27 bins (268 ms); a word is sent at least once a wrap.  A smaller step back is no wrap but nonsense.
    """
    if len(data) % 4:
        what = f"the stream has {len(data)} bytes, no whole number of words; bytes were lost on the way"
        raise BadReplyError(what, device="tagger")
    words = np.frombuffer(data, dtype="<u4").astype(np.int64)
    bins = words >> 5
    steps = np.diff(bins, prepend=0)
    wrapped = steps < -LARGEST_FALL
    if np.any((steps < 0) & ~wrapped):
        what = "times of the stream jump back; bytes were lost on the way"
        raise BadReplyError(what, device="tagger", found=data[:16])
    t = (bins + (np.cumsum(wrapped) << TIME_BITS)) * BIN_PS
    times, channels = [], []
    for channel in range(4):
        here = ((words >> channel) & 1).astype(bool) & ((words & MARKER) == 0)
        times.append(t[here])
        channels.append(np.full(int(here.sum()), channel, dtype=np.uint8))
    block = TagBlock.from_unsorted(np.concatenate(times), np.concatenate(channels), 0, int(t[-1]) + 1 if t.size else 0)
    return np.array(block.t), np.array(block.ch), int(t[-1]) if t.size else 0


class TDC1(TaggingInstrument):
    """The tagger; role `qlab.roles.TimeTagger`."""

    identity = r"TDC1"
    twin = "sim_devices.taggers.sfifteen_tdc1.TDC1Twin"
    wire = "serial"
    link_options = {"baud": 115200, "terminator": b"\r\n", "command_terminator": b"\r\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        level: Literal["NIM", "TTL"] = "NIM"
        """The preset of all four thresholds."""
        threshold_v: float | None = None
        """Instead of the preset's; negative for negative pulses."""
        clock: Literal["auto", "external", "internal"] = "auto"

    mode = Cpt(QuerySignal, query="mode?", parse=parse_int, initial=0, kind="config")
    time_ms = Cpt(
        QuerySignal, query="time?", command="time {:d}", parse=parse_int, limits=(0, LONGEST_MS), kind="omitted"
    )
    level_v = Cpt(QuerySignal, query="level?", parse=parse_float, units="V", precision=3, kind="config")
    reference = Cpt(QuerySignal, query="REFCLK?", command="REFCLK {:d}", parse=parse_int, limits=(0, 2), kind="config")
    external_clock = Cpt(QuerySignal, query="ECLOCK?", parse=parse_int, initial=0, kind="normal")

    def __init__(self, prefix: str = "", **kwargs: object) -> None:
        super().__init__(prefix, **kwargs)
        self.inputs = (1, 2, 3, 4)

    def query_identity(self, link: Link) -> str:
        """Return the reply to `*IDN?`."""
        return link.ask("*IDN?", retry=False)

    def prepare(self) -> None:
        """End what an earlier program left running."""
        self.link.tell("abort")

    def apply_settings(self) -> None:
        """Set thresholds and clock."""
        self.tell(self.settings.level)
        if self.settings.threshold_v is not None:
            volts = float(self.settings.threshold_v)
            self.tell(f"{'NEG' if volts < 0 else 'POS'} {abs(volts):g}")
        self.reference.store(("auto", "external", "internal").index(self.settings.clock))

    def check_health(self) -> list[str]:
        """Return whether the clock is there that was asked for."""
        if self.reference.fetch() == 1 and not self.external_clock.fetch():
            return ["the external clock is missing"]
        return []

    def record(self, seconds: float) -> TagBlock:
        """Take one acquisition; whole milliseconds, as the tagger counts them."""
        milliseconds = round(seconds * 1000.0)
        if not 1 <= milliseconds <= LONGEST_MS:
            msg = f"{self.name}: an acquisition of {seconds:g} s; this tagger takes 0.001 s to {LONGEST_MS / 1000:g} s"
            raise BadRequestError(msg)
        with self.link.transaction() as link:
            epoch_ps = self.clock.now_ps()
            link.tell(f"timestamp;INPKT;time {milliseconds};counts?")
            data = self._words(link, milliseconds / 1000.0)
        try:
            t, ch, reach_ps = decode_words(data)
        except BadReplyError as error:
            self.link.distrust()
            raise BadReplyError(error.what, device=self.name, command="counts?", found=error.found) from error
        duration_ps = milliseconds * (PS_PER_S // 1000)
        if t.size and t[-1] > duration_ps:
            what = f"tags came until {t[-1] / PS_PER_S:.3f} s of an acquisition of {milliseconds / 1000:g} s"
            hint = "bytes were lost on the way; is the computer too busy?"
            raise InstrumentError(what, device=self.name, command="counts?", hint=hint)
        if duration_ps - reach_ps > WRAP_PS:  # even in the dark a word comes every wrap
            self.link.distrust()
            what = f"the stream ended after {reach_ps / PS_PER_S:.3f} s of an acquisition of {milliseconds / 1000:g} s"
            hint = "check the tagger's power and its USB cable, and take this acquisition again"
            raise InstrumentError(what, device=self.name, command="counts?", hint=hint)
        return TagBlock(t, ch, 0, duration_ps).moved(epoch_ps)

    def _words(self, link: Link, seconds: float) -> bytes:
        """Read the stream; where the job is interrupted, the tagger is told to stop."""
        pieces = []
        end_ps = self.clock.now_ps() + round(seconds * PS_PER_S)
        try:
            while (left_s := (end_ps - self.clock.now_ps()) / PS_PER_S) > 0:
                pieces.append(link.read_stream(min(left_s, SLICE_S), 0.0))
                self.wait_s(0.0)
            pieces.append(link.read_stream(0.0, AFTER_S))
        except InstrumentError:
            link.write(b"abort\r\n")
            link.distrust()
            raise
        return b"".join(pieces)
