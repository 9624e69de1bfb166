"""Users and groups of the system, by name or number."""

from __future__ import annotations

import grp
import os
import pwd
import re

from tcpd.config.files import to_system

# 2**32 - 1 is -1, which means "unchanged" to chown(2) and setresuid(2).
_HIGHEST = 2**32 - 2


def user_id(text: str) -> int:
    """Return the id of a user.

    :param text: a name, or a number, which need not belong to a user.
    :raise ValueError: if there is no such user, with a sentence for the operator.
    """
    number = _number(text)
    if number is not None:
        return number
    try:
        return pwd.getpwnam(to_system(text)).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {text!r} on this system") from None


def group_id(text: str) -> int:
    """Return the id of a group; parameters and errors as for :func:`user_id`."""
    number = _number(text)
    if number is not None:
        return number
    try:
        return grp.getgrnam(to_system(text)).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {text!r} on this system") from None


def groups_of(uid: int, gid: int | None) -> tuple[int, list[int]]:
    """Return the groups of a user after login.

    :param uid: the user's id, which need not be in the user database.
    :param gid: the primary group; ``None`` for the one of the database.
    :return: the primary group, and all groups including it.
    :raise ValueError: if ``gid`` is ``None`` and the database does not have the user.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        if gid is None:
            raise ValueError(f"user {uid} is not in the user database; give a group") from None
        return gid, [gid]
    primary = entry.pw_gid if gid is None else gid
    return primary, sorted(set(os.getgrouplist(entry.pw_name, primary)))


def _number(text: str) -> int | None:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        return None
    if int(text) > _HIGHEST:
        raise ValueError(f"{text} is too large for the id of a user or a group")
    return int(text)
