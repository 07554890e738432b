"""Makes the pictures of the documentation anew, from a real Lab with a real cluster: ``make screenshots``.

The pictures are in ``docs/images``: the sidebar, the Executor panel and the task stream. They are what a user sees
after the cells below, nothing is drawn by hand.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from scripts.environment import ROOT, find_chromium
from tests.browser.lab import Lab, Tab, launch_browser

IMAGES = ROOT / "docs" / "images"
START = "%load_ext jupyter_dist\n%distributed start -n 4 --name pictures"
WORK = """\
import random
import time


def load(number):
    time.sleep(random.uniform(0.05, 0.2))
    return number


def fit(number):
    time.sleep(random.uniform(0.1, 0.4))
    return number**2


def score(total):
    time.sleep(0.05)
    if total % 7 == 4:
        raise ValueError(f"no score for {total}")
    return total


loaded = executor.map(load, range(48))
fitted = executor.map(fit, loaded)
scores = executor.map(score, fitted)"""
SIDEBAR_PX = 220.0
SETTLE_MS = 5000  # so that bars, counts and errors have come


def take(tab: Tab, magic: str, notebook: str, image: Path) -> None:
    """Take a picture of what a magic shows while tasks run."""
    tab.lab.write_notebook(notebook, START, magic, WORK)
    tab.open_notebook(notebook)
    tab.run_all()
    tab.page.wait_for_timeout(SETTLE_MS)
    tab.output(1).screenshot(path=image)
    print(image.relative_to(ROOT))


def take_sidebar(tab: Tab, image: Path) -> None:
    """Take a picture of the sidebar beside the notebook that is open."""
    sidebar = tab.open_sidebar()
    sidebar.locator('[data-state="running"]').first.wait_for()
    box = sidebar.bounding_box()
    if box is None:
        raise RuntimeError("the sidebar is not shown")
    tab.page.screenshot(path=image, clip={**box, "height": SIDEBAR_PX})
    print(image.relative_to(ROOT))


def main() -> int:
    """Make all pictures."""
    chromium = find_chromium()
    if chromium is None:
        print("no Chromium on this machine: apt-get install chromium, or set CHROMIUM")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        try:
            browser = launch_browser(playwright, chromium)
            tab = Tab(browser, lab)
            take(tab, "%distributed panel", "panel.ipynb", IMAGES / "panel.png")
            take_sidebar(tab, IMAGES / "sidebar.png")
            lab.shutdown_kernels()
            lab.stop_clusters()
            take(tab, "%distributed stream", "stream.ipynb", IMAGES / "task_stream.png")
            tab.close()
            browser.close()
        finally:
            lab.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
