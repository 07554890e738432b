"""One Lab and one browser for all browser tests; a fresh tab for each, and no cluster left behind.

Playwright brings no browser: the machine's Chromium is used. Without it, or without the built Lab extension, these
tests are skipped by name; in continuous integration that is a failure.
"""

from collections.abc import Iterator
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from scripts.environment import BUNDLE_STAMP, find_chromium, is_ci
from tests.browser.lab import WAIT_MS_MAX, Lab, Tab, launch_browser

LOG_CHARACTERS = 4000

expect.set_options(timeout=WAIT_MS_MAX)


def cannot(reason: str) -> NoReturn:
    if is_ci():
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        cannot("no Chromium on this machine (apt-get install chromium, or set CHROMIUM)")
    if not BUNDLE_STAMP.exists():
        cannot("the Lab extension is not built (pip install -v -e . says why)")
    with sync_playwright() as playwright:
        browser = launch_browser(playwright, str(chromium))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture
def tab(browser: Browser, lab: Lab) -> Iterator[Tab]:
    tab = Tab(browser, lab)
    yield tab
    print(lab.log[-LOG_CHARACTERS:])  # shown when the test fails
    tab.close()
    lab.shutdown_kernels()
    lab.stop_clusters()
    assert tab.errors == [], "errors in the page"
    assert tab.strays == [], "requests left this machine"
