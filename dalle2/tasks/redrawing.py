"""A picture drawn again from its record, where the record holds everything that it was drawn from."""

from collections.abc import Callable, Iterable, Mapping

from PIL import Image

from dalle2.settings import OnStep, Settings, check_prompt, check_seed
from dalle2.tasks.blending import interpolate, mix
from dalle2.tasks.drawing import draw_understood
from dalle2.tasks.enlarging import enlarge
from dalle2.understanding.answer import Understanding, literal
from dalle2.verbs import Verbs


def redraw(model: Verbs, record: Mapping[str, object], on_step: OnStep | None = None) -> Image.Image:
    """The picture of this record, alone; ValueError when it was drawn from other pictures."""
    return plan(record)(model, on_step)


def plan(record: Mapping[str, object]) -> Callable[[Verbs, OnStep | None], Image.Image]:
    """What draws the picture of this record, made before there is a model; ValueError says why there is nothing."""
    draw, side = _plan(record), record.get("size")
    if side is None:
        return draw
    return lambda model, on_step: enlarge(model, draw(model, on_step), side, on_step=on_step)


def _plan(record: Mapping[str, object]) -> Callable[[Verbs, OnStep | None], Image.Image]:
    """The same before the picture was enlarged."""
    settings, seed = Settings.from_dict(record["settings"]), check_seed(record["seed"])
    match record:
        case {"task": "text_to_image", "prompt": str(prompt)}:
            # What was asked then is asked again; without it the words were taken as they are.
            asked, said = record.get("asked"), check_prompt(prompt)
            understood = literal(said) if asked is None else Understanding(said, check_prompt(asked))
            return lambda model, on_step: draw_understood(model, [understood], [seed], settings, on_step)[0]
        case {"task": "mix", "parts": [*pairs]} if not _from_pictures(name for name, _ in pairs):
            parts = [(name, weight) for name, weight in pairs]
            return lambda model, on_step: mix(model, parts, [seed], settings, on_step)[0]
        case {"task": "interpolation", "ends": [*ends], "position": float(position)} if not _from_pictures(ends):
            loop = bool(record.get("loop"))
            return lambda model, on_step: interpolate(model, ends, [position], seed, settings, on_step, loop=loop)[0]
    raise ValueError(
        f"The picture is of the task {record.get('task')}, which started from other pictures or needs more than its "
        "record: only pictures drawn from prompts alone can be drawn again."
    )


def _from_pictures(names: Iterable[str]) -> bool:
    return any(name.startswith("sha256:") for name in names)
