"""The scheduler's journal alone: ``python -m benchmarks.journal [--rows N] [--bytes N]``.

A loop that does nothing else queues records in batches; the writer's thread commits them beside it. Each line tells, in
microseconds a row: what the loop's thread computed in `write`, what the writer's thread computed, and what the whole took
until the last row was told to be durable. The writer's share is mostly inside SQLite, where it does not hold the
interpreter's lock.

* new: records that were never there.
* come and go: each is removed while it is still queued; nothing reaches the disk.
* steady: with `LIVE` records there, each batch brings new ones, replaces as many and removes as many of the oldest.
* recovery: opening the journal again, all rows checked.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from jupyter_dist.settings import Settings
from jupyter_dist.storage.journal import Change, Journal, open_journal

BATCH = 500
LIVE = 100_000
KIND = 1


class Bench:
    """An open journal, and what it costs to write to it."""

    def __init__(self, path: Path) -> None:
        self.done = threading.Condition()
        self.told = self.number = 0
        self.writer_s = 0.0
        started_s = time.perf_counter()
        self.journal: Journal
        self.journal, recovered = open_journal(
            path, epoch=1, version=1, on_written=self.on_written, on_trouble=print, settings=Settings()
        )
        self.open_s = time.perf_counter() - started_s
        self.rows = sum(map(len, recovered.records.values()))

    def on_written(self, number: int) -> None:
        """Note what is durable, and how long the writer's thread has computed."""
        with self.done:
            self.told, self.writer_s = number, time.thread_time()
            self.done.notify_all()

    def run(self, name: str, batches: Iterable[list[Change]]) -> None:
        """Write batches as fast as they are taken, and tell the time of each change."""
        batches = list(batches)
        changes = sum(map(len, batches))
        writer_s, started_s, loop_s = self.writer_s, time.perf_counter(), 0.0
        for batch in batches:
            self.number += 1
            called_s = time.thread_time()
            self.journal.write(batch, self.number)
            loop_s += time.thread_time() - called_s
            while self.journal.is_behind:
                time.sleep(0.001)
        with self.done:
            self.done.wait_for(lambda: self.told == self.number)
        whole_s, writer_s = time.perf_counter() - started_s, self.writer_s - writer_s
        loop, writer, whole = (1e6 * seconds / changes for seconds in (loop_s, writer_s, whole_s))
        print(f"{name:12} {changes:9,} changes: loop {loop:.2f}, writer {writer:.2f}, whole {whole:.2f} us", flush=True)


def keys(start: int, count: int) -> list[str]:
    """Return keys as a scheduler's are: of no order."""
    return [
        f"increment-{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}{number:016x}"
        for number in range(start, start + count)
    ]


def batches_of(changes: list[Change], batch: int = BATCH) -> list[list[Change]]:
    """Return changes in batches."""
    return [changes[start : start + batch] for start in range(0, len(changes), batch)]


def steady(first: int, rows: int, data: bytes) -> list[list[Change]]:
    """Return batches that leave the number of records as it is."""
    batches = []
    for start in range(0, rows, BATCH):
        new = [Change(KIND, key, data, True) for key in keys(first + start, BATCH)]
        replaced = [Change(KIND, key, data) for key in keys(first + start - LIVE // 2, BATCH)]
        removed = [Change(KIND, key, None) for key in keys(first + start - LIVE, BATCH)]
        batches.append([*new, *replaced, *removed])
    return batches


def measure(path: Path, rows: int, data: bytes) -> None:
    """Run everything once."""
    bench = Bench(path)
    bench.run("new", batches_of([Change(KIND, key, data, True) for key in keys(0, LIVE)]))
    passing = []
    for start in range(0, rows, BATCH):
        names = keys(1 << 32 | start, BATCH)
        passing.append([Change(KIND, key, data, True) for key in names] + [Change(KIND, key, None) for key in names])
    bench.run("come and go", passing)
    bench.run("steady", steady(LIVE, rows, data))
    bench.journal.close()
    print(f"files: {sum(item.stat().st_size for item in path.parent.iterdir()) / 1e6:.1f} MB for {LIVE:,} records")
    bench = Bench(path)
    print(f"recovery     {bench.rows:9,} records: {1e6 * bench.open_s / bench.rows:.2f} us each, {bench.open_s:.2f} s")
    bench.journal.close(remove=True)


def main(arguments: list[str]) -> int:
    """Measure with records of one size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description="The scheduler's journal alone.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=300)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "journal", options.rows, bytes(options.bytes))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
