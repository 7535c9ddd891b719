"""Pictures from a prompt, and from a picture: text to image, variations, reconstruction."""

from collections.abc import Sequence

from PIL import Image

from dalle2.settings import OnStep, Settings, check_prompt
from dalle2.understanding.answer import Understanding
from dalle2.understanding.answer import literal as as_it_is
from dalle2.understanding.sentences import NotUnderstood
from dalle2.verbs import Verbs, generators, name_of


def text_to_image(
    model: Verbs,
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    *,
    literal: bool = False,
) -> list[Image.Image]:
    """One picture for each prompt and its seed; each carries its record in `info["parameters"]`.

    A checkpoint with a vocabulary is asked what it understands of a prompt (see `Verbs.understand`), unless `literal`.

    Raises:
        NotUnderstood: a ValueError with what is nearest to a prompt that it does not know.
    """
    model.require("text_to_image")
    if isinstance(prompts, str) or len(prompts) != len(seeds):
        raise ValueError("text_to_image takes a list of prompts and as many seeds, one for each picture.")
    understand = as_it_is if literal else model.understand
    understood = {prompt: understand(check_prompt(prompt)) for prompt in dict.fromkeys(prompts)}
    return draw_understood(model, [understood[prompt] for prompt in prompts], seeds, settings, on_step)


def draw_understood(
    model: Verbs,
    understood: Sequence[Understanding],
    seeds: Sequence[int],
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """One picture of each and its seed; NotUnderstood for the first of which nothing is known."""
    for one in understood:
        if not one.known:
            raise NotUnderstood(one)
    asked, noise = [one.asked for one in understood], generators(seeds)
    embeddings = model.embed_prompt(asked, noise, settings, on_step)
    pictures = model.decode(embeddings, noise, asked, settings, on_step)
    details = [{"prompt": one.prompt} | ({} if one.literal else {"asked": one.asked}) for one in understood]
    return model.sign("text_to_image", pictures, seeds, settings, details)


def variations(
    model: Verbs,
    picture: Image.Image,
    seeds: Sequence[int],
    prompt: str | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    eta: float | None = None,
) -> list[Image.Image]:
    """Pictures with the content of `picture`, one for each seed (paper, section 3.1).

    With `eta` they start from the picture's own noise, and keep its composition: from 0, the picture as the
    decoder sees it, to 1, which adds as much fresh noise as ancestral sampling. Without it they are free.
    """
    model.require("variations")
    prompts = None if prompt is None else [check_prompt(prompt)] * len(seeds)
    noise, generator = None, generators(seeds)
    embedding = model.embed_image([picture])
    if eta is not None:
        settings = model.retracing(settings)
        varied = settings.changed({"decoder": {"eta": eta}})
        noise = model.invert([picture], embedding, prompts and prompts[:1], settings, on_step)
        settings = varied
    pictures = model.decode(embedding.expand(len(seeds), -1), generator, prompts, settings, on_step, noise)
    details = [{"prompt": prompt or "", "picture": name_of(picture), "inverted": noise is not None}] * len(seeds)
    return model.sign("variations", pictures, seeds, settings, details)


def reconstruct(
    model: Verbs,
    pictures: Sequence[Image.Image],
    seeds: Sequence[int],
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    refinements: int = 1,
) -> list[Image.Image]:
    """Each picture through its embedding and its noise and back (paper, section 3.1).

    The decoder's part of the round trip, at the decoder's own size, is what its last `Step` shows.
    """
    model.require("inversion")
    if len(pictures) != len(seeds):
        raise ValueError("reconstruct takes as many seeds as pictures, one for each.")
    settings, generator = model.retracing(settings), generators(seeds)
    embeddings = model.embed_image(pictures)
    noise = model.invert(pictures, embeddings, None, settings, on_step, refinements)
    drawn = model.decode(embeddings, generator, None, settings, on_step, noise)
    details = [{"picture": name_of(picture), "refinements": refinements} for picture in pictures]
    return model.sign("reconstruction", drawn, seeds, settings, details)
