"""The targets of the fuzzers in the normal run: what was kept, and seeded mutations of it."""

import gc
import logging
from pathlib import Path

import psutil
import pytest

from tests.fuzz.mutations import mutations
from tests.fuzz.targets import COUNTS, TARGETS

CORPUS = Path(__file__).parent / "corpus"
GROWTH_BYTES_MAX = 50 * 1024 * 1024


def kept(name):
    """Return the inputs that are kept for a target, in the same order everywhere."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@pytest.fixture(autouse=True)
def silence():
    """Let nothing be logged: what is refused here is refused by the thousand."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_input_that_was_kept_is_borne(name):
    inputs = kept(name)
    assert inputs
    for data in inputs:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_input_that_is_made_from_kept_ones_is_borne_in_bounded_memory(name):
    target, inputs = TARGETS[name], kept(name)
    for data in inputs:
        target(data)
    gc.collect()
    before = psutil.Process().memory_info().rss
    for number, data in enumerate(mutations(inputs, 20, COUNTS[name])):
        try:
            target(data)
        except Exception as error:
            error.add_note(f"mutation {number} of {name}: {data!r}")
            raise
    gc.collect()
    assert psutil.Process().memory_info().rss - before < GROWTH_BYTES_MAX


def test_mutations_of_one_seed_are_the_same():
    assert list(mutations([b"abc", b"d" * 50], 3, 50)) == list(mutations([b"abc", b"d" * 50], 3, 50))


def test_every_corpus_has_its_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
