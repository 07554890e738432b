"""Files that are cut and flipped: what is recovered is true, or damage is told."""

import random
import shutil
import sqlite3

import pytest

from jupyter_dist.errors import JournalError
from jupyter_dist.storage.journal_file import RecordTable, log_file
from jupyter_dist.storage.journal_recovery import recover
from tests.storage.journals import NAME, Opened, copy_files, held
from tests.storage.story import Story, changes
from tests.thorough import IS_THOROUGH

SHARE = 200  # one byte in so many is tried; `make prove` tries all
FRAME_BYTES = 4096 + 24  # of SQLite's log, after a head of 32


def places(length, step=4096, start=0):
    """Return the places in so many bytes that are tried: some by chance, and those around the edges of pages."""
    if IS_THOROUGH:
        return range(length)
    edges = [edge + near for edge in range(start, length, step) for near in (-1, 0, 1)]
    chosen = random.Random(length).sample(range(length), length // SHARE)
    return sorted(place for place in {*edges, *chosen} if 0 <= place < length)


def places_in_log(log):
    return places(len(log), FRAME_BYTES, 32)


def flipped(data, place, bits):
    return data[:place] + bytes((data[place] ^ bits,)) + data[place + 1 :]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("story"))


def test_recovery_of_whole_files_is_the_last_state(story):
    finding = story.recover(story.file, story.log)
    assert (finding.records, finding.damage) == (story.states[-1], [])
    assert len(story.log) > 10 * 4096
    assert len(story.file) >= 5 * 4096


def test_recovery_of_a_log_cut_anywhere_is_an_earlier_state(story):
    damaged = [cut for cut in places_in_log(story.log) if story.check(story.file, story.log[:cut])]
    assert damaged == []
    assert story.recover(story.file, None).records == story.states[9]


def test_recovery_of_a_log_with_a_byte_flipped_anywhere_is_an_earlier_state(story):
    tried = places_in_log(story.log)
    damaged = [place for place in tried if story.check(story.file, flipped(story.log, place, 1 << place % 8))]
    assert damaged == []


def test_recovery_of_a_file_cut_anywhere_is_told(story):
    for cut in [1, 2, 511, *places(len(story.file))]:
        story.check(story.file[:cut], story.log)
        finding = story.recover(story.file[:cut], None)
        assert finding.damage or cut == 0 or finding.records == story.states[9]  # only zeros were cut


def test_recovery_of_a_file_with_a_byte_flipped_anywhere_is_right_or_told(story):
    for place in places(len(story.file)):
        story.check(flipped(story.file, place, 1 << place % 8), None)
        story.check(flipped(story.file, place, 255), story.log)


def test_words_of_sqlites_that_are_no_text_are_damage_too(story):
    name = story.file.index(b"records")  # in the schema, which SQLite's words quote
    assert story.check(flipped(flipped(story.file, name, 128), story.file.index(b"CREATE"), 1), None)


def test_recovery_of_a_file_with_a_page_of_zeros_keeps_the_other_rows(story):
    for start in range(4096, len(story.file), 4096):
        file = story.file[:start] + bytes(4096) + story.file[start + 4096 :]
        story.check(file, story.log)
        story.check(file, None)


def test_pages_that_are_broken_in_the_middle_cost_only_their_own_rows(tmp_path):
    with Opened(tmp_path) as opened:
        opened.keep(*((1, f"{number:06}", b"<%06d>" % number * 30) for number in range(20_000)))
    path = tmp_path / NAME
    file = path.read_bytes()
    for row in (5000, 12_000, 12_400):
        page = file.index(b"<%06d>" % row * 30) // 4096 * 4096
        file = file[:page] + b"\xff" * 4096 + file[page + 4096 :]
    path.write_bytes(file)
    with Opened(tmp_path) as opened:
        records = opened.recovered.records[1]
        assert 19_900 < len(records) < 20_000
        assert all(data == b"<%s>" % key.encode() * 30 for key, data in records.items())
        assert "should have 20000 rows" in opened.recovered.damage[0]
        opened.keep((1, "new", b"x"))
    recovered = held(tmp_path)
    assert recovered.damage == ()
    assert recovered.records[1] == {**records, "new": b"x"}


def test_row_that_is_broken_is_named_and_set_aside(tmp_path):
    with Opened(tmp_path, epoch=8) as opened:
        opened.keep((1, "whole", b"good"), (4, "broken", b"to be flipped"))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b"to be flipped", b"to be FLIPPED"))
    recovered = held(tmp_path, epoch=9)
    assert recovered.records == {1: {"whole": b"good"}}
    assert recovered.lost == {4: ("broken",)}
    assert recovered.epoch == 8
    (aside,) = tmp_path.glob(f"{NAME}.damaged-*")
    assert b"to be FLIPPED" in aside.read_bytes()
    assert aside.name in recovered.damage[0]
    assert "1 of its rows" in recovered.damage[0]
    again = held(tmp_path, epoch=10)
    assert (again.lost, again.epoch, again.damage) == (recovered.lost, 9, recovered.damage)


def test_file_that_is_none_of_sqlites_is_set_aside_and_a_fresh_one_begun(tmp_path):
    (tmp_path / NAME).write_bytes(b"what is this? " * 1000)
    with Opened(tmp_path) as opened:
        assert opened.recovered.records == {}
        assert opened.recovered.epoch == 0
        assert "not a database" in opened.recovered.damage[0]
        opened.keep((1, "a", b"x"))
    assert held(tmp_path) == ({1: {"a": b"x"}}, 1, (), {})


def test_damaged_files_are_kept_twice_at_most(tmp_path):
    for number in range(5):
        (tmp_path / NAME).write_bytes(b"garbage %d" % number * 1000)
        assert held(tmp_path).damage
    kept = sorted(tmp_path.glob(f"{NAME}.damaged-*"))
    assert [path.read_bytes()[:9] for path in kept] == [b"garbage 3", b"garbage 4"]


def test_file_that_is_gone_beside_its_log_is_told(tmp_path, story):
    (tmp_path / NAME).touch()
    shutil.copy(log_file(story.path), tmp_path)
    assert "only the log" in held(tmp_path).damage[0]
    assert held(tmp_path).records == {}


def test_lack_of_room_for_the_fresh_file_leaves_the_damaged_one(tmp_path, monkeypatch):
    with Opened(tmp_path) as opened:
        opened.keep((1, "a", b"to be flipped"))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b"to be flipped", b"to be FLIPPED"))

    def fail(*arguments):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(RecordTable, "fold", fail)
        with pytest.raises(JournalError, match="full"):
            Opened(tmp_path)
    assert b"to be FLIPPED" in path.read_bytes()
    assert held(tmp_path).lost == {1: ("a",)}


def test_old_page_in_the_place_of_a_new_one_is_noticed(tmp_path):
    old = tmp_path / "old"
    table, _finding = recover(tmp_path / NAME, 1, 1)
    table.commit(changes(*((1, f"{number:04}", b"old" * 100) for number in range(100))))
    table.fold()
    copy_files(tmp_path, old)
    table.commit(changes(*((1, f"{number:04}", b"new" * 100) for number in range(100))))
    table.close()
    file, before = (tmp_path / NAME).read_bytes(), (old / NAME).read_bytes()
    for start in range(2 * 4096, min(len(file), len(before)), 4096):
        (tmp_path / "case").mkdir()
        (tmp_path / "case" / NAME).write_bytes(file[:start] + before[start : start + 4096] + file[start + 4096 :])
        recovered = held(tmp_path / "case")
        assert recovered.damage or recovered.records[1] == dict.fromkeys(recovered.records[1], b"new" * 100)
        shutil.rmtree(tmp_path / "case")
