"""A journal beside a dict: whatever is written, and whenever it is opened again, both say the same."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from jupyter_dist.storage.journal import Change
from tests.storage.journals import Opened

KINDS = st.integers(0, 3)
KEYS = st.sampled_from(["", "a", "b", "increment-1", "é", "x" * 3000])
DATA = st.one_of(st.binary(max_size=40), st.integers(0, 20_000).map(bytes))


class JournalBesideADict(RuleBasedStateMachine):
    """`is_new` is told as a scheduler would: when the record was removed before, or never there."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model: dict[tuple[int, str], bytes] = {}
        self.epoch = 1
        self.opened = Opened(self.folder, epoch=self.epoch, journal_interval_s=0.0)

    @rule(changes=st.lists(st.tuples(KINDS, KEYS, st.none() | DATA), max_size=8), waits=st.booleans())
    def write(self, changes, waits):
        batch = []
        for kind, key, data in changes:
            is_new = data is not None and (kind, key) not in self.model
            batch.append(Change(kind, key, data, is_new))
            self.model.pop((kind, key), None)
            if data is not None:
                self.model[kind, key] = data
        if waits:
            self.opened.keep(*batch)
        else:
            self.opened.write(*batch)

    @rule()
    def come_and_go(self):
        self.opened.write((0, "passing", b"x", True))
        self.opened.write((0, "passing", None))

    @rule()
    def reopen(self):
        self.opened.journal.close()
        assert self.opened.troubles == []
        self.opened = Opened(self.folder, epoch=self.epoch + 1, journal_interval_s=0.0)
        recovered = self.opened.recovered
        found = {(kind, key): data for kind, of_kind in recovered.records.items() for key, data in of_kind.items()}
        assert found == self.model
        assert (recovered.epoch, recovered.damage, recovered.lost) == (self.epoch, (), {})
        self.epoch += 1

    def teardown(self):
        self.reopen()
        self.opened.journal.close()
        shutil.rmtree(self.folder)


JournalBesideADict.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestJournalBesideADict = JournalBesideADict.TestCase
