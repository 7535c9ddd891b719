"""What one visitor may ask of a machine that others wait for, and the presets; the model itself allows more."""

import random
from collections.abc import Mapping

from dalle2.requests import Request
from dalle2.serving.refusal import Refusal
from dalle2.settings import MAX_SEED, QUALITIES, Settings, check_prompt, check_seed
from dalle2.stage_settings import GuidedSettings, PriorSettings
from dalle2.unclip_base import UnclipBase

MAX_PICTURES = 8
MAX_API_PICTURES = 10  # of one request to the API, as dall-e-2 had it
MAX_CONTENTS = 16  # pictures and prompts that one picture, or one way, is made of
MAX_FRAMES = 24
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
MAX_CANDIDATES = 4
MAX_TIMES = 10  # that each step is taken
MAX_UPLOAD_BYTES = 20_000_000
WAITING_VISITORS = 30

# Times the checkpoint's own numbers of steps; a draft of a task that cannot do with four is only a faster one.
DRAFT = "draft"
PRESETS = {DRAFT: 0.25, **QUALITIES}

# A preset's name, or what differs from the checkpoint's own settings, in the shape of a record.
Choice = str | Mapping[str, Mapping[str, object]]


def words(prompt: str | None, needed: bool = True) -> str:
    """Strip the prompt of blanks around it; Refusal when it cannot be drawn, or is empty although `needed`."""
    if not needed and not (isinstance(prompt, str) and prompt.strip()):
        return ""
    return check_prompt(prompt)  # ty: ignore[invalid-argument-type]  (it refuses what is no text)


def settings_of(chosen: Choice, model: UnclipBase, like: Request) -> Settings:
    """Return a checkpoint's settings as such a request needs them, with what was chosen; Refusal out of range."""
    own, adapted = model.settings, like.own_settings(model)
    if isinstance(chosen, str):
        if chosen not in PRESETS:
            raise Refusal(f"There are no settings {chosen!r}: choose one of {', '.join(PRESETS)}, or give a table.")
        if chosen == DRAFT and adapted == own:
            return own.for_draft()
        return adapted.with_steps(PRESETS[chosen], MAX_STEPS)
    table = dict(chosen) if isinstance(chosen, Mapping) else {"": chosen}
    changes = {name: stage for name, stage in table.items() if name != "negative_prompt"}
    if not all(isinstance(stage, Mapping) for stage in changes.values()):
        raise Refusal("The settings must be a table with a table for each stage, as in a picture's record.")
    values = adapted.to_dict()
    try:
        stages = {name: values.get(name, {}) | dict(stage) for name, stage in changes.items()}
        settings = like.settle(Settings.from_dict(values | table | stages))
    except Refusal as error:
        raise Refusal(f"These settings cannot be used: {error}") from error
    _check_bounds(settings)
    return settings


def seeds_of(first: int | None, count: int, most: int) -> tuple[int, ...]:
    """Return `count` seeds from the first on, or from a random one; Refusal unless 1..most, all in range."""
    check_count(count, most)
    if first is None:
        first = random.randint(0, MAX_SEED - count + 1)
    if check_seed(first) > MAX_SEED - count + 1:
        raise Refusal(f"Seeds count up from picture to picture: for {count}, start at {MAX_SEED - count + 1} at most.")
    return tuple(range(first, first + count))


def check_count(count: int, most: int) -> int:
    """Return the count; Refusal unless it is a whole number from 1 to `most`."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise Refusal(f"Ask for 1 to {most} pictures, not {count!r}.")
    return count


def _check_bounds(settings: Settings) -> None:
    for name, stage in settings.stages.items():
        if stage.num_inference_steps > MAX_STEPS:
            raise Refusal(f"The {name} takes at most {MAX_STEPS} steps here, not {stage.num_inference_steps}.")
        if isinstance(stage, GuidedSettings) and stage.guidance_scale > MAX_GUIDANCE:
            raise Refusal(f"The {name} takes at most a guidance of {MAX_GUIDANCE:g} here, not {stage.guidance_scale}.")
        if stage.times > MAX_TIMES:
            raise Refusal(f"The {name} takes each step at most {MAX_TIMES} times here, not {stage.times}.")
        if isinstance(stage, PriorSettings) and stage.candidates > MAX_CANDIDATES:
            raise Refusal(f"The {name} draws at most {MAX_CANDIDATES} candidates here, not {stage.candidates}.")
