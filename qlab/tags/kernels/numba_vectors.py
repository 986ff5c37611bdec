"""Compare many tags at once: count channels, and find the few tags that have another one near, without a branch.

Which tags these are nobody can foresee: a branch on it costs more than all the rest.  Eight gaps are compared by one vector
instruction and a table gives the places of the bits that are set.  Numba's loops do not become vectors by themselves here, so
LLVM's own vectors are written, which it translates to what the processor has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from qlab.compiled import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BLOCK", "LINE", "candidates", "count_few", "prefetch"]

BLOCK = 4096
"""Tags a block: it stays in the first-level cache."""
LINE = np.uint64(8)
"""Times in a line of the cache."""


def _places() -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Return, for each byte, the places of its set bits as 8 numbers of 16 bits in two words, and how many there are."""
    table = np.zeros((256, 3), dtype=np.uint64)
    for byte in range(256):
        places = [bit for bit in range(8) if byte >> bit & 1]
        words = [sum(p << 16 * k for k, p in enumerate(places[half : half + 4])) for half in (0, 4)]
        table[byte] = [*words, len(places)]
    return table


_TABLE = _places()
_LOW, _HIGH, _COUNT = (np.ascontiguousarray(_TABLE[:, column]) for column in range(3))
_EVERY = np.uint64(0x0008_0008_0008_0008)


def _vector_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any, length: int, align: int) -> Any:
    """Load `length` elements of an array from `index` on as an LLVM vector."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(data.type.pointee, length)
    return builder.load(builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), align=align)


def _everywhere(builder: Any, value: Any, length: int) -> Any:
    """Return an LLVM vector of one value."""
    nothing = ir.Constant(ir.VectorType(value.type, length), ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), length), [0] * length))


def _near_bits(typing: Any, t: Any, i: Any, ahead: Any, reach_ps: Any) -> tuple[Any, Callable[..., Any]]:
    """Return a byte whose bit b is set where ``t[i + b + ahead] - t[i + b] <= reach_ps``; all must be inside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, steps, reach = arguments
        later = _vector_at(context, builder, signature.args[0], array, builder.add(at, steps), 8, 8)
        earlier = _vector_at(context, builder, signature.args[0], array, at, 8, 8)
        near = builder.icmp_signed("<=", builder.sub(later, earlier), _everywhere(builder, reach, 8))
        return builder.zext(builder.bitcast(near, ir.IntType(8)), ir.IntType(64))

    return types.uint64(t, types.int64, types.int64, types.int64), generate


near_bits: Any = intrinsic(_near_bits)


def _prefetch(typing: Any, array: Any, i: Any) -> tuple[Any, Callable[..., Any]]:
    """Ask for the line with ``array[i]`` to be brought to the second-level cache; it may lie outside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, at = arguments
        data = context.make_array(signature.args[0])(context, builder, values).data
        address = builder.bitcast(builder.gep(data, [at]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(call, [address, number(0), number(2), number(1)])  # to read, of some locality, data
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


prefetch: Any = intrinsic(_prefetch)


def _count_of_64(typing: Any, ch: Any, i: Any, channel: Any) -> tuple[Any, Callable[..., Any]]:
    """Return how many of the 64 bytes from ``ch[i]`` on are `channel`; all of them must be inside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, wanted = arguments
        bytes_of = _vector_at(context, builder, signature.args[0], array, at, 64, 1)
        same = builder.icmp_unsigned("==", bytes_of, _everywhere(builder, wanted, 64))
        return builder.ctpop(builder.bitcast(same, ir.IntType(64)))

    return types.int64(ch, types.int64, types.uint8), generate


count_of_64: Any = intrinsic(_count_of_64)


@compiled
def count_few(ch, channels, counts):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Add the tags of each of some channels (uint8, a multiple of four of them) to `counts`."""
    whole = ch.size - ch.size % 64
    for k in range(0, channels.size, 4):
        a, b, c, d = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for i in range(0, whole, 64):
            prefetch(ch, np.uint64(i + 4096))
            a += count_of_64(ch, i, channels[k])
            b += count_of_64(ch, i, channels[k + 1])
            c += count_of_64(ch, i, channels[k + 2])
            d += count_of_64(ch, i, channels[k + 3])
        counts[k] += a
        counts[k + 1] += b
        counts[k + 2] += c
        counts[k + 3] += d
    for i in range(whole, ch.size):
        for k in range(channels.size):
            counts[k] += np.int64(ch[i] == channels[k])


@compiled
def candidates(t, start, stop, ahead, reach_ps, found):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Find the tags from `start` to `stop` whose `ahead`-th next one is within reach.

    Their places behind `start` go to `found`, uint16 of at least stop - start + 8 places; their number is returned.
    """
    k, groups = np.uint64(0), (stop - start) // 8
    for group in range(groups):
        bits = near_bits(t, start + 8 * group, ahead, reach_ps)
        base = np.uint64(group) * _EVERY
        low, high = _LOW[bits] + base, _HIGH[bits] + base
        # Written as sixteen bits each; the compiler makes two stores of them.
        found[k] = np.uint16(low)
        found[k + np.uint64(1)] = np.uint16(low >> np.uint64(16))
        found[k + np.uint64(2)] = np.uint16(low >> np.uint64(32))
        found[k + np.uint64(3)] = np.uint16(low >> np.uint64(48))
        found[k + np.uint64(4)] = np.uint16(high)
        found[k + np.uint64(5)] = np.uint16(high >> np.uint64(16))
        found[k + np.uint64(6)] = np.uint16(high >> np.uint64(32))
        found[k + np.uint64(7)] = np.uint16(high >> np.uint64(48))
        k += _COUNT[bits]
    for i in range(start + 8 * groups, stop):
        found[k] = np.uint16(i - start)
        k += np.uint64(t[i + ahead] - t[i] <= reach_ps)
    return np.int64(k)
