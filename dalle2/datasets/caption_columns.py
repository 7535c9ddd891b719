"""What a caption column may hold. Training, prompt lists and folders of pictures all read it here, and alike."""

from collections.abc import Mapping


def captions_of(value: object, where: str) -> list[str]:
    """Return the captions in a cell of a caption column, each as `clean_caption` leaves it; at least one.

    A cell holds a text, a table that has its text or texts under "raw" (Karpathy's `sentences`), or a list of either.

    Args:
        where: file and line or row, to begin the sentence of a refusal with.

    Raises:
        ValueError: the cell holds anything else, nothing, or a text that is no caption.
    """
    match value:
        case {"raw": [*texts] | str(texts)}:
            said = [texts] if isinstance(texts, str) else texts
        case [*entries]:
            said = [entry.get("raw") if isinstance(entry, Mapping) else entry for entry in entries]
        case _:
            said = [value]
    if not said:
        raise ValueError(f"{where} has an empty list of captions: mend or remove it.")
    return [clean_caption(text, where) for text in said]


def clean_caption(text: object, where: str) -> str:
    """Return the caption with every run of blanks and line breaks as one space and without byte order marks.

    Raises:
        ValueError: it is no text, an empty one, or holds what no text has (NUL, or half of a character).
    """
    if not isinstance(text, str) or not text.replace("\ufeff", "").strip():
        raise ValueError(f"{where} has no caption, but {text!r}: mend or remove it.")
    if "\0" in text:
        raise ValueError(f"{where} has a NUL byte in its caption {text!r}: save the file as text in UTF-8.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{where} has half of a character (a lone surrogate) in its caption {text!r}: write it again.")
    return " ".join(text.replace("\ufeff", "").split())
