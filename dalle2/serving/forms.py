"""The forms in which pictures can be taken away: of one picture, of several, of a film's frames."""

from collections.abc import Sequence

from PIL import Image

from dalle2 import formats, images
from dalle2.model import UnclipModel
from dalle2.serving.refusal import Refusal
from dalle2.tasks.enhance import check_side

FORMS = ("png", "512", "1024", "transparent", "svg", "zip", "sheet", "strip", "gif", "mp4")


def in_form(named: Sequence[tuple[str, Image.Image]], form: str) -> tuple[str, bytes]:
    """(name, picture) pairs -> a file's name and content; `form` is one of FORMS, those of one picture take the first.

    Refusal for a form that there is not, or that does not suit the picture. Films are made by `dalle2.film`.
    """
    name, first = named[0]
    pictures = [picture for _, picture in named]
    match form:
        case "png" | "512" | "1024":
            return f"{name}-{first.width}.png", formats.encode(first)
        case "transparent":
            return f"{name}-transparent.png", formats.encode(formats.transparent(first))
        case "svg":
            return f"{name}.svg", formats.to_svg(first).encode()
        case "zip":
            return "pictures.zip", formats.to_zip(named)
        case "sheet":
            return "contact-sheet.png", formats.encode(formats.contact_sheet(pictures))
        case "strip":
            return f"{name}-strip.png", formats.encode(images.strip(pictures))
    raise Refusal(f"There is no format {form}: choose one of {', '.join(FORMS)}.")


def check_enlarging(model: UnclipModel, picture: Image.Image, side: int) -> None:
    """Raise a Refusal unless the checkpoint can make the picture larger, to `side` pixels."""
    check_side(side, min(picture.size), model.picture_size)
