"""Plain text from the HTML of a product description."""

import html
import re
from functools import lru_cache

# One pass over one pattern without nested repetition: linear in the text, however hostile.
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)\b[^<>]*>|<!--|-->|<![^<>]*>")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_HIDDEN = frozenset(("script", "style", "head", "template"))
_INLINE = frozenset(
    [
        *("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "em", "font", "i", "ins"),
        *("kbd", "label", "mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup"),
        *("time", "tt", "u", "var", "wbr"),
    ]
)


def to_text(value: str) -> str:
    """`value` without tags, comments, scripts and entities; block elements begin a line."""
    if "<" not in value and "&" not in value:
        return value
    return _convert(value) if len(value) <= 20_000 else _convert.__wrapped__(value)


@lru_cache(maxsize=256)  # the variants of a product share their description
def _convert(value: str) -> str:
    pieces: list[str] = []
    at, hidden = 0, ""
    for tag in _TAG.finditer(value):
        if not hidden:
            pieces.append(value[at : tag.start()].replace("\n", " "))
            if (tag[2] or "a").lower() not in _INLINE:
                pieces.append("\n")
        at = tag.end()
        hidden = _now_hidden(tag, hidden)
    if not hidden:
        pieces.append(value[at:].replace("\n", " "))
    text = html.unescape("".join(pieces)).replace("\xa0", " ")
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def _now_hidden(tag: re.Match[str], hidden: str) -> str:
    """The element or comment whose end is waited for, after this tag."""
    if tag[0] in ("<!--", "-->"):
        opens = tag[0] == "<!--"
        if opens:
            return hidden or "<!--"
        return "" if hidden == "<!--" else hidden
    name = (tag[2] or "").lower()
    if hidden:
        return "" if tag[1] and name == hidden else hidden
    return name if name in _HIDDEN and not tag[1] and not tag[0].endswith("/>") else ""
