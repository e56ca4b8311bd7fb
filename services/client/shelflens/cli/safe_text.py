"""Outside text for a terminal: whatever could move the cursor or hide something is spelled out."""


def safe_text(value: str | bytes, *, lines: bool = False) -> str:
    """`value` with everything but printable characters as escapes; `lines` keeps line ends."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return "".join(
        each if each.isprintable() or (lines and each == "\n") else _escape(each) for each in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
