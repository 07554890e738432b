"""The last words of a worker's tasks: what they printed, in a file mapped into memory that survives any death.

What a task prints is on its way to its client within a tenth of a second; a process that dies before that, or that holds
the interpreter's lock, takes it along. The nanny reads it here for the death certificate.

Two halves, written in turn: a half that is full is left alone while the other is written from its start, so what was said
last is always whole. A half begins with how much of it is used; a record is the attempt's number, the length of its text
and the text. The record is written before it is counted, without a system call.
"""

import mmap
import struct
import threading
from pathlib import Path

LAST_WORDS_NAME = "last_words"  # of the file, in a worker's scratch folder
HALF_BYTES = 8192
RECORD_BYTES_MAX = 2048  # of one print
_USED = struct.Struct("=QQ")  # the half's turn, the bytes used behind this
_RECORD = struct.Struct("=QI")  # attempt, length


class LastWords:
    """The worker's side. Makes the file."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("w+b") as file:
            file.truncate(2 * HALF_BYTES)
            self._map = mmap.mmap(file.fileno(), 2 * HALF_BYTES)
        self._lock = threading.RLock()  # reentrant: a finalizer may print in the middle of a print
        self._is_busy = False
        self._turn = 0
        self._base = HALF_BYTES
        self._used = HALF_BYTES  # no room: the first record begins the first half

    def say(self, attempt: int, text: str) -> None:
        """Note what an attempt printed; of a long text its end."""
        with self._lock:
            if self._is_busy:
                return
            self._is_busy = True
            try:
                self._add(attempt, text)
            finally:
                self._is_busy = False

    def _add(self, attempt: int, text: str) -> None:
        data = text[-RECORD_BYTES_MAX:].encode("utf-8", "replace")[-RECORD_BYTES_MAX:]
        size = _RECORD.size + len(data)
        if self._used + size > HALF_BYTES:
            self._turn += 1
            self._base = HALF_BYTES - self._base
            self._used = _USED.size
            _USED.pack_into(self._map, self._base, self._turn, 0)
        at = self._base + self._used
        self._map[at + _RECORD.size : at + size] = data
        _RECORD.pack_into(self._map, at, attempt, len(data))
        self._used += size
        _USED.pack_into(self._map, self._base, self._turn, self._used - _USED.size)

    def close(self) -> None:
        """Unmap the file; it stays."""
        self._map.close()


def read_last_words(path: str | Path, attempts: tuple[int, ...]) -> str:
    """Return what these attempts printed last, as far as it is there; nothing when there is no such file."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return ""
    halves = [data[:HALF_BYTES], data[HALF_BYTES : 2 * HALF_BYTES]]
    whole = [half for half in halves if len(half) == HALF_BYTES]
    whole.sort(key=lambda half: _USED.unpack_from(half)[0])
    return "".join(text for half in whole for text in _texts(half, attempts))


def _texts(half: bytes, attempts: tuple[int, ...]) -> list[str]:
    _turn, used = _USED.unpack_from(half)
    end = min(_USED.size + used, HALF_BYTES)
    at, texts = _USED.size, []
    while at + _RECORD.size <= end:
        attempt, length = _RECORD.unpack_from(half, at)
        at += _RECORD.size
        if attempt in attempts:
            texts.append(half[at : min(at + length, end)].decode("utf-8", "replace"))
        at += length
    return texts
