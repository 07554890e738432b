import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.errors import UsageError
from jupyter_dist.server.models import (
    ChangeRequest,
    ClusterModel,
    EmptyRequest,
    StartRequest,
    check_change,
    check_start,
    clean,
    parse,
    with_snapshot,
)
from jupyter_dist.settings import Settings
from tests.server.fakes import make_info, make_snapshot


@given(st.binary(max_size=200))
def test_parse_any_bytes_give_a_record_or_a_usage_error(body):
    with contextlib.suppress(UsageError):
        assert isinstance(parse(body, StartRequest), StartRequest)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=10), st.text())
def test_parse_any_field_of_any_type_never_escapes(value, field):
    with contextlib.suppress(UsageError):
        parse(json.dumps({field: value, "workers": value}).encode(), ChangeRequest)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"workers": "2"}', "workers"),
        (b'{"workers": 1.5}', "workers"),
        (b'{"workers": true}', "workers"),
        (b'{"threads_per_worker": []}', "threads_per_worker"),
        (b'{"name": 3}', "name"),
        (b'{"hosts": []}', "hosts"),
        (b"[]", "object"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_parse_bad_body_names_what_is_wrong(body, word):
    with pytest.raises(UsageError, match=word):
        parse(body, StartRequest)


def test_parse_empty_body_counts_as_empty_object():
    assert parse(b"", StartRequest) == StartRequest()
    assert parse(b"", EmptyRequest) == EmptyRequest()
    with pytest.raises(UsageError, match="workers"):
        check_change(parse(b"", ChangeRequest), Settings())


@pytest.mark.parametrize("workers", [0, -1, 1025, 10**30])
def test_check_start_absurd_workers_are_refused_by_name(workers):
    with pytest.raises(UsageError, match="workers"):
        check_start(StartRequest(workers=workers), Settings())


@pytest.mark.parametrize("threads", [0, -7, 10**9])
def test_check_start_absurd_threads_are_refused_by_name(threads):
    with pytest.raises(UsageError, match="threads_per_worker"):
        check_start(StartRequest(threads_per_worker=threads), Settings())


@pytest.mark.parametrize("name", ["default", "a", "Big-Job_2.1", "0", "x" * 64])
def test_check_start_plain_names_are_allowed(name):
    check_start(StartRequest(name=name), Settings())


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", "a/b", "../x", "a b", "ä", "a\n", "\u202eabc", "<script>", "x" * 65, "a\x00", "٣"],
)
def test_check_start_name_that_could_be_a_path_or_markup_is_refused(name):
    with pytest.raises(UsageError, match="field `name`") as caught:
        check_start(StartRequest(name=name), Settings())
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 300


def test_with_snapshot_silent_workers_are_not_counted_as_alive():
    info = make_info("default")
    model = with_snapshot(ClusterModel(name="default", state="running"), make_snapshot(info, workers=2, silent=1))
    assert (model.workers, model.wanted, model.cores, model.memory_bytes) == (2, 3, 6, 200)
    assert (model.finished, model.erred, model.sessions) == (7, 1, ("notebook.ipynb",))


def test_clean_long_and_broken_text_is_cut_at_the_front_and_encodable():
    text = clean("x" * 100 + "\udcff end", 10)
    assert text.endswith("end")
    assert len(msgspec.json.encode(text)) <= 20
