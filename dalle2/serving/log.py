"""The log of a server: one line a record, whatever a client sent."""

import logging

LONGEST = 200  # characters of a client's text


def shown(text: str, most: int = LONGEST) -> str:
    """Return a client's text as a part of one line: what would begin a new one, or hide something, stands as a code."""
    plain = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text[: most + 1])
    return plain if len(text) <= most else f"{plain[:most]}…"


class Lines(logging.Formatter):
    """Begins one line with each record; what else it has, such as a trace, is set in, so that it passes for none."""

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).split("\n")
        return "\n    ".join(shown(line, len(line)) for line in (first, *rest))


def begin() -> None:
    """Write warnings, and who asks the API for what, to the standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("dalle2.api", "dalle2.reports", "dalle2.safety"):
        logging.getLogger(name).setLevel(logging.INFO)
