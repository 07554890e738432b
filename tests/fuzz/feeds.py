"""An input of a fuzzer as a supply of numbers and bytes: what runs out gives zeros, so every input means something."""

from __future__ import annotations


class Feed:
    """Takes an input apart, from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte."""
        return int.from_bytes(self.take(1))

    def word(self) -> int:
        """Return the next two bytes as a number."""
        return int.from_bytes(self.take(2))

    def take(self, count: int) -> bytes:
        """Return so many bytes, or those there are."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data))

    def pieces(self) -> list[bytes]:
        """Return the rest in pieces as a socket might give them: their length is a byte before each, 255 for all."""
        pieces = []
        while self:
            count = self.byte()
            pieces.append(self.rest() if count == 255 else self.take(count))
        return pieces


def patched(data: bytes, feed: Feed, count_max: int) -> bytes:
    """Return bytes with some of them changed, cut or repeated, as a feed says."""
    changed = bytearray(data)
    for _ in range(feed.byte() % (count_max + 1)):
        if not changed:
            break
        place, deed, value = feed.word() % len(changed), feed.byte(), feed.byte()
        if deed < 192:
            changed[place] ^= value or 255
        elif deed < 224:
            del changed[place : place + value]
        else:
            changed[place:place] = changed[place : place + value]
    return bytes(changed)
