"""What the endpoints' arguments and answers mean, for callers of the API, MCP and a Space's agents.md.

They read an endpoint's docstring, each alone; what is the same for all is written once, here.
"""

import inspect
from collections.abc import Callable
from typing import TypeVar

from dalle2.serving.limits import MAX_FRAMES, MAX_PICTURES, PRESETS
from dalle2.serving.reports import MOST_NOTE_CHARACTERS, REASONS
from dalle2.settings import MAX_PROMPT_CHARACTERS, MAX_SEED

Endpoint = TypeVar("Endpoint", bound=Callable)

ARGUMENTS = {
    "prompt": f"what the pictures should show, at most {MAX_PROMPT_CHARACTERS} characters, in English or Chinese",
    "picture": "the picture to start from, a PNG, JPEG, WebP, GIF or BMP file",
    "mask": "a picture of the same size, white where it is repainted and black where it is kept",
    "seed": f"the first picture's seed, 0 to {MAX_SEED}; the next ones count up. Same seed, same picture",
    "random_seed": "true takes another seed each time and ignores `seed`; the answer says which",
    "count": f"how many pictures, 1 to {MAX_PICTURES}",
    "frames": f"how many frames, 2 to {MAX_FRAMES}",
    "settings": f"one of {', '.join(PRESETS)}, or a table of what differs from the default, such as "
    '{"decoder": {"num_inference_steps": 10, "guidance_scale": 4}, "negative_prompt": "red"}',
    "literal": "true uses the prompt exactly as written; otherwise the checkpoint looks for what it knows of it",
    "weights": "the checkpoint_hash of a record to redraw, or its beginning: the answer says so if the weights differ",
    "checkpoint": "the model's name; leave it out for the default",
    "keep_composition": "true starts from the picture's own noise, and keeps its composition as far as `eta` says",
    "eta": "0 to 1, with keep_composition: 0 is the same picture, 1 keeps only its rough composition",
    "share": "how much of the new picture's side the old one covers, above 0 and below 1",
    "across": "where it stands, 0 at the left to 1 at the right",
    "down": "where it stands, 0 at the top to 1 at the bottom",
    "blend": "true lets the picture blend with what is painted around it; false keeps every pixel of its square",
    "size": "pixels a side of the result",
    "pictures": "pictures that were drawn here, as another endpoint answered with them",
    "form": "the kind of file",
    "reason": f"what is wrong with it, one of {', '.join(REASONS)}",
    "note": f"what is wrong with it in words, at most {MOST_NOTE_CHARACTERS} characters, or nothing",
    "with_record": "true lets the record, with its prompt, be kept with the report",
    "new": "what the picture should become",
    "old": "what it is; empty for nothing said",
    "strongest": "how far the last picture is moved, 0 to 1",
    "way": '"prior" or "slerp"',
    "question": '"tour", "steps", "attention" or "dimensions"',
    "num": "how many captions",
    "first_picture": "a picture, or nothing",
    "second_picture": "a picture, or nothing",
    "first_weight": "how much the first picture counts; negative takes its content away",
    "second_weight": "how much the second picture counts; negative takes its content away",
    "recording": "a sound file with the spoken prompt, at most a minute of nearly any format",
    "prompt_weight": "how much the prompt counts; negative takes its content away",
    **{
        f"picture_{letter}": f"end {letter.upper()} of the way, a picture; it counts before the prompt"
        for letter in "abcd"
    },
    **{f"prompt_{letter}": f"end {letter.upper()} of the way, a prompt" for letter in "abcd"},
    "other_settings": "as settings, of the second contestant",
    "other_checkpoint": "as checkpoint, of the second contestant",
    "photorealism": '"a", "b", "tie" or nothing',
    "caption_match": '"a", "b", "tie" or nothing',
    "diversity": '"a", "b", "tie" or nothing',
    "keep_prompt": "true lets the prompt be stored with the vote",
}


def described(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its arguments explained in its docstring, in the form that Gradio reads."""
    named = [name for name in inspect.signature(endpoint).parameters if name in ARGUMENTS]
    if named:
        explained = "\n".join(f"    {name}: {ARGUMENTS[name]}" for name in named)
        endpoint.__doc__ = f"{inspect.getdoc(endpoint)}\n\nArgs:\n{explained}\n"
    return endpoint
