"""Parameters of CHATHISTORY.

Source: https://ircv3.net/specs/extensions/chathistory
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tcpd.store.history import Reference, Selector, Which

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_LIMIT = re.compile(r"[1-9][0-9]{0,8}")

_SUBCOMMANDS = {which.name: which for which in Which}
_TARGETS = "TARGETS"


class BadHistoryRequest(ValueError):
    """A CHATHISTORY that cannot be parsed.

    :ivar code: the code of FAIL.
    :ivar about: the parameters of FAIL, as the client sent them.
    """

    def __init__(self, text: str, *about: str, code: str = "INVALID_PARAMS") -> None:
        super().__init__(text)
        self.code = code
        self.about = about


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for messages.

    :ivar target: as the client sent it.
    :ivar selector: selects them.
    """

    target: str
    selector: Selector


@dataclass(frozen=True, slots=True)
class TargetsRequest:
    """A request for the targets whose latest message is between two times, both excluded.

    :ivar first: in seconds since 1970 UTC; with more targets than the limit, the nearest to it
        count.
    :ivar second: in seconds since 1970 UTC; may be the earlier one.
    :ivar limit: maximum number of targets.
    """

    first: float
    second: float
    limit: int


def parse_chathistory(params: Sequence[str], most: int) -> PageRequest | TargetsRequest:
    """Parse the parameters of CHATHISTORY.

    :param params: at least the subcommand.
    :param most: maximum number of messages or targets; a request for more gets as many.
    :raise BadHistoryRequest: if they are not valid.
    """
    given = params[0]
    name = given.upper() if given.isascii() else given
    which = _SUBCOMMANDS.get(name)
    if which is None and name != _TARGETS:
        raise BadHistoryRequest("Unknown command", given)
    count = 5 if which is Which.BETWEEN else 4
    if len(params) < count:
        raise BadHistoryRequest("Insufficient parameters", given)
    if len(params) > count:
        raise BadHistoryRequest("Too many parameters", given)
    if _LIMIT.fullmatch(params[-1]) is None:
        raise BadHistoryRequest("Invalid limit", given, params[-1])
    limit = min(int(params[-1]), most)
    if which is None:
        first, second = (_time_of(given, param) for param in params[1:3])
        return TargetsRequest(first, second, limit)
    target = params[1]
    if which is Which.LATEST and params[2] == "*":
        return PageRequest(target, Selector.latest(limit))
    references = [_reference(given, target, param) for param in params[2:-1]]
    return PageRequest(target, Selector(which, limit, *references))


def _reference(given: str, target: str, param: str) -> Reference:
    kind, equals, value = param.partition("=")
    if kind == "msgid" and value:
        return value
    if kind == "timestamp":
        return _time_of(given, param)
    if not equals or not value:
        raise BadHistoryRequest("Invalid reference", given, param)
    raise BadHistoryRequest(
        "References are msgid= and timestamp=", given, target, code="INVALID_MSGREFTYPE"
    )


def _time_of(given: str, param: str) -> float:
    """Parse ``timestamp=YYYY-MM-DDThh:mm:ss.sssZ``."""
    kind, _, value = param.partition("=")
    if kind == "timestamp" and _TIMESTAMP.fullmatch(value) is not None:
        try:
            return (datetime.fromisoformat(value) - _EPOCH) / timedelta(seconds=1)
        except ValueError:
            pass  # such as February 30
    raise BadHistoryRequest("Invalid timestamp", given, param)
