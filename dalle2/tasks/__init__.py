"""Every task, written once for all families as a `Request` made of a few operations of `UnclipBase`: one file a task.

A task has one name in every room: `tasks/mix.py`, the model's method `mix`, the capability "mix", the command
`python -m dalle2 mix` in `cli/mix.py`, the tab `demo/tabs/mix.py` with the endpoint `/mix`, and "mix" in a record.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.requests import Request, name_of
from dalle2.tasks.attention import Attention
from dalle2.tasks.dimensions import Dimensions
from dalle2.tasks.enhance import Enhance
from dalle2.tasks.inpaint import Inpaint
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.mix import Mix
from dalle2.tasks.outpaint import Outpaint
from dalle2.tasks.reconstruct import Reconstruct
from dalle2.tasks.steps import Steps
from dalle2.tasks.text_diff import TextDiff
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.tour import Tour
from dalle2.tasks.variations import Variations

TASKS: tuple[type[Request], ...] = (
    TextToImage,
    Variations,
    Reconstruct,
    Interpolate,
    Mix,
    TextDiff,
    Inpaint,
    Outpaint,
    Enhance,
    Dimensions,
    Steps,
    Attention,
    Tour,
)


def request_of(record: Mapping[str, Any], pictures: Sequence[Image.Image] = ()) -> Request:
    """Return the request behind a picture's record; `pictures` are those that it started from, if it did.

    It asks what was asked then, and takes the words literally where the record says nothing of that.

    ValueError where the record says too little, or the pictures are not all here.
    """
    # A strip has the record of its first picture; those of before December 2026 do not say that they are strips.
    if "strip" in record:
        raise Refusal("The picture is a strip of several, and its record is that of the first: ask for a strip again.")
    known = {name_of(picture): picture for picture in pictures}
    asked = record.get("task")
    try:
        for task in TASKS:
            if asked in (task.name, task.former_name):
                return task.from_record(record, known).as_recorded(record)
    except (KeyError, TypeError, AttributeError):
        pass
    raise Refusal(
        f"The picture is of the task {asked}, which started from other pictures or needs more than its "
        "record: only pictures drawn from prompts alone can be drawn again."
    )
