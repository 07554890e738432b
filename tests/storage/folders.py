"""Systems that run out of room, and folders to try them on."""

import errno
import os
from pathlib import Path

from jupyter_dist.storage.shared import RealSystem

NAME = "0123456789abcdef"


class SmallSystem(RealSystem):
    """A system that writes no more than so many bytes, in odd portions, and says so or does not."""

    def __init__(self, room, *, says=1 << 40, portion=1 << 30):
        self.room = room
        self.says = says
        self.portion = portion

    def write(self, descriptor, pieces):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, left = [], min(self.room, self.portion)
        for piece in pieces:
            taken.append(piece[:left])
            left -= taken[-1].nbytes
        count = os.writev(descriptor, taken)
        self.room -= count
        return count

    def free_bytes(self, folder: Path) -> int:
        return self.says


def contents(buffers):
    return [bytes(buffer) for buffer in buffers]


def all_files(path):
    return sorted(item.name for item in Path(path).iterdir())
