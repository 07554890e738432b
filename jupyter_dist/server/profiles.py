"""Profiles: kinds of clusters that an administrator, or the user, has prepared for the dialog.

In a Jupyter server's configuration::

    c.JupyterDist.profiles = [{"name": "large", "label": "Large", "workers": 8, "memory_limit": "4GB"}]

A profile is what a start may say, with a name of its own. A bad one is refused where it is configured, with its place and
the field that is wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from jupyter_dist.errors import UsageError
from jupyter_dist.launch.connection_file import NAME
from jupyter_dist.server.models import StartRequest, check_start
from jupyter_dist.settings import Settings

FIELDS = ("workers", "threads_per_worker", "memory_limit", "resources", "idle_stop_s")  # of a start


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of cluster. What is None is chosen as for a start without a profile."""

    name: str
    label: str = ""
    description: str = ""
    workers: int | None = None
    threads_per_worker: int | None = None
    memory_limit: int | str | None = None
    resources: dict[str, float] | None = None
    idle_stop_s: float | None = None


class ProfileList(msgspec.Struct, frozen=True):
    """The answer to a request for profiles."""

    profiles: list[Profile]


LOCAL = Profile(name="local", label="This host", description="A worker for each core of this host")


def parse_profiles(values: Iterable[Mapping[str, Any]], settings: Settings) -> tuple[Profile, ...]:
    """Return configured profiles; the one of this host when there are none.

    Raises
    ------
    UsageError
        One is bad. The text names it by its place, and the field.
    """
    profiles = [_parse(f"profiles[{place}]", value, settings) for place, value in enumerate(values)]
    names = [profile.name for profile in profiles]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UsageError(f"profiles[{place}], field `name`: another profile is called {name!r}")
    return tuple(profiles) or (LOCAL,)


def _parse(place: str, value: Mapping[str, Any], settings: Settings) -> Profile:
    try:
        profile = msgspec.convert(dict(value), Profile)
    except msgspec.ValidationError as error:
        raise UsageError(f"{place}: {error}") from None
    if not NAME.fullmatch(profile.name):
        raise UsageError(f"{place}, field `name`: {profile.name!a} is no name: use letters, digits, dots and dashes")
    try:
        check_start(StartRequest(**{field: getattr(profile, field) for field in FIELDS}), settings)
    except UsageError as error:
        raise UsageError(f"{place} ({profile.name}), {error}") from None
    return profile


def with_profile(request: StartRequest, profiles: Iterable[Profile]) -> StartRequest:
    """Return a start with what its profile says where it says nothing itself.

    Raises
    ------
    UsageError
        There is no profile of this name.
    """
    if request.profile is None:
        return request
    known = {profile.name: profile for profile in profiles}
    profile = known.get(request.profile)
    if profile is None:
        raise UsageError(
            f"field `profile`: there is none called {request.profile[:64]!a}; there are {', '.join(known)}"
        )
    unsaid = [field for field in FIELDS if getattr(request, field) is None]
    return msgspec.structs.replace(request, **{field: getattr(profile, field) for field in unsaid})
