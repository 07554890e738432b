"""Inputs from other inputs without a tool: seeded, so that a run that fails can be repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

LENGTH_MAX = 4096
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 2**64 - 1)


def mutations(inputs: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """Yield inputs that are made from these; what was made may be made from again."""
    rng = random.Random(seed)
    pool = list(inputs)
    for _ in range(count):
        data = bytearray(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 4))):
            rng.choice(DEEDS)(data, rng, pool)
        made = bytes(data[:LENGTH_MAX])
        if rng.random() < 0.02:
            pool.append(made)
        yield made


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytearray, rng: random.Random, _pool: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert(data: bytearray, rng: random.Random, _pool: Sequence[bytes]) -> None:
    place = _place(data, rng)
    data[place:place] = rng.randbytes(rng.choice((1, 2, 4, 8, 40)))


def _delete(data: bytearray, rng: random.Random, _pool: Sequence[bytes]) -> None:
    place = _place(data, rng)
    del data[place : place + rng.choice((1, 2, 4, 16))]


def _repeat(data: bytearray, rng: random.Random, _pool: Sequence[bytes]) -> None:
    place = _place(data, rng)
    data[place:place] = data[place : place + rng.choice((1, 4, 16))] * rng.choice((1, 3, 200))


def _splice(data: bytearray, rng: random.Random, pool: Sequence[bytes]) -> None:
    other = rng.choice(pool)
    data[_place(data, rng) :] = other[rng.randrange(len(other) + 1) :]


def _number(data: bytearray, rng: random.Random, _pool: Sequence[bytes]) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) & (1 << 8 * width) - 1
    place = _place(data, rng)
    data[place : place + width] = value.to_bytes(width, rng.choice(("little", "big")))


Deed = Callable[[bytearray, random.Random, Sequence[bytes]], None]
DEEDS: tuple[Deed, ...] = (_flip, _flip, _insert, _delete, _repeat, _splice, _number)
