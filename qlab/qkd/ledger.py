"""The ledger of one party: which keys there are, which authentication key is spent, all of it on disk before it counts.

    folder/ledger.log    one record a line with its checksum, only ever appended, synced before the deed it records
    folder/pool.bin      authentication key, secret, only ever appended
    folder/channel.key   key of the channel's frames, secret
    folder/keys/N.key    key of block N, secret

A key is *pending* once this side has it, *usable* once this side knows that the peer has it, then *delivered*, once.
The corrector stores its key before it sends its last tag, the reference makes its own usable on that tag: a usable
key is always on both sides. What a crash leaves pending is settled by `resume`: usable where the peer says so, else
discarded.

A record cut off at the end of the log is what a crash leaves, and is dropped; one damaged elsewhere closes the ledger.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any, Literal

from qlab.errors import LedgerError
from qlab.qkd.authentication import SLOT_BYTES, Role
from qlab.qkd.bits import SecretBits, pack, unpack
from qlab.qkd.frames import CHANNEL_KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KeyLedger", "KeyState"]

KeyState = Literal["pending", "usable", "delivered", "discarded"]
_AFTER: dict[str | None, set[str]] = {
    None: {"pending"},
    "pending": {"usable", "discarded"},
    "usable": {"delivered"},
    "delivered": set(),
    "discarded": set(),
}


class KeyLedger:
    """Keys and authentication key of one party.

    Parameters
    ----------
    folder:
        Where it is, or will be.
    preshared:
        For a new ledger: secret bytes that both parties have: 16 for the point of the hash, 16 for each slot, and last 32 for
        the frames of the channel.

    Raises
    ------
    LedgerError
        There is none and no preshared key, or there is one and a preshared key was given, or it is damaged.
    """

    def __init__(self, folder: Path, preshared: bytes | None = None) -> None:
        self._folder, self._log = folder, folder / "ledger.log"
        self._states: dict[int, KeyState] = {}
        self._sizes: dict[int, int] = {}
        self._next: dict[Role, int] = {"reference": 0, "corrector": 1}
        self._refills: dict[int, int] = {}
        self._spent = self._pool_bytes = self._refilled = 0
        if preshared is not None:
            self._create(preshared)
        elif not self._log.exists():
            msg = f"there is no key ledger in {folder}; give the preshared key of both parties to begin one"
            raise LedgerError(msg)
        self._load()

    def __repr__(self) -> str:
        return f"KeyLedger({self._folder}, {len(self._states)} blocks, {self.free_slots('reference')} slots)"

    # -- authentication key

    @property
    def point(self) -> bytes:
        """The secret point of the hash, 16 bytes."""
        return self._pool[:SLOT_BYTES]

    @property
    def channel_key(self) -> bytes:
        """The key of the channel's frames."""
        return (self._folder / "channel.key").read_bytes()

    @property
    def spent_bits(self) -> int:
        """Authentication key spent so far, by both sides, as far as this side knows."""
        return 8 * SLOT_BYTES * self._spent

    @property
    def refilled_bits(self) -> int:
        """Authentication key gained from blocks so far."""
        return 8 * self._refilled

    def refill_slots(self) -> int:
        """Return how many slots the next key has to refill so that no more was ever spent than gained, by either role.

        The reference still spends two in its block, the corrector one; slots of both roles are refilled in equal numbers.
        """
        used = max(self._next["reference"] // 2 + 2, self._next["corrector"] // 2 + 1)
        return max(2 * used - self._refilled // SLOT_BYTES, 2)

    def free_slots(self, role: Role) -> int:
        """Return how many tags a role can still make."""
        total = self._pool_bytes // SLOT_BYTES - 1
        return max(-(-(total - self._next[role]) // 2), 0)

    def spend(self, role: Role) -> tuple[int, bytes]:
        """Mark the next slot of a role as spent, and return it.

        Raises
        ------
        LedgerError
            None is left.
        """
        slot = self._next[role]
        return slot, self.spend_slot(role, slot)

    def spend_slot(self, role: Role, slot: int) -> bytes:
        """Mark this slot, and those of the role before it, as spent, and return its bytes.

        Raises
        ------
        LedgerError
            It was spent before, is the other role's, or does not exist.
        """
        begin = SLOT_BYTES * (1 + slot)
        fits = slot >= self._next[role] and slot % 2 == (role == "corrector")
        if not fits or begin + SLOT_BYTES > self._pool_bytes:
            msg = (
                f"authentication slot {slot} of the {role} is spent or does not exist: {self.free_slots(role)} are left; "
                "both parties need a new preshared key if none are"
            )
            raise LedgerError(msg)
        self._record({"do": "spend", "role": role, "slot": slot})
        return self._pool[begin : begin + SLOT_BYTES]

    # -- keys

    def state(self, block: int) -> KeyState | None:
        """Return the state of a block's key, None if there is none."""
        return self._states.get(block)

    def blocks(self, state: KeyState) -> list[int]:
        """Return the blocks whose keys are in a state, rising."""
        return sorted(block for block, at in self._states.items() if at == state)

    @property
    def next_block(self) -> int:
        """The lowest number that no block has had."""
        return max(self._states, default=-1) + 1

    def store_pending(self, block: int, key: SecretBits, refill_slots: int = 0) -> None:
        """Keep a key that the peer may not have yet; its first bits will be `refill_slots` of authentication key.

        Raises
        ------
        LedgerError
            The block has a key, or this one is too short to pay for them.
        """
        self._allow(block, "pending")
        if 8 * SLOT_BYTES * refill_slots >= len(key):
            msg = f"block {block}: {len(key)} bits do not pay for {refill_slots} slots of authentication key"
            raise LedgerError(msg)
        path = self._key_path(block)
        _write(path.with_suffix(".tmp"), pack(key.reveal()), "wb")
        path.with_suffix(".tmp").replace(path)
        _sync_folder(path.parent)
        self._record({"do": "pending", "block": block, "bits": len(key), "refill": SLOT_BYTES * refill_slots})

    def make_usable(self, block: int) -> None:
        """Let a key be used, now that the peer has it; its first bits become authentication key.

        Raises
        ------
        LedgerError
            The key is not pending.
        """
        self._allow(block, "usable")
        n_bytes = self._refills[block]
        refill = self._key_path(block).read_bytes()[:n_bytes]
        with (self._folder / "pool.bin").open("r+b") as file:
            file.truncate(self._pool_bytes)
            file.seek(self._pool_bytes)
            file.write(refill)
            file.flush()
            os.fsync(file.fileno())
        self._record({"do": "usable", "block": block, "refill": n_bytes})
        self._read_pool()

    def discard(self, block: int) -> None:
        """Give a pending key up, and delete it."""
        self._allow(block, "discarded")
        self._record({"do": "discarded", "block": block})
        self._key_path(block).unlink(missing_ok=True)

    def deliver(self, block: int) -> SecretBits:
        """Hand a usable key out, once.

        Raises
        ------
        LedgerError
            It is not usable: pending, delivered before, or unknown.
        """
        self._allow(block, "delivered")
        whole = unpack(self._key_path(block).read_bytes(), self._sizes[block])
        self._record({"do": "delivered", "block": block})
        self._key_path(block).unlink(missing_ok=True)
        return SecretBits(whole[8 * self._refills[block] :])

    # -- the log

    def _key_path(self, block: int) -> Path:
        return self._folder / "keys" / f"{block}.key"

    def _allow(self, block: int, state: KeyState) -> None:
        before = self._states.get(block)
        if block < 0 or state not in _AFTER[before]:
            msg = f"key of block {block} cannot become {state}: it is {before or 'unknown'}"
            raise LedgerError(msg)

    def _create(self, preshared: bytes) -> None:
        if self._log.exists():
            msg = f"there is a key ledger in {self._folder} already; a preshared key is for a new one"
            raise LedgerError(msg)
        least = 3 * SLOT_BYTES + CHANNEL_KEY_BYTES
        if len(preshared) % SLOT_BYTES or len(preshared) < least:
            msg = f"preshared key of {len(preshared)} bytes: expected a multiple of {SLOT_BYTES}, at least {least}"
            raise LedgerError(msg)
        pool, channel = preshared[:-CHANNEL_KEY_BYTES], preshared[-CHANNEL_KEY_BYTES:]
        (self._folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self._folder / "pool.bin", pool, "wb")
        _write(self._folder / "channel.key", channel, "wb")
        self._append({"do": "open", "pool": len(pool)})
        _sync_folder(self._folder)

    def _record(self, record: dict[str, Any]) -> None:
        self._append(record)
        self._apply(record)

    def _append(self, record: dict[str, Any]) -> None:
        text = json.dumps(record, sort_keys=True)
        _write(self._log, f"{zlib.crc32(text.encode()):08x} {text}\n".encode(), "ab")

    def _load(self) -> None:
        data = self._log.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # a crash in the middle of a record: what it was to allow was not done
            os.truncate(self._log, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            checksum, _, text = line.partition(b" ")
            if checksum != f"{zlib.crc32(text):08x}".encode():
                msg = f"{self._log}, line {number}: damaged; no key of this ledger is used, both parties begin anew"
                raise LedgerError(msg)
            self._apply(json.loads(text))
        self._read_pool()

    def _read_pool(self) -> None:
        self._pool = (self._folder / "pool.bin").read_bytes()[: self._pool_bytes]
        if len(self._pool) < self._pool_bytes or not self._pool_bytes:
            msg = f"{self._folder}: {len(self._pool)} of {self._pool_bytes} bytes of authentication key are there; begin anew"
            raise LedgerError(msg)

    def _apply(self, record: dict[str, Any]) -> None:
        match record:
            case {"do": "open", "pool": n}:
                self._pool_bytes = n
            case {"do": "spend", "role": "reference" | "corrector" as role, "slot": slot}:
                self._next[role] = slot + 2
                self._spent += 1
            case {"do": "pending", "block": block, "bits": bits, "refill": n}:
                self._states[block], self._sizes[block], self._refills[block] = "pending", bits, n
            case {"do": "usable", "block": block, "refill": n}:
                self._states[block] = "usable"
                self._pool_bytes += n
                self._refilled += n
            case {"do": "delivered" | "discarded" as state, "block": block}:
                self._states[block] = state
            case _:
                msg = f"{self._log}: record {record.get('do')!r} is none of this version's"
                raise LedgerError(msg)


def _write(path: Path, data: bytes, mode: Literal["wb", "ab"]) -> None:
    """Write and sync, readable by the owner only."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), mode) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
