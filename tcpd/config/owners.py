"""Users and groups of the system, as an operator writes them: by name or by number."""

from __future__ import annotations

import grp
import os
import pwd
import re

from tcpd.config.files import to_system

#: One more is -1 as an unsigned number, which chown(2) and setresuid(2) take for "leave it".
_HIGHEST = 2**32 - 2


def user_id(text: str) -> int:
    """The number of a user.

    :param text: a name, or a number that need not have one.
    :raise ValueError: if there is no such user: a sentence for the operator.
    """
    number = _number(text)
    if number is not None:
        return number
    try:
        return pwd.getpwnam(to_system(text)).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {text!r} on this system") from None


def group_id(text: str) -> int:
    """The number of a group; parameters and errors as :func:`user_id` has them."""
    number = _number(text)
    if number is not None:
        return number
    try:
        return grp.getgrnam(to_system(text)).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {text!r} on this system") from None


def groups_of(uid: int, gid: int | None) -> tuple[int, list[int]]:
    """The groups that a user has after login.

    :param uid: of the user, who need not be in the system's database.
    :param gid: the primary group; ``None`` for the one that the database has.
    :return: the primary group and all groups, that one included.
    :raise ValueError: if no group is given and the database has none: a sentence.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        if gid is None:
            raise ValueError(f"user {uid} is not in the system's database; give a group") from None
        return gid, [gid]
    primary = entry.pw_gid if gid is None else gid
    return primary, sorted(set(os.getgrouplist(entry.pw_name, primary)))


def _number(text: str) -> int | None:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        return None
    if int(text) > _HIGHEST:
        raise ValueError(f"{text} is too great a number for a user or a group")
    return int(text)
