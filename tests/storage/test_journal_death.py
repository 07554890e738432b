"""The process dies in the middle of its writes, or its disk refuses them."""

import random
import signal
import subprocess
import sys

import pytest

from tests.storage.journals import Opened, held
from tests.thorough import IS_THOROUGH

KILLS = 500 if IS_THOROUGH else 30
WRITER = """
import itertools, sys, time
from pathlib import Path
from tests.storage.journals import Opened

opened = Opened(Path(sys.argv[1]), journal_queue_bytes_max=100_000)
opened.journal._on_written = lambda number: print(number, flush=True)
first = int(sys.argv[2])
for number in itertools.count(first):
    changes = [(1, f"{number}-{place}", b"%d" % number * 50, True) for place in range(20)]
    if number > first + 3:
        changes += [(1, f"{number - 3}-{place}", None, False) for place in range(10)]
    opened.journal.write([*changes, (2, "last", b"%d" % number, False)], number)
    while opened.journal.is_behind:
        time.sleep(0.0001)
"""
FILLER = """
import resource, sys
from pathlib import Path
from tests.storage.journals import Opened

opened = Opened(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
number = 0
while not opened.troubles:
    number += 1
    opened.journal.write([(1, str(number), bytes(5000), False)], number)
opened.journal.close()
print(max(opened.told, default=0))
print(opened.troubles)
"""


def wrong_records(records, first, told):
    """Return the keys of told batches that are not as they were told: ten are for ever, ten are removed three later."""
    wrong = []
    for number in range(first, told + 1):
        is_removed = first + 4 <= number + 3 <= told
        for place in range(0 if is_removed else 10, 20):
            key = f"{number}-{place}"
            if records.get(key) != (None if place < 10 else b"%d" % number * 50):
                wrong.append(key)
    return wrong


@pytest.mark.process
@pytest.mark.slow
def test_killed_writer_keeps_every_batch_it_told(tmp_path):
    chance = random.Random(11)
    first = 1
    for kill in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            told = [int(writer.stdout.readline()) for _ in range(chance.randrange(1, 12))][-1]
            writer.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        with Opened(tmp_path) as opened:
            recovered = opened.recovered
            assert recovered.damage == (), kill
            last = int(recovered.records[2]["last"])
            assert last >= told
            assert wrong_records(recovered.records[1], first, told) == []
            opened.keep(*((kind, key, None) for kind, of_kind in recovered.records.items() for key in of_kind))
        first = last + 1


@pytest.mark.process
def test_disk_that_takes_no_more_is_trouble_and_what_was_told_is_kept(tmp_path):
    command = [sys.executable, "-c", FILLER, str(tmp_path)]
    told, troubles = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert "is not kept any more" in troubles
    recovered = held(tmp_path)
    assert "could not be written any more" in recovered.damage[0]
    assert {str(number) for number in range(1, int(told) + 1)} <= recovered.records.get(1, {}).keys()
