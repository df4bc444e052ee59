"""Profiles: settings of a Celery fleet that belong together, as data, and what each is for. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from poolrace.transport_setting import PATH, SETTING, path_for, transport_of

if TYPE_CHECKING:
    from collections.abc import Collection

SAFE = "safe"
"""The profile of a fleet that may lose nothing, and may run a job again."""

VISIBILITY_TIMEOUT_S = 60
"""Time after which what a dead node held goes to others; the atomic transport renews what a live node holds."""


class Where(StrEnum):
    """Where a setting is made."""

    APP = "app"
    """In the settings of the Celery app, for nodes and senders."""

    BROKER = "broker"
    """On the Redis server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSetting:
    """
    A setting of a profile.

    Attributes:
        where: Where it is made.
        name: Its name there.
        value: Its value.
        because: What happens without it.
        drill: The drill that shows that.
    """

    where: Where
    name: str
    value: Any
    because: str
    drill: str


PROFILES: dict[str, tuple[ProfileSetting, ...]] = {
    SAFE: (
        ProfileSetting(
            where=Where.APP,
            name="task_acks_late",
            value=True,
            because="a node that dies takes the jobs with it that its slots were running",
            drill="node-kill",
        ),
        ProfileSetting(
            where=Where.APP,
            name="task_reject_on_worker_lost",
            value=True,
            because="a job whose process dies under it is acknowledged as failed, and does not run again",
            drill="child-kill",
        ),
        ProfileSetting(
            where=Where.APP,
            name=SETTING,
            value=PATH,
            because="a job that runs for longer than the visibility timeout is given to a second node as well",
            drill="long-job",
        ),
        ProfileSetting(
            where=Where.BROKER,
            name="appendonly",
            value="yes",
            because="a broker that dies takes all jobs with it that wait, and all that nodes hold",
            drill="broker-restart",
        ),
    )
}


def settings_of(profile: str, where: Where, without: Collection[str] = (), *, broker_url: str = "") -> dict[str, Any]:
    """
    Return the settings of a profile that are made in one place, by name.

    Args:
        profile: The profile.
        where: The place.
        without: Settings to leave out.
        broker_url: The broker that they are for; one behind Sentinel has another transport.
    """
    made = [each for each in PROFILES[profile] if each.where is where and each.name not in without]
    return {each.name: value_for(each, broker_url) for each in made}


def value_for(setting: ProfileSetting, broker_url: str) -> Any:
    """Return the value of a setting on a broker."""
    return path_for(broker_url) if setting.name == SETTING else setting.value


def transport_in(settings: dict[str, Any]) -> str:
    """Return the transport of an app with some settings."""
    return transport_of(settings.get(SETTING))
