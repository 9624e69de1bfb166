"""Numerics against the tables of Twisted and of the specifications."""

from __future__ import annotations

import re

from twisted.words.protocols.irc import symbolic_to_numeric

from tcpd.chat.irc import numerics
from tcpd.chat.irc.message import write

NAMED = {name: value for name, value in vars(numerics).items() if name[:4] in ("RPL_", "ERR_")}

#: Superseded numbers of RFC 2812, which Twisted has. Modern IRC: "This numeric is sometimes
#: erroneously called RPL_INVITELIST, as this was the name used in RFC2812."
OVERTAKEN = {"RPL_INVITELIST", "RPL_ENDOFINVITELIST"}

#: Numerics that are later than RFC 2812, by source.
LATER = {
    "Modern IRC, Numerics": {
        "RPL_LOCALUSERS": 265,
        "RPL_GLOBALUSERS": 266,
        "RPL_WHOISCERTFP": 276,
        "RPL_WHOISREGNICK": 307,
        "RPL_WHOISSPECIAL": 320,
        "RPL_CREATIONTIME": 329,
        "RPL_WHOISACCOUNT": 330,
        "RPL_TOPICWHOTIME": 333,
        "RPL_INVITELIST": 336,
        "RPL_ENDOFINVITELIST": 337,
        "RPL_WHOISACTUALLY": 338,
        "RPL_INVEXLIST": 346,
        "RPL_ENDOFINVEXLIST": 347,
        "RPL_WHOISHOST": 378,
        "RPL_WHOISMODES": 379,
        "ERR_UNKNOWNERROR": 400,
        "ERR_INPUTTOOLONG": 417,
        "ERR_ALREADYREGISTERED": 462,
        "ERR_INVALIDUSERNAME": 468,
        "ERR_HELPNOTFOUND": 524,
        "ERR_INVALIDKEY": 525,
        "RPL_WHOISSECURE": 671,
        "ERR_INVALIDMODEPARAM": 696,
        "RPL_HELPSTART": 704,
        "RPL_HELPTXT": 705,
        "RPL_ENDOFHELP": 706,
        "ERR_NOPRIVS": 723,
    },
    "IRCv3, Bot Mode: 'The RPL_WHOISBOT (335) numeric'": {"RPL_WHOISBOT": 335},
    "IRCv3, WHOX: 'RPL_WHOSPCRPL (354) numeric reply'": {"RPL_WHOSPCRPL": 354},
    "IRCv3, Capability Negotiation: 'numeric 410 (ERR_INVALIDCAPCMD)'": {"ERR_INVALIDCAPCMD": 410},
    "IRCv3, Monitor, Numeric replies": {
        "RPL_MONONLINE": 730,
        "RPL_MONOFFLINE": 731,
        "RPL_MONLIST": 732,
        "RPL_ENDOFMONLIST": 733,
        "ERR_MONLISTFULL": 734,
    },
}


def test_numerics_of_the_rfcs_agree_with_twisted() -> None:
    old = {name: symbolic_to_numeric[name] for name in NAMED if name in symbolic_to_numeric}
    assert len(old) > 90
    assert {name for name in old if old[name] != NAMED[name]} == OVERTAKEN


def test_later_numerics_agree_with_their_specifications() -> None:
    later = {name: f"{number:03}" for names in LATER.values() for name, number in names.items()}
    new = {name for name in NAMED if name not in symbolic_to_numeric}
    assert set(later) == new | OVERTAKEN
    assert {name: NAMED[name] for name in later} == later


def test_numbers_are_unique_and_have_three_digits() -> None:
    """'<3digit>'"""
    assert len(set(NAMED.values())) == len(NAMED)
    assert all(re.fullmatch("[0-9]{3}", number) for number in NAMED.values())


def test_texts_belong_to_numerics_and_fit_a_line() -> None:
    assert set(numerics.TEXT) <= set(NAMED.values())
    for number, text in numerics.TEXT.items():
        assert write(number, "ann", text).endswith(f"{text}\r\n".encode())
