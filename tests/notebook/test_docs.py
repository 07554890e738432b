"""The page for users has each command and each option, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from jupyter_dist.notebook.commands import CELL_OPTIONS, COMMAND_OPTIONS, COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")


def test_every_option_of_a_cell_is_on_the_page_and_no_other():
    told = set(re.findall(r"^\| `(-{1,2}[a-z-]+)", PAGE, re.MULTILINE))
    known = {flag for option in CELL_OPTIONS for flag in option.flags}
    assert told <= known
    assert all(told & set(option.flags) for option in CELL_OPTIONS)


def test_every_command_is_on_the_page_and_no_other():
    assert set(re.findall(r"`%distributed ([a-z]+)", PAGE)) == set(COMMANDS)


def test_every_option_of_a_command_is_on_the_page():
    assert all(any(flag in PAGE for flag in option.flags) for options in COMMAND_OPTIONS.values() for option in options)
