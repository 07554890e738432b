import timeit

from jupyter_dist.storage.page import PageWriter, read_page

BIG = (3 << 40) + 5


def test_begin_in_two_slots_is_read_from_outside(tmp_path):
    page = PageWriter(tmp_path / "page", 3)
    page.begin(0, 7)
    page.begin(2, BIG)
    assert read_page(tmp_path / "page") == (7, BIG)
    page.end(0)
    assert read_page(tmp_path / "page") == (BIG,)
    page.close()
    assert read_page(tmp_path / "page") == (BIG,)


def test_read_page_of_fresh_missing_or_torn_file_has_no_attempts(tmp_path):
    PageWriter(tmp_path / "page", 2).close()
    assert read_page(tmp_path / "page") == ()
    assert read_page(tmp_path / "nothing") == ()
    (tmp_path / "torn").write_bytes(b"\x01\x02\x03")
    assert read_page(tmp_path / "torn") == ()


def test_begin_and_end_cost_less_than_two_microseconds(tmp_path):
    page = PageWriter(tmp_path / "page", 1)

    def both():
        page.begin(0, BIG)
        page.end(0)

    assert min(timeit.repeat(both, number=10_000, repeat=5)) / 10_000 < 2e-6
    page.close()
