"""An image-to-text model of transformers (BLIP, GIT, ViT-GPT2 and the like), for pictures that no phrase list knows."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from dalle2.finiteness import check_finite
from dalle2.images import to_rgb
from dalle2.tasks.caption import ScoredCaption, check_num

LENGTH = 30  # new tokens of a caption


class Captioner:
    """Pictures -> captions; `source` is a folder, or an id on the hub. ValueError when it is no such model."""

    def __init__(self, source: str | Path, device: str | torch.device = "cpu") -> None:
        self.source = str(source)
        path = Path(source).expanduser()
        known = str(path) if path.is_dir() else self.source
        try:
            self._processor = AutoProcessor.from_pretrained(known, backend="pil")
            self._model = AutoModelForImageTextToText.from_pretrained(known).eval().to(device)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(
                f"{source} is not an image-to-text model, on this machine or on the Hugging Face hub: {reason}"
            ) from error
        if not hasattr(self._processor, "decode"):
            raise ValueError(
                f"{source} has no tokenizer beside its image processor: name a model that writes captions."
            )

    @torch.no_grad()
    def caption(self, pictures: Sequence[Image.Image], num: int = 5) -> list[list[ScoredCaption]]:
        """Return the `num` likeliest captions of each picture by beam search, the likeliest first.

        The score is the probability of a token, as a mean over the caption's.
        """
        check_num(num)
        return [self._beams(picture, num) for picture in pictures]

    def _beams(self, picture: Image.Image, num: int) -> list[ScoredCaption]:
        inputs = self._processor(images=to_rgb(picture), return_tensors="pt").to(self._model.device)
        drawn = self._model.generate(
            **inputs,
            num_beams=max(num, 2),
            num_return_sequences=num,
            max_new_tokens=LENGTH,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        captions = self._processor.batch_decode(drawn.sequences, skip_special_tokens=True)
        scores = check_finite(drawn.sequences_scores, "captioner").exp().tolist()
        found = [ScoredCaption(caption.strip(), score) for caption, score in zip(captions, scores, strict=True)]
        return sorted(found, key=lambda one: -one.score)
