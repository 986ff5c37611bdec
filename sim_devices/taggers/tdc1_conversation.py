"""What one client says to a TDC1 and hears of it: commands, counts, and the stream of words."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from qlab.clock import PS_PER_S
from sim_devices.taggers.tdc1_words import BIN_PS, HALF_WRAP_PS, encode

if TYPE_CHECKING:
    from sim_devices.taggers.sfifteen_tdc1 import TDC1Twin

__all__ = ["INPUTS", "LEVELS_V", "MODES", "TDC1Conversation"]


INPUTS = 4
LEVELS_V = {"nim": -0.5, "ttl": 1.5}  # [INF] of the two presets
MODES = {"singles": 0, "pairs": 1, "timestamp": 3}  # [V1]
MOST_V = 5.0  # [INF] of a threshold
PAIRS = ((0, 2), (0, 3), (1, 2), (1, 3))  # [V1] coincidences 1-3, 1-4, 2-3, 2-4
PAIR_WINDOW_PS = 2 * BIN_PS  # [INF] full width of the on-board coincidences


STREAM_PS = 20_000_000_000  # [INF] words come in packets, every 20 ms
MS_PS = PS_PER_S // 1000


HELP = (
    "singles, pairs, timestamp, mode?",
    "time ms, time?, counts?, abort",
    "NIM, TTL, POS v, NEG v, level?",
    "REFCLK n",
)


class TDC1Conversation:
    """One client of the serial port."""

    def __init__(self, tagger: TDC1Twin) -> None:
        self._tagger = tagger
        self._buffer = bytearray()
        self._waiting: deque[str] = deque()
        self._start_ps = self._done_ps = self._zero_ps = 0
        self._stop_ps: int | None = None
        self._due_ps: int | None = None
        self._counting = False
        self._streaming = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes; returns what is answered at once."""
        self._buffer += data
        *lines, rest = re.split(rb"[;\r\n]", bytes(self._buffer))
        self._buffer[:] = rest
        for line in lines:
            text = line.decode("latin-1").strip()
            if text.lower() == "abort":
                self._abort()
            elif text:
                self._waiting.append(text)
        return self._go_on()

    def due_ps(self) -> int | None:
        """Return when counts are ready, or more words."""
        return self._due_ps

    def wake(self) -> bytes:
        """Answer what is due."""
        now = self._tagger.clock.now_ps()
        reply = b""
        if self._streaming:
            reply = self._words(now)
        elif self._counting and self._due_ps is not None and now >= self._due_ps:
            self._counting, self._due_ps = False, None
            reply = self._counts()
        return reply + self._go_on()

    def close(self) -> None:
        """Forget the client."""
        self._waiting.clear()
        self._abort()

    def _abort(self) -> None:
        self._counting = self._streaming = False
        self._due_ps = None

    def _go_on(self) -> bytes:
        reply = b""
        while self._waiting and not (self._counting or self._streaming):
            reply += self._execute(self._waiting.popleft())
        return reply

    def _execute(self, text: str) -> bytes:
        tagger, word, _, value = self._tagger, *text.lower().partition(" ")
        answers = {
            "*idn?": f"TDC1, S-Fifteen Instruments, {tagger.parameters.serial}",  # [INF] the wording
            "mode?": str(MODES[tagger.mode]),
            "time?": str(
                tagger.time_ms if tagger.time_ms < 1 << 15 else tagger.time_ms - (1 << 16)
            ),  # [V1] 16 bits, signed
            "level?": f"{tagger.level_v:.3f} V",
            "refclk?": str(tagger.reference),
            "eclock?": str(int(tagger.external_clock)),
            "help": "\r\n".join(HELP),
        }
        if word in answers:
            return f"{answers[word]}\r\n".encode()
        if word in MODES:
            tagger.mode = word
        elif word in LEVELS_V:
            tagger.level_v = LEVELS_V[word]
        elif word == "inpkt":
            tagger.binary = True
        elif word == "*rst":
            tagger.reset_power()
        elif word == "counts?":
            self._start()
        else:
            self._set(word, value)
        return b""

    def _set(self, word: str, value: str) -> None:
        """Take a value; what is out of range or unknown changes nothing, and nothing is said [INF]."""
        tagger = self._tagger
        if word in ("pos", "neg") and re.fullmatch(r"[-+]?\d+(\.\d*)?", value):
            volts = abs(float(value)) * (1.0 if word == "pos" else -1.0)
            tagger.level_v = volts if abs(volts) <= MOST_V else tagger.level_v
        elif word == "time" and value.isdigit() and int(value) < 1 << 16:
            tagger.time_ms = int(value)
        elif word == "refclk" and value in ("0", "1", "2"):
            tagger.reference = int(value)

    def _start(self) -> None:
        now = self._tagger.clock.now_ps()
        endless = self._tagger.time_ms == 0
        self._start_ps = self._done_ps = now
        self._zero_ps = self._tagger.feed.read(now, now).start_ps  # the same moment on the tagger's own clock
        self._stop_ps = None if endless else now + self._tagger.time_ms * MS_PS
        if self._tagger.mode == "timestamp":
            self._streaming = True
            self._due_ps = now + STREAM_PS if self._stop_ps is None else min(now + STREAM_PS, self._stop_ps)
        else:
            self._counting, self._due_ps = True, self._stop_ps if self._stop_ps is not None else now

    def _counts(self) -> bytes:
        stop = self._stop_ps if self._stop_ps is not None else self._start_ps
        t, ch = self._tagger.events(self._start_ps, stop)
        numbers = [int(np.count_nonzero(ch == n)) for n in range(INPUTS)]
        if self._tagger.mode == "pairs":
            numbers += [_coincidences(t[ch == a], t[ch == b]) for a, b in PAIRS]
        return (" ".join(map(str, numbers)) + "\r\n").encode()

    def _words(self, now_ps: int) -> bytes:
        stop = now_ps if self._stop_ps is None else min(now_ps, self._stop_ps)
        t, ch = self._tagger.events(self._done_ps, stop)
        # Marker words at fixed times of the stream, whatever the packets are.
        first = -(-(self._done_ps - self._start_ps) // HALF_WRAP_PS)
        markers = np.arange(first, -(-(stop - self._start_ps) // HALF_WRAP_PS), dtype=np.int64) * HALF_WRAP_PS
        data = encode(t - self._zero_ps // BIN_PS * BIN_PS, ch, markers)
        self._done_ps = stop
        if self._stop_ps is not None and stop >= self._stop_ps:
            self._abort()
        else:
            due = stop + STREAM_PS
            self._due_ps = due if self._stop_ps is None else min(due, self._stop_ps)
        if self._tagger.slip and len(data) > 64:
            self._tagger.slip = False
            data = data[:30] + data[32:]
        return data


def _coincidences(a: np.ndarray, b: np.ndarray) -> int:
    low = np.searchsorted(b, a - PAIR_WINDOW_PS // 2, side="left")
    high = np.searchsorted(b, a + PAIR_WINDOW_PS // 2, side="right")
    return int((high - low).sum())
