"""What `%distributed attach` does with the futures it took over, and what it says of them.

Pure: a namespace is read here and changed by the magic. A future is never dropped for want of a free name: what cannot
be bound is put into one dict, because a result that nobody holds is let go.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_dist.notebook.ports import FuturePort, LostFuturePort, LostSessionPort
from jupyter_dist.notebook.wording import count, duration, icon, listing, plain, shorten

ROWS_MAX = 30
CELL_CHARS_MAX = 48
SESSIONS_MAX = 10
REST = "attached"  # the dict for what has no name, or one that is taken
HEADER = ("name", "state", "age", "key")
STATES = {"waiting", "queued", "processing"}  # what the cluster knows better than a future that is pending
PRINTED = "What they printed, and will print, is in `future.output`."
PLACE = re.compile(r"^(?P<name>\w+)\[(?P<place>\d+|'[^']*')\]$")  # how a run calls one of many futures of a name


@dataclass(frozen=True, slots=True)
class Binding:
    """Where each future goes.

    ``names`` are bound, to a future, a list or a dict of futures; ``taken`` are names the notebook uses for something
    else; ``rest`` has these and what has none.
    """

    names: Mapping[str, Any]
    taken: tuple[str, ...]
    rest: Mapping[str, FuturePort]


def plan_binding(
    futures: Mapping[str, FuturePort], named: Container[str], namespace: Mapping[str, Any], *, is_forced: bool
) -> Binding:
    """Return where futures go; ``named`` are those of their names that somebody gave them, the others are keys."""
    names: dict[str, Any] = {}
    rest: dict[str, FuturePort] = {}
    taken: list[str] = []
    many, used = _regrouped({name: future for name, future in futures.items() if name in named})
    for name, group in many.items():
        if is_forced or name not in namespace:
            names[name] = group
        else:
            used -= {own for own in used if own.startswith(f"{name}[")}
    for name, future in futures.items():
        if name in used:
            continue
        is_variable = name in named and name.isidentifier() and not keyword.iskeyword(name)
        if is_variable and (is_forced or not _is_taken(namespace, name, future)):
            names[name] = future
            continue
        rest[name] = future
        if is_variable:
            taken.append(name)
    return Binding(names, tuple(taken), rest)


def _regrouped(futures: Mapping[str, FuturePort]) -> tuple[dict[str, Any], set[str]]:
    """Return the lists and dicts that ``scores[0]``, ``scores[1]``… were, and which names are in them; all or none."""
    found = {name: PLACE.match(name) for name in futures}
    groups: dict[str, dict[Any, FuturePort]] = {}
    for name, match in found.items():
        if match is not None:
            groups.setdefault(match["name"], {})[ast.literal_eval(match["place"])] = futures[name]
    whole = {name: group for name, group in groups.items() if _is_whole(group)}
    used = {name for name, match in found.items() if match is not None and match["name"] in whole}
    return {name: _as_list(group) for name, group in whole.items()}, used


def _is_whole(group: Mapping[Any, FuturePort]) -> bool:
    places = set(group)
    return all(isinstance(place, str) for place in places) or places == set(range(len(places)))


def _as_list(group: dict[Any, FuturePort]) -> Any:
    return [group[place] for place in range(len(group))] if 0 in group else group


def _is_taken(namespace: Mapping[str, Any], name: str, future: FuturePort) -> bool:
    return name in namespace and getattr(namespace[name], "key", None) != future.key


def free_name(namespace: Container[str]) -> str:
    """Return a name for the dict that the notebook does not use."""
    names = (REST if number == 1 else f"{REST}_{number}" for number in itertools.count(1))
    return next(name for name in names if name not in namespace)


def describe_attached(
    futures: Mapping[str, FuturePort], lost: Iterable[LostFuturePort], now_s: float, head: str
) -> str:
    """Return a table of futures: name, state, how long it is in that, key."""
    known = {future.key: future for future in lost}
    rows = [_row(name, future, known.get(future.key), now_s) for name, future in futures.items()]
    shown = [HEADER, *rows[:ROWS_MAX]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    if len(rows) > ROWS_MAX:
        lines.append(f"… and {len(rows) - ROWS_MAX:,} more")
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _row(name: str, future: FuturePort, lost: LostFuturePort | None, now_s: float) -> tuple[str, str, str, str]:
    is_finer = lost is not None and lost.state in STATES and future.status == "pending"
    state = lost.state if lost is not None and is_finer else future.status
    age = duration(max(0.0, now_s - lost.since_s)) if lost is not None else ""
    key = shorten(plain(future.key), CELL_CHARS_MAX)
    own = "–" if name == future.key else shorten(plain(name), CELL_CHARS_MAX)
    return own, f"{icon(state)} {state}", age, key


def describe_rest(binding: Binding, rest_name: str) -> str:
    """Return what was not bound, why, and where it is."""
    lines = []
    unnamed = len(binding.rest) - len(binding.taken)
    if binding.taken:
        stands, names = ("stands", "that name") if len(binding.taken) == 1 else ("stand", "those names")
        lines.append(f"{listing(binding.taken)} {stands} for something else here and was left so; ")
        lines.append(f"`%distributed attach --overwrite` binds {names}. ")
    if unnamed:
        lines.append(f"{count(unnamed, 'future')} without a variable. ")
    return "".join(lines) + f"The dict `{rest_name}` has {'it' if len(binding.rest) == 1 else 'all of these'}."


def describe_nothing(name: str, cluster: str, sessions: Sequence[LostSessionPort], now_s: float) -> str:
    """Return that there is nothing to attach to, and what there is instead."""
    lines = [f"Nothing to attach to: no earlier session of {name} is kept on cluster {cluster!r}."]
    if sessions:
        lines.append("There are others; `%distributed attach NAME` takes one over:")
        lines += [f"  {describe_session(session, now_s)}" for session in sessions[:SESSIONS_MAX]]
    if len(sessions) > SESSIONS_MAX:
        lines.append(f"  … and {len(sessions) - SESSIONS_MAX:,} more")
    return "\n".join(lines)


def describe_session(session: LostSessionPort, now_s: float) -> str:
    """Return one lost session in words."""
    ago = duration(max(0.0, now_s - session.lost_s))
    what = f"{session.kind}, pid {session.pid}, lost {ago} ago, {count(session.futures, 'future')}"
    return f"{plain(session.name)!r} ({what})"


def describe_hint(sessions: Iterable[LostSessionPort], name: str) -> str:
    """Return that an earlier session of a name has futures; empty when none has."""
    own = sum(session.futures for session in sessions if session.name == name)
    if not own:
        return ""
    verb = "is" if own == 1 else "are"
    return f"{count(own, 'future')} of this notebook's earlier kernel {verb} still on the cluster: %distributed attach"
