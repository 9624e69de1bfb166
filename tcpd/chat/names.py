"""The rules for nicknames and room names, and when two names are the same.

The rules are the same in all frontends. Names lie within what IRC can carry (Modern IRC Client
Protocol, "Clients" and "Channels": https://modern.ircdocs.horse/), so that IRC can address all,
and within what people can distinguish on a screen (Unicode Technical Standard #39: the recommended
scripts, its "highly restrictive" level of mixing them, and its rules for marks and digits).

Two names may still look alike: whole words of Cyrillic or Greek letters that resemble Latin ones
are names of their own.
"""

from __future__ import annotations

import unicodedata

NICK_CHARACTERS = 30
NICK_BYTES = 64
ROOM_CHARACTERS = 50
ROOM_BYTES = 100

_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NICK_ASCII = _ALPHANUMERIC | frozenset("[]\\`_^{|}-")
_ROOM_ASCII = _NICK_ASCII | frozenset(".+&/#")

#: Maximum number of marks on a letter. UTS #39 section 5.4 allows 4; vocalised Hebrew needs 3.
_MARKS = 3

# The standard library has no Script property, so the script is taken from the first word of a
# character's name, if that word is a script of UAX #31 table 5, the scripts in wide daily use.
# Historic scripts are excluded: their letters often look like Latin ones.
# fmt: off
_SCRIPTS = frozenset((
    "LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "THAANA", "DEVANAGARI",
    "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM",
    "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "GEORGIAN", "ETHIOPIC", "KHMER", "HANGUL",
    "HIRAGANA", "KATAKANA", "BOPOMOFO", "CJK",
))
# fmt: on
_NAMED_OTHERWISE = {
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",  # EXTENDED ARABIC-INDIC DIGIT
    "KATAKANA-HIRAGANA": "CJK",  # the prolonged sound mark
    "IDEOGRAPHIC": "CJK",  # the iteration mark
}

# UTS #39 section 5.2, "highly restrictive": one script, or one of these sets.
_TOGETHER = (
    frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA")),
    frozenset(("LATIN", "CJK", "BOPOMOFO")),
    frozenset(("LATIN", "CJK", "HANGUL")),
)

# The ranges of a script that languages use. Others contain phonetic notation, whose letters look
# like plain ones (U+0251 like a), or invisible parts (the Hangul fillers among the jamo).
_RANGES = {
    "LATIN": ((0x41, 0x24F), (0x1E00, 0x1EFF)),
    "CYRILLIC": ((0x400, 0x52F),),
    "HANGUL": ((0xAC00, 0xD7A3),),
}
#: Letters of West African and Turkic alphabets in the range of the phonetic ones.
_MORE_LATIN = frozenset("ɓɔɖɗəɛɣɨɩɲʃʉʊʋʒ")
#: The modifier letter apostrophe: of no script, but a letter of Ukrainian and many others. The
#: other modifier letters (Lm), small copies of letters and signs, are not allowed.
_COMMON_LETTERS = frozenset("\u02bc")
_KEPT_OUT = frozenset(
    "\u01c0\u01c1\u01c2\u01c3"  # clicks: they look like | and !
    "\u0640"  # Arabic tatweel: only stretches a word
    "\u0334\u0335\u0336\u0337\u0338"  # strokes, which turn a letter into another
    "\u034f\u17b4\u17b5"  # invisible marks
)


class BadName(ValueError):
    """A name breaks a rule. Its text is a sentence for the user, without a full stop."""


def fold(name: str) -> str:
    """The folded form of a name: names with the same folded form are the same name.

    Unicode's compatibility caseless matching (The Unicode Standard, section 3.13, D146), composed
    at the end. It is idempotent. All frontends, nodes and stores use it.

    :param name: any text.
    """
    if name.isascii():
        return name.lower()
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def nickname(text: str) -> str:
    """Validate and normalize a nickname.

    :param text: as typed.
    :return: the same in Normalization Form C.
    :raise BadName: if the rules forbid it.
    """
    if not text:
        raise BadName("a nickname has at least one character")
    name = unicodedata.normalize("NFC", text)
    _check_size(name, "nickname", NICK_CHARACTERS, NICK_BYTES)
    _check_characters(name, "nickname", _NICK_ASCII)
    if name[0] == "-" or unicodedata.category(name[0]) == "Nd":
        raise BadName("a nickname cannot begin with a digit or a '-'")
    _check_scripts(name, "nickname")
    return name


def room_name(text: str) -> str:
    """Validate and normalize the name of a room.

    :param text: as typed, the ``#`` included.
    :return: the same in Normalization Form C.
    :raise BadName: if the rules forbid it.
    """
    if not text.startswith("#"):
        raise BadName("the name of a room begins with '#', like #tea")
    if len(text) == 1:
        raise BadName("the name of a room has something behind its '#'")
    name = unicodedata.normalize("NFC", text)
    _check_size(name, "room name", ROOM_CHARACTERS, ROOM_BYTES)
    _check_characters(name, "room name", _ROOM_ASCII)
    _check_scripts(name, "room name")
    return name


def _check_size(name: str, what: str, characters: int, size: int) -> None:
    if len(name) > characters:
        raise BadName(f"a {what} has at most {characters} characters")
    if len(name.encode(errors="surrogatepass")) > size:
        raise BadName(
            f"a {what} has at most {size} bytes, and this one's letters take several each"
        )


def _check_characters(name: str, what: str, ascii_allowed: frozenset[str]) -> None:
    for character in name:
        if character.isascii():
            if character in ascii_allowed:
                continue
            if character == " ":
                raise BadName(f"a {what} has no spaces")
            if character.isprintable():
                raise BadName(f"a {what} cannot have '{character}' in it")
            raise BadName(f"a {what} has no control characters")
        if _script(character) is None:
            if character.isprintable():
                raise BadName(f"a {what} cannot have '{character}' in it")
            raise BadName(f"a {what} has no invisible characters")


def _script(character: str) -> str | None:
    """The script of a character: ``""`` if it goes with all, ``None`` if it is not let in."""
    if character.isascii():
        return "LATIN" if character.isalpha() else ""
    category = unicodedata.category(character)
    if category[0] != "L" and category not in ("Mn", "Mc", "Nd"):
        return None
    if character in _KEPT_OUT or unicodedata.normalize("NFKC", character) != character:
        return None
    if character in _COMMON_LETTERS:
        return ""
    first = unicodedata.name(character, "").partition(" ")[0]
    if first == "COMBINING" and category == "Mn":
        return ""  # a mark has the script of its letter
    script = _NAMED_OTHERWISE.get(first, first)
    if script not in _SCRIPTS:
        return None
    ranges = _RANGES.get(script)
    if ranges is None or character in _MORE_LATIN:
        return script
    return script if any(low <= ord(character) <= high for low, high in ranges) else None


def _check_scripts(name: str, what: str) -> None:
    marks = 0
    before = ""
    zeros = set()
    scripts = set()
    for character in name:
        if unicodedata.category(character)[0] == "M":
            marks += 1
            if not before or unicodedata.category(before)[0] not in "LM":
                raise BadName(f"an accent in a {what} needs a letter to stand on")
            if marks > _MARKS or character == before:
                raise BadName(f"there are too many accents on one letter of this {what}")
        else:
            marks = 0
        if unicodedata.category(character) == "Nd":
            zeros.add(ord(character) - unicodedata.decimal(character))
        scripts.add(_script(character) or "")
        before = character
    scripts.discard("")
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise BadName(f"a {what} cannot mix letters of different scripts")
    if len(zeros) > 1:
        raise BadName(f"a {what} cannot mix digits of different scripts")
