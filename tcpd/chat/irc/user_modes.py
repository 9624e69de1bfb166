"""User modes."""

from __future__ import annotations

from tcpd.chat.people import Person

#: Letters of user modes: bot, invisible, server operator, receives WALLOPS.
USER_MODES = "Biow"


def user_modes(person: Person) -> str:
    """Return the modes of a person as letters of :data:`USER_MODES`."""
    is_set = {
        "B": person.bot,
        "i": person.invisible,
        "o": person.server_operator,
        "w": person.announcements,
    }
    return "".join(letter for letter in USER_MODES if is_set[letter])
