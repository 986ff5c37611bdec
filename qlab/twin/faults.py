"""Wire faults: what goes wrong between an instrument and its host, armed by count or by chance.

=================  ============================================================================
`silent`           no reply
`late`             the reply comes `delay_s` later, and what follows waits behind it
`drop`             the connection is closed instead of a reply
`refuse`           connections break and new ones are refused, a pty is absent; until cleared
`truncate`         the reply loses its second half
`garble`           some characters are wrong
`split`            the reply comes in up to four pieces within `delay_s`; a ZeroMQ frame comes late as a whole
`duplicate`        the reply comes twice
`noise_prefix`     bytes that nobody sent come before the reply
`wrong_identity`   another instrument's name stands in the reply to the identity query
`busy`             the command is taken up `delay_s` later, or answered with `text` and forgotten
`error`            the command is not carried out, the instrument reports an error
=================  ============================================================================

Their randomness is keyed by (seed, mount, fault, reply): the same rehearsal meets the same faults.
"""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from qlab.errors import TwinError
from qlab.twin.conversation import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DROP", "WIRE_FAULTS", "FaultFilter", "Piece", "WireFault", "WireFaultKind"]

WireFaultKind = Literal[
    "silent",
    "late",
    "drop",
    "refuse",
    "truncate",
    "garble",
    "split",
    "duplicate",
    "noise_prefix",
    "wrong_identity",
    "busy",
    "error",
]
WIRE_FAULTS: tuple[WireFaultKind, ...] = get_args(WireFaultKind)
_DEFAULT_DELAY_S = {"late": 1.0, "busy": 1.0, "split": 0.01}
_IDENTITY_QUERY = re.compile(r"\*?idn?\?", re.IGNORECASE)
_STRANGER = "ACME,Nothing like it,0,0"
_LINE_ENDS = b"\r\n"


@dataclass(frozen=True, slots=True)
class WireFault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind:
        See the module's table.
    count:
        How many replies it hits; None: until cleared.
    probability:
        Chance to hit a reply that it could hit.
    match:
        Regular expression searched for in the command (bytes count as Latin-1); only such commands are hit.
    delay_s:
        Lab time of `late`, `busy` (default 1 s) and `split` (10 ms).
    text:
        The words of `wrong_identity`, `busy`, `error`; the bytes of `noise_prefix` (Latin-1).
    """

    kind: WireFaultKind
    count: int | None = 1
    probability: float = 1.0
    match: str | bytes | None = None
    delay_s: float | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if self.kind not in WIRE_FAULTS:
            msg = f"no wire fault {self.kind!r}; there are {', '.join(WIRE_FAULTS)}"
            raise TwinError(msg)
        if not 0.0 <= self.probability <= 1.0 or (self.count is not None and self.count < 1):
            msg = f"wire fault {self.kind}: expected a probability of 0 to 1 and a count of at least 1 (or none)"
            raise TwinError(msg)
        if self.delay_s is not None and not self.delay_s >= 0:
            msg = f"wire fault {self.kind}: delay_s {self.delay_s!r} is negative"
            raise TwinError(msg)
        try:
            re.compile(self.pattern)
        except re.error as exc:
            msg = f"wire fault {self.kind}: {self.match!r} is no regular expression: {exc}"
            raise TwinError(msg) from exc

    @property
    def pattern(self) -> str:
        """What is searched for in the command; nothing is in every command."""
        return self.match.decode("latin-1") if isinstance(self.match, bytes) else self.match or ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes to send `delay_s` of lab time after the piece before."""

    data: bytes
    delay_s: float = 0.0


DROP = Piece(b"", -1.0)
"""The piece that means: close the connection."""


class _Armed:
    """A fault with what is left of it."""

    def __init__(self, number: int, fault: WireFault, key: tuple[int, ...]) -> None:
        self.number = number
        self.fault = fault
        self.left = fault.count
        self.hits = 0
        self._key = key
        self._looks = 0

    def hits_now(self, command: str) -> np.random.Generator | None:
        """Return the generator of this hit, or None where the fault lets the reply pass."""
        if self.left == 0 or not re.search(self.fault.pattern, command):
            return None
        rng = np.random.default_rng([*self._key, self.number, self._looks])
        self._looks += 1
        if rng.random() >= self.fault.probability:
            return None
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return rng


class FaultFilter:
    """The faults armed on one mount.

    Parameters
    ----------
    key:
        What makes this mount's chances its own.
    on_refuse:
        Called with True when connections are to be refused from now on, with False when they are welcome again.
    whole_frames:
        Whether the wire cannot tear a reply apart.
    """

    def __init__(
        self, key: Sequence[int] = (0,), on_refuse: Callable[[bool], None] | None = None, *, whole_frames: bool = False
    ) -> None:
        self._key = tuple(key)
        self._on_refuse = on_refuse
        self._whole_frames = whole_frames
        self._lock = threading.Lock()
        self.hits = 0
        """How many replies and commands were hit so far."""
        self._armed: list[_Armed] = []
        self._number = 0

    def arm(self, fault: WireFault) -> None:
        """Let the fault happen from now on."""
        with self._lock:
            self._armed.append(_Armed(self._number, fault, self._key))
            self._number += 1
        if fault.kind == "refuse" and self._on_refuse is not None:
            self._on_refuse(True)

    def clear(self, kind: WireFaultKind | None = None) -> None:
        """Let everything work again, or only faults of one kind."""
        with self._lock:
            gone = [armed for armed in self._armed if kind in (None, armed.fault.kind)]
            self._armed = [armed for armed in self._armed if armed not in gone]
        if self._on_refuse is not None and any(armed.fault.kind == "refuse" for armed in gone):
            self._on_refuse(False)

    @property
    def refusing(self) -> bool:
        """Whether new connections are refused."""
        return any(armed.fault.kind == "refuse" for armed in self._armed)

    def describe(self) -> list[dict[str, object]]:
        """Return the armed faults with what is left of them and how often they hit."""
        with self._lock:
            return [{**asdict(a.fault), "left": a.left, "hits": a.hits} for a in self._armed]

    def verdict(self, message: bytes) -> Refusal | None:
        """Tell whether a message is declined as busy or with an error, and how."""
        if not self._armed:
            return None
        for armed in self._hitting(("busy", "error")):
            fault = armed.fault
            if armed.hits_now(message.decode("latin-1")) is not None:
                self.hits += 1
                waits = fault.kind == "busy" and not fault.text
                return Refusal(fault.kind, fault.text, _delay_s(fault) if waits else 0.0)
        return None

    def spoil(self, message: bytes, reply: bytes, identify: Callable[[], str | None] = lambda: None) -> list[Piece]:
        """Return what becomes of the reply to a message: pieces to send in order, `DROP` for a closed connection.

        Parameters
        ----------
        message:
            The command that is answered.
        reply:
            The whole answer.
        identify:
            Says how the instrument names itself, which `wrong_identity` replaces wherever it stands.
        """
        pieces = [Piece(reply)]
        if not self._armed or not reply:
            return pieces
        command, identity = message.decode("latin-1"), identify()
        for armed in self._hitting(tuple(kind for kind in WIRE_FAULTS if kind not in ("busy", "error", "refuse"))):
            if armed.fault.kind == "wrong_identity" and not _names_itself(armed.fault, command, reply, identity):
                continue
            rng = armed.hits_now(command)
            if rng is not None:
                self.hits += 1
                pieces = [new for piece in pieces for new in self._apply(armed.fault, piece, rng, identity)]
        return pieces

    def _hitting(self, kinds: Sequence[str]) -> list[_Armed]:
        with self._lock:
            self._armed = [armed for armed in self._armed if armed.left != 0 or armed.fault.kind == "refuse"]
            return [armed for armed in self._armed if armed.fault.kind in kinds]

    def _apply(self, fault: WireFault, piece: Piece, rng: np.random.Generator, identity: str | None) -> list[Piece]:
        data, delay_s = piece.data, piece.delay_s
        if piece is DROP:
            return [DROP]
        match fault.kind:
            case "drop":
                return [DROP]
            case "silent":
                return []
            case "split" if not self._whole_frames:
                return _split(data, delay_s, _delay_s(fault), rng)
            case "late" | "split":
                return [Piece(data, delay_s + _delay_s(fault))]
            case "duplicate":
                return [piece, Piece(data)]
            case "truncate":
                data = data[: len(data) // 2]
            case "garble":
                data = _garble(data, rng)
            case "noise_prefix":
                # Bytes above ASCII: what a receiver makes of a glitch on the line, and never a terminator.
                data = (fault.text.encode("latin-1") or bytes(128 + int(n) for n in rng.integers(0, 128, 4))) + data
            case "wrong_identity":
                data = _rename(data, identity, fault.text or _STRANGER)
        return [Piece(data, delay_s)]


def _names_itself(fault: WireFault, command: str, reply: bytes, identity: str | None) -> bool:
    if fault.match is not None or _IDENTITY_QUERY.search(command):
        return True
    return bool(identity) and str(identity).encode("latin-1") in reply


def _delay_s(fault: WireFault) -> float:
    return _DEFAULT_DELAY_S[fault.kind] if fault.delay_s is None else fault.delay_s


def _split(data: bytes, first_s: float, spread_s: float, rng: np.random.Generator) -> list[Piece]:
    cuts = sorted({int(cut) for cut in rng.integers(1, max(2, len(data)), 3)})
    edges = [0, *cuts, len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(edges) if b > a]
    pace_s = spread_s / max(1, len(parts) - 1)
    return [Piece(part, pace_s if n else first_s) for n, part in enumerate(parts)]


def _garble(data: bytes, rng: np.random.Generator) -> bytes:
    body = bytearray(data.rstrip(_LINE_ENDS))
    for at in rng.permutation(len(body))[: 1 + len(body) // 8]:
        # Another printable character, so that the reader sees a whole line with nonsense in it.
        body[at] = 33 + (body[at] - 33 + int(rng.integers(1, 93))) % 94
    return bytes(body) + data[len(body) :]


def _rename(data: bytes, identity: str | None, stranger: str) -> bytes:
    name = identity.encode("latin-1") if identity else b""
    if name and name in data:
        return data.replace(name, stranger.encode("latin-1"))
    return stranger.encode("latin-1") + data[len(data.rstrip(_LINE_ENDS)) :]
