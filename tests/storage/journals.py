"""Journals to try things on, and what they held."""

import shutil
import threading
from pathlib import Path

from jupyter_dist.settings import Settings
from jupyter_dist.storage.journal import Change, Journal, Recovered, open_journal

NAME = "scheduler.journal"
WAIT_S = 20.0


class Opened:
    """An open journal that remembers what it was told. Closed at the end of its ``with``."""

    def __init__(self, folder: Path, epoch=1, version=1, **settings):
        self.path = folder / NAME
        self.told: list[int] = []
        self.troubles: list[str] = []
        self._number = 0
        self._heard = threading.Condition()
        self.journal: Journal
        self.recovered: Recovered
        self.journal, self.recovered = open_journal(
            self.path,
            epoch=epoch,
            version=version,
            on_written=self._on_written,
            on_trouble=self._on_trouble,
            settings=Settings(**settings),
        )

    def _on_written(self, number):
        with self._heard:
            self.told.append(number)
            self._heard.notify_all()

    def _on_trouble(self, words):
        with self._heard:
            self.troubles.append(words)
            self._heard.notify_all()

    def write(self, *changes, is_awaited=False):
        """Write changes and return their number."""
        self._number += 1
        made = [change if isinstance(change, Change) else Change(*change) for change in changes]
        self.journal.write(made, self._number, is_awaited=is_awaited)
        return self._number

    def keep(self, *changes):
        """Write changes and wait until they are durable."""
        number = self.write(*changes)
        assert self.wait(lambda: self.told and self.told[-1] >= number), self.troubles

    def wait(self, is_so):
        with self._heard:
            return self._heard.wait_for(is_so, WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.journal.close()


def held(folder, **options):
    """Return what a journal holds."""
    with Opened(folder, **options) as opened:
        return opened.recovered


def copy_files(source, target):
    """Copy a journal's files as its process' death would leave them."""
    target.mkdir(mode=0o700)
    for path in source.glob(f"{NAME}*"):
        if not path.name.endswith(".lock"):
            shutil.copy(path, target)
    return target
