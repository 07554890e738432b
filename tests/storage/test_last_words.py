"""What tasks printed last, in a file that survives their process."""

import gc
import random
import threading

import pytest

from jupyter_dist.storage.last_words import HALF_BYTES, RECORD_BYTES_MAX, LastWords, read_last_words


@pytest.fixture
def path(tmp_path):
    return tmp_path / "words"


@pytest.fixture
def words(path):
    made = LastWords(path)
    yield made
    made.close()


def test_words_are_read_by_attempt_in_their_order(words, path):
    for number in range(6):
        words.say(number % 2, f"{number} ")
    assert read_last_words(path, (1,)) == "1 3 5 "
    assert read_last_words(path, (0, 1)) == "0 1 2 3 4 5 "
    assert read_last_words(path, ()) == read_last_words(path, (7,)) == ""


def test_words_without_a_file_or_with_half_of_one_are_none(tmp_path):
    assert read_last_words(tmp_path / "none", (1,)) == ""
    (tmp_path / "short").write_bytes(b"x" * (HALF_BYTES - 1))
    assert read_last_words(tmp_path / "short", (1,)) == ""


def test_words_of_many_prints_keep_the_last_ones_whole(words, path):
    for number in range(10_000):
        words.say(1, f"line {number}\n")
    lines = read_last_words(path, (1,)).splitlines()
    assert lines == [f"line {number}" for number in range(10_000 - len(lines), 10_000)]
    assert len(lines) > 200


def test_words_of_a_long_print_are_its_end(words, path):
    words.say(1, "x" * 1_000_000 + "end")
    text = read_last_words(path, (1,))
    assert len(text) == RECORD_BYTES_MAX
    assert text.endswith("xend")
    words.say(1, "\N{SNOWMAN}" * 10_000)
    assert read_last_words(path, (1,)).endswith("\N{SNOWMAN}" * 100)


def test_words_of_two_threads_stay_whole(words, path):
    def speak(attempt):
        for _ in range(2000):
            words.say(attempt, f"{attempt}{attempt}{attempt}\n")

    threads = [threading.Thread(target=speak, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_last_words(path, (1,)).splitlines()) <= {"111"}
    assert set(read_last_words(path, (2,)).splitlines()) <= {"222"}
    assert read_last_words(path, (1, 2))


def test_words_of_a_finalizer_in_the_middle_of_a_print_harm_nothing(words, path, monkeypatch):
    add = words._add

    def add_and_print(attempt, text):
        words.say(2, "from a finalizer")
        add(attempt, text)

    monkeypatch.setattr(words, "_add", add_and_print)
    words.say(1, "one")
    gc.collect()
    assert (read_last_words(path, (1,)), read_last_words(path, (2,))) == ("one", "")


def test_words_in_a_damaged_file_never_raise(words, path):
    for number in range(2000):
        words.say(1, f"line {number}\n")
    whole, rng = path.read_bytes(), random.Random(1)
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 20)):
            damaged[rng.choice((rng.randrange(len(damaged)), rng.randrange(40)))] = rng.randrange(256)
        (path.parent / "damaged").write_bytes(damaged)
        assert len(read_last_words(path.parent / "damaged", (1,))) <= 2 * HALF_BYTES
