"""What one party has said in a block, hashed as it is said: a transcript of gigabytes is never kept.

The hash is that of `qlab.qkd.field.polynomial_hash` over all bytes, at a secret point; it is fed in pieces of any size.
"""

from __future__ import annotations

from qlab.qkd.field import LIMB_BYTES, PRIME, element

__all__ = ["Transcript"]


class Transcript:
    """Bytes that pass by.

    Parameters
    ----------
    point:
        The 16 secret bytes of the hash's point.
    """

    def __init__(self, point: bytes) -> None:
        self._point = element(point)
        self._total = 0
        self._rest = b""
        self.n_bytes = 0

    def __repr__(self) -> str:
        return f"Transcript(<{self.n_bytes} bytes>)"

    def add(self, data: bytes) -> None:
        """Take what was said next."""
        self.n_bytes += len(data)
        data = self._rest + data
        whole = len(data) - len(data) % LIMB_BYTES
        total, point = self._total, self._point
        for at in range(0, whole, LIMB_BYTES):
            total = (total + int.from_bytes(data[at : at + LIMB_BYTES], "big")) * point % PRIME
        self._total, self._rest = total, data[whole:]

    def hash(self) -> int:
        """Return the hash of all that was said so far; 0 <= hash < p."""
        total, point = self._total, self._point
        if self._rest:
            total = (total + int.from_bytes(self._rest, "big")) * point % PRIME
        return (total + 8 * self.n_bytes) * point % PRIME
