"""What workers have besides slots, and tasks need while they run: amounts by name, such as GPUs or bytes of memory.

The names mean nothing here: a worker declares how much of each it has, a task says how much it takes, and what runs
together on a worker never takes more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

from jupyter_dist.errors import UsageError
from jupyter_dist.messages.base import AMOUNT_MAX, AMOUNT_MIN

Amounts = tuple[tuple[str, float], ...]  # sorted by name, all more than 0

ROUNDING = 1e-9  # of what is declared: ten tenths are one


def check_resources(given: object) -> Amounts:
    """Return amounts as they are kept; none for None.

    Raises
    ------
    TypeError
        It is no dict of amounts by name.
    UsageError
        A name is empty or no text that can be sent, or an amount is not more than 0.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise TypeError(f"resources={given!r}: give a dict of amounts by name, such as {{'GPU': 1}}")
    return tuple(sorted((_check_name(name), _check_amount(name, amount)) for name, amount in given.items()))


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a resource is named by a text, not by {name!r}")
    if not name.strip() or not name.isprintable():
        raise UsageError(f"{name!r} is no name of a resource: give a text such as 'GPU'")
    return name


def _check_amount(name: object, amount: object) -> float:
    if isinstance(amount, bool) or not isinstance(amount, Real):
        raise TypeError(f"resource {name!r}: give a number, not {amount!r}")
    number = float(amount)
    if not AMOUNT_MIN <= number <= AMOUNT_MAX:
        raise UsageError(
            f"resource {name!r}: {amount!r} is no amount; give more than 0, from {AMOUNT_MIN:g} to {AMOUNT_MAX:g}"
        )
    return number


def parse_resources(text: str | None) -> dict[str, float]:
    """Return the amounts that ``"GPU=1,memory=4e9"`` names; none for None.

    Raises
    ------
    UsageError
        It names none.
    """
    amounts: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, amount = part.partition("=")
        try:
            amounts[name.strip()] = float(amount)
        except ValueError:
            raise UsageError(f"{part!r} is no resource: write NAME=AMOUNT, as in GPU=1,memory=4e9") from None
    return dict(check_resources(amounts))


def is_within(needed: Amounts, free: Mapping[str, float], declared: Mapping[str, float]) -> bool:
    """Whether these amounts are free, of what was declared. A name may come twice: then both amounts must be."""
    totals: dict[str, float] = {}
    for name, amount in needed:
        totals[name] = totals.get(name, 0.0) + amount
    return all(free.get(name, 0.0) + ROUNDING * declared.get(name, 0.0) >= amount for name, amount in totals.items())


def describe_amounts(amounts: Amounts) -> str:
    """Return amounts in words: ``GPU: 1, memory: 4e+09``."""
    return ", ".join(f"{name}: {amount:g}" for name, amount in amounts)
