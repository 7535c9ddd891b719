"""ECLIPSE priors: one forward pass in the place of the diffusion prior, for Kandinsky and for Karlo."""

import json
from pathlib import Path

import pytest
import tiny
import tiny_kandinsky
import torch
from diffusers import PriorTransformer
from tiny_eclipse import SIZES, eclipse, twin

from dalle2 import images
from dalle2.families import load
from dalle2.families.kandinsky.load import save
from dalle2.model import UnclipModel
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import Settings


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The prior, and Kandinsky's decoder beside Kandinsky's own prior."""
    folder = tmp_path_factory.mktemp("eclipse")
    _, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(), folder)
    return twin(eclipse(), folder / "ECLIPSE_KandinskyV22_Prior"), decoder


@pytest.fixture(scope="module")
def kandinsky(published: tuple[Path, Path]) -> UnclipModel:
    model = load("+".join(map(str, published)))
    model.settings = model.settings.changed({"decoder": {"num_inference_steps": 3}})
    return model


@torch.no_grad()
def test_it_is_the_diffusion_priors_transformer_that_sees_no_time() -> None:
    """diffusers' own network, whose mask hides the token of the time step from all others."""
    prior = eclipse()
    stock = PriorTransformer(**SIZES, num_embeddings=tiny.CONTEXT).eval()
    places, time = prior.positional_embedding, tiny.CONTEXT + 1
    positions = torch.cat([places[:, :time], torch.randn(1, 1, places.shape[-1]), places[:, time:]], dim=1)
    left = stock.load_state_dict({**prior.state_dict(), "positional_embedding": positions}, strict=False)
    assert not left.unexpected_keys and all(name.startswith("time_embedding") for name in left.missing_keys)
    stock.causal_attention_mask[:, :, time] = -1e9
    stock.causal_attention_mask[:, time, time] = 0
    mask = torch.arange(tiny.CONTEXT) < torch.tensor([[5], [tiny.CONTEXT]])
    text = EncodedText(torch.randn(2, 32), torch.randn(2, tiny.CONTEXT, 32), mask)
    noise = torch.randn(2, 32)
    theirs = stock(noise, 999, text.embeddings, text.tokens, text.mask).predicted_image_embedding
    ours = prior(text, noise)
    assert ours.std() > 0.1 and torch.allclose(ours, theirs, atol=1e-5)
    blank = text._replace(tokens=text.tokens * text.mask[..., None])
    assert torch.allclose(prior(blank, noise), ours, atol=1e-5)  # padding is not looked at


@torch.no_grad()
def test_it_draws_for_kandinsky(kandinsky: UnclipModel, published: tuple[Path, Path]) -> None:
    assert kandinsky.priors == ("eclipse",) and kandinsky.settings.prior.kind == "eclipse"
    assert kandinsky.checkpoint == "+".join(map(str, published))
    text = kandinsky.prompts.read(["a cat"])
    noise = torch.randn(1, 32, generator=torch.Generator().manual_seed(3))
    expected = eclipse()(text, noise)  # as it is: the authors' pipelines undo no normalisation
    assert torch.allclose(kandinsky.embed_prompt(["a cat"], [3]), expected, atol=1e-5)
    many = kandinsky.embed_prompt(["a cat", "a dog"] * 4, range(8))
    assert (kandinsky.embed_prompt(["a cat"], [2]) - many[2]).abs().max() <= 1e-4
    (picture,) = kandinsky.text_to_image(["a cat"], seeds=[1])
    assert kandinsky.redraw(images.read_record(picture)).tobytes() == picture.tobytes()
    with pytest.raises(ValueError, match="has no diffusion prior: it has eclipse"):
        asked = kandinsky.settings.changed({"prior": {"kind": "diffusion"}})
        kandinsky.text_to_image(["a cat"], seeds=[1], settings=asked)


def test_it_is_saved_with_the_checkpoint(kandinsky: UnclipModel, tmp_path: Path) -> None:
    again = load(save(kandinsky, tmp_path / "saved"))
    assert again.priors == ("eclipse",) and again.settings == kandinsky.settings
    assert torch.allclose(again.embed_prompt(["a cat"], [1]), kandinsky.embed_prompt(["a cat"], [1]), atol=1e-5)


def test_it_draws_for_karlo(karlo_text: Path, quick: Settings, tmp_path: Path) -> None:
    prior = twin(eclipse(), tmp_path / "ECLIPSE_Karlo_Prior")
    model = load(f"{prior}+{karlo_text}")
    assert model.priors == ("diffusion", "eclipse") and model.settings.prior.kind == "eclipse"
    once = quick.changed({"prior": {"kind": "eclipse"}}).prior
    assert not once.guided and once.evaluations == 1
    drawn = {
        kind: model.embed_prompt(["a cat"], [1], quick.changed({"prior": {"kind": kind}})) for kind in model.priors
    }
    assert (drawn["diffusion"] - drawn["eclipse"]).abs().max() > 0.01
    assert load(karlo_text).checkpoint_hash != model.checkpoint_hash


def test_what_is_none_of_them_is_told(published: tuple[Path, Path], karlo_text: Path, tmp_path: Path) -> None:
    small = twin(eclipse(embedding_dim=16), tmp_path / "small")
    for decoder in (published[1], karlo_text):
        with pytest.raises(
            ValueError, match=r"small is not for this decoder: it makes embeddings of the size 16 .* 32"
        ):
            load(f"{small}+{decoder}")
    stock = twin(PriorTransformer(**SIZES, num_embeddings=tiny.CONTEXT), tmp_path / "stock")
    with pytest.raises(ValueError, match="stock is the network of a diffusion prior alone"):
        load(f"{stock}+{karlo_text}")
    config = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps({**config, "norm_in_type": "layer"}))
    with pytest.raises(ValueError, match="it is another network than the priors that ECLIPSE published"):
        load(f"{small}+{karlo_text}")
    other = twin(eclipse(), tmp_path / "other")
    (other / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(ValueError, match=r"is not a prior: its config\.json is that of a UNet2DModel"):
        load(f"{other}+{published[1]}")
