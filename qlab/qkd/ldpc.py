"""Reconciliation in one message: the reference sends a syndrome, the corrector finds its errors from it.

    corrector                                   reference
                               <-               LdpcSyndrome
    LdpcMore                   ->                              }  only if it did
                               <-               FrameParities  }  not suffice
    FrameDone                  ->

The corrector decodes the *difference* of the two keys: the syndrome of its own word, added to the one it was sent, is that of
the errors.  What it finds has the right syndrome; whether it is the right key, verification says.  Where it finds nothing it
asks for more parities (`qlab.qkd.ldpc_splitting`).

Leakage is the length of the syndrome less the punctured bits (`qlab.qkd.ldpc_codes`), and all parities that were sent later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qlab.errors import BadRequestError, KeyRefusedError, PeerError
from qlab.qkd.bits import Bits, SecretBits
from qlab.qkd.ldpc_engine import LARGEST, SCALE, LdpcEngine, Ratios, ldpc_engine
from qlab.qkd.ldpc_splitting import most_rows, split_rows, step_rows
from qlab.qkd.messages import U8, U32, BitString, Message, register
from qlab.qkd.reconcile_messages import FrameDone, FrameParities

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.qkd.ldpc_codes import LdpcFrame

__all__ = ["LdpcCorrector", "LdpcMore", "LdpcReference", "LdpcSyndrome"]

MOST_ITERATIONS = 60


@register
@dataclass(frozen=True, slots=True, eq=False)
class LdpcSyndrome(Message):
    """Syndrome of the reference's word: rows of the base matrix, how many random bits, the parities of all checks."""

    kind: ClassVar[int] = 21
    rows: U8
    punctured: U32
    bits: BitString

    @property
    def secret_bits(self) -> int:
        """As many as there are parities that no random bit hides."""
        return max(self.bits.size - self.punctured, 0)


@register
@dataclass(frozen=True, slots=True, eq=False)
class LdpcMore(Message):
    """No errors with this syndrome were found; ask for the parities of so many rows, split off in all."""

    kind: ClassVar[int] = 22
    rows: U8


class LdpcReference:
    """The party whose key counts: it sends a syndrome, and never learns the other key.

    Parameters
    ----------
    key, frame:
        Its key, and where the bits are in the code word.
    entropy:
        Returns so many random bytes; `os.urandom` outside of tests.  The punctured bits are drawn from it.
    engine:
        The best one that is installed by default.
    """

    def __init__(
        self, key: SecretBits, frame: LdpcFrame, entropy: Callable[[int], bytes], engine: LdpcEngine | None = None
    ) -> None:
        self._frame = frame
        self._engine = engine or ldpc_engine()
        self._word = _word(key, frame)
        n = frame.punctured.size
        self._word[frame.punctured] = np.unpackbits(np.frombuffer(entropy(-(-n // 8)), dtype=np.uint8))[:n]
        self._told = 0
        self.done = False

    def __repr__(self) -> str:
        return f"LdpcReference(<{self._frame.key.size} bits>, {self._told} rows split)"

    def start(self) -> LdpcSyndrome:
        """Return the syndrome."""
        code = self._frame.code
        return LdpcSyndrome(code.rows, self._frame.punctured.size, self._engine.syndrome(code, self._word))

    def receive(self, message: Message) -> Message | None:
        """Tell more parities, once it is asked for the next ones.

        Raises
        ------
        PeerError
            It is asked for others.
        """
        code = self._frame.code
        match message:
            case FrameDone():
                self.done = True
                return None
            case LdpcMore(rows) if rows == _next_rows(self._frame, self._told):
                finer, _ = split_rows(code, rows)
                parities = self._engine.syndrome(finer, self._word)[(code.rows + self._told) * code.z :]
                self._told = rows
                return FrameParities(parities)
        msg = f"LDPC: {type(message).__name__} makes no sense after {self._told} of {most_rows(code)} rows were split"
        raise PeerError(msg)


class LdpcCorrector:
    """The party that finds its errors.

    Parameters
    ----------
    key, frame:
        Its key; the same frame as at the reference.
    error_rate:
        Expected, above 0 and below 0.5.
    engine:
        The best one that is installed by default; all find the same.
    """

    def __init__(self, key: SecretBits, frame: LdpcFrame, error_rate: float, engine: LdpcEngine | None = None) -> None:
        if not 0.0 < error_rate < 0.5:
            msg = f"LDPC at an error rate of {error_rate}: expected 0 < rate < 0.5"
            raise BadRequestError(msg)
        self._frame, self._error_rate = frame, error_rate
        self._engine = engine or ldpc_engine()
        self._word = _word(key, frame)
        self._key = key
        self._syndrome: Bits | None = None
        self._split = 0
        self.corrected_bits = 0
        self.disclosed_bits = 0
        """What was sent about the reference's key so far."""
        self.done = False

    def __repr__(self) -> str:
        return f"LdpcCorrector(<{len(self._key)} bits>, {self._split} rows split, disclosed {self.disclosed_bits})"

    @property
    def key(self) -> SecretBits:
        """The key; corrected once this side is done."""
        return self._key

    def start(self) -> None:
        """Ask nothing: the reference begins."""

    def receive(self, message: Message) -> Message | None:
        """Take a syndrome, or more parities, and look for errors with them; long work.

        Raises
        ------
        PeerError
            The message is not of this frame.
        KeyRefusedError
            No errors with this syndrome are found, however many parities are known.
        """
        code = self._frame.code
        if self._syndrome is None:
            self._syndrome = self._first(message)
        else:
            self._syndrome = self._more(message, self._syndrome)
        finer, _ = split_rows(code, self._split)
        odd = self._engine.syndrome(finer, self._word) ^ self._syndrome
        errors, iterations = self._engine.decode(finer, odd, self._ratios(), MOST_ITERATIONS)
        if iterations:
            found = errors[self._frame.key]
            self._key, self.corrected_bits = SecretBits(self._key.reveal() ^ found), int(found.sum())
            self.done = True
            return FrameDone(self.corrected_bits)
        if self._split == most_rows(code):
            msg = f"LDPC: no errors with this syndrome were found in {len(self._key)} bits: there are too many"
            raise KeyRefusedError(msg)
        return LdpcMore(_next_rows(self._frame, self._split))

    def _first(self, message: Message) -> Bits:
        code, punctured = self._frame.code, self._frame.punctured.size
        if not isinstance(message, LdpcSyndrome):
            msg = f"LDPC: {type(message).__name__} came where a syndrome was expected"
            raise PeerError(msg)
        if (message.rows, message.punctured, message.bits.size) != (code.rows, punctured, code.n_checks):
            msg = (
                f"LDPC: a syndrome of {message.bits.size} bits, {message.rows} rows, {message.punctured} punctured came; "
                f"expected {code.n_checks} bits, {code.rows} rows, {punctured} punctured"
            )
            raise PeerError(msg)
        self.disclosed_bits = message.secret_bits
        return message.bits

    def _more(self, message: Message, known: Bits) -> Bits:
        """Return the syndrome of the finer code."""
        z, rows = self._frame.code.z, _next_rows(self._frame, self._split)
        if self.done or not isinstance(message, FrameParities) or message.bits.size != (rows - self._split) * z:
            msg = f"LDPC: {type(message).__name__} came where {(rows - self._split) * z} parities were expected"
            raise PeerError(msg)
        _, parents = split_rows(self._frame.code, rows)
        syndrome = np.concatenate([known, message.bits]).reshape(-1, z)
        # What was split off last comes first: a row that was split again had the bits of its halves.
        taken = syndrome.copy()
        old = self._frame.code.rows + self._split
        for row in range(syndrome.shape[0] - 1, old - 1, -1):
            parent = parents[row - self._frame.code.rows]
            taken[parent] ^= taken[row]
        syndrome[:old] = taken[:old]
        self.disclosed_bits += message.secret_bits
        self._split = rows
        return syndrome.reshape(-1)

    def _ratios(self) -> Ratios:
        """Return the prior ratios; each time more parities were needed there are more errors than expected."""
        frame = self._frame
        rate = min(self._error_rate * (1.0 + self._split / frame.code.rows), 0.25)
        ratios = np.zeros(frame.code.n_bits, dtype=np.int16)
        ratios[frame.key] = max(1, min(round(SCALE * math.log((1.0 - rate) / rate)), LARGEST))
        ratios[frame.shortened] = LARGEST
        return ratios


def _next_rows(frame: LdpcFrame, split: int) -> int:
    return min(split + step_rows(frame.code), most_rows(frame.code))


def _word(key: SecretBits, frame: LdpcFrame) -> Bits:
    if len(key) != frame.key.size:
        msg = f"LDPC on a key of {len(key)} bits: the frame is for {frame.key.size}"
        raise BadRequestError(msg)
    word = np.zeros(frame.code.n_bits, dtype=np.uint8)
    word[frame.key] = key.reveal()
    return word
