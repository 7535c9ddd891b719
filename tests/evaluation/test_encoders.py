"""Vision encoders of transformers as feature networks: tiny checkpoints in the published layouts, by hand as well."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image

from evaluation.networks.hf import VisionEncoder
from evaluation.networks.network import open_network, space_of

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 28}
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SQUARE = {"height": 28, "width": 28}
SHORT = {"size": {"shortest_edge": 32}, "crop_size": SQUARE, "resample": 3, "do_center_crop": True}
PROCESSORS: dict[str, dict[str, Any]] = {  # as published, but smaller
    "dinov2": {"image_processor_type": "BitImageProcessor", **SHORT, "do_convert_rgb": True},
    "dinov3_vit": {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": SQUARE, "resample": 2},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "resample": 2},
    "vit_mae": {"feature_extractor_type": "ViTFeatureExtractor", "size": 28, "resample": 2},
    "convnextv2": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 28}, "resample": 3},
    "clip": {"image_processor_type": "CLIPImageProcessor", **SHORT},
    "vit": {"image_processor_type": "ViTImageProcessor", "size": SQUARE, "resample": 2},
}


def made(kind: str) -> transformers.PreTrainedModel:
    """A random model of the class that the published checkpoints are of."""
    torch.manual_seed(0)
    text = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 24, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    patches = {"patch_size": 7}
    t = transformers
    makers: dict[str, Callable[[], Any]] = {
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**SMALL, **patches)),
        "dinov3_vit": lambda: t.DINOv3ViTModel(t.DINOv3ViTConfig(**SMALL, **patches, num_register_tokens=2)),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(text_config=text, vision_config={**SMALL, **patches})),
        "vit_mae": lambda: t.ViTMAEForPreTraining(
            t.ViTMAEConfig(
                **SMALL, **patches, decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=2
            )
        ),
        "convnextv2": lambda: t.ConvNextV2ForImageClassification(
            t.ConvNextV2Config(hidden_sizes=[4, 8, 8, 12], depths=[1, 1, 1, 1], patch_size=2, num_labels=3)
        ),
        "clip": lambda: t.CLIPModel(
            t.CLIPConfig(text_config=text, vision_config={**SMALL, **patches, "projection_dim": 10}, projection_dim=10)
        ),
        "vit": lambda: t.ViTForImageClassification(t.ViTConfig(**SMALL, **patches, num_labels=3)),
    }
    return makers[kind]().eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for kind, processor in PROCESSORS.items():
        folder = tmp_path_factory.mktemp("encoders") / kind
        made(kind).save_pretrained(folder)
        common = {"image_mean": MEAN, "image_std": DEVIATION, "do_resize": True, "do_normalize": True}
        common |= {"do_rescale": True, "rescale_factor": 1 / 255}
        (folder / "preprocessor_config.json").write_text(json.dumps(common | processor))
        found[kind] = folder
    return found


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((60, 45), Image.Resampling.BICUBIC)


def normalized(picture: Image.Image) -> torch.Tensor:
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    return (levels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def by_hand(kind: str, picture: Image.Image) -> torch.Tensor:
    """The published preparation, written out."""
    if kind == "dinov3_vit":  # torchvision's resize of floats
        levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        small = F.interpolate(levels, (28, 28), mode="bilinear", antialias=True)[0]
        return (small - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    if kind not in ("dinov2", "clip", "convnextv2"):
        return normalized(picture.resize((28, 28), Image.Resampling.BILINEAR))
    # ConvNeXt's short side is its size over 224 / 256; the others say it
    small = picture.resize((int(32 * 60 / 45), 32), Image.Resampling.BICUBIC)
    left, top = (small.width - 28) // 2, (small.height - 28) // 2
    return normalized(small.crop((left, top, left + 28, top + 28)))


@torch.inference_mode()
def features_by_hand(kind: str, pixels: torch.Tensor) -> torch.Tensor:
    """What the encoder is published to be used by, from its own parts."""
    model: Any = made(kind)
    if kind == "vit_mae":
        vit = model.vit
        embeddings = vit.embeddings
        patches = embeddings.patch_embeddings(pixels) + embeddings.position_embeddings[:, 1:]
        token = (embeddings.cls_token + embeddings.position_embeddings[:, :1]).expand(len(pixels), -1, -1)
        hidden = torch.cat([token, patches], 1)
        for layer in vit.layers if hasattr(vit, "layers") else vit.encoder.layer:
            hidden = layer(hidden)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return vit.layernorm(hidden)[:, 0]
    if kind == "clip":
        return model.visual_projection(model.vision_model(pixels).pooler_output)
    if kind == "siglip":
        return model.vision_model.head(model.vision_model(pixels).last_hidden_state)
    if kind == "convnextv2":
        hidden = model.convnextv2(pixels).last_hidden_state
        return model.convnextv2.layernorm(hidden.mean((2, 3)))
    if kind == "vit":  # a classifier has no pooler: its class token is what is used
        return model.vit(pixels).last_hidden_state[:, 0]
    return model(pixels).last_hidden_state[:, 0]


@pytest.mark.parametrize("kind", PROCESSORS)
def test_features_are_those_of_a_forward_by_hand(kind: str, folders: dict[str, Path], picture: Image.Image) -> None:
    network = VisionEncoder(str(folders[kind]))
    prepared = network.preprocess(picture)
    expected = by_hand(kind, picture)
    assert prepared.shape == expected.shape
    assert (prepared - expected).abs().max() < 2e-5
    batch = torch.stack([prepared, prepared.flip(2)])
    features = network(batch)
    assert features.shape == (2, network.dim)
    assert np.allclose(features, features_by_hand(kind, batch).numpy(), atol=1e-5)
    assert np.array_equal(network(batch), features), "a masked autoencoder must not draw lots"


def test_two_preparations_and_two_layers_do_not_mix(folders: dict[str, Path], picture: Image.Image) -> None:
    published, square = (open_network(f"hf:{folders['dinov2']}", resize) for resize in ("published", "square"))
    assert published.sha256 == square.sha256 and "shortest edge 32 bicubic centre 28×28" in published.resize
    with pytest.raises(ValueError, match="taken with resize square"):
        space_of(published).require(space_of(square), "These")
    whole = normalized(picture.resize((28, 28), Image.Resampling.BICUBIC))
    assert (square.preprocess(picture) - whole).abs().max() < 2e-5
    assert published.naming.frechet == ("fd_dinov2", "FD-DINOv2")
    assert "--resize square" in published.caveats[0] and not square.caveats


def test_what_is_no_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    def changed(kind: str, change: Callable[[Path], object]) -> str:
        folder = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for path in folders[kind].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        change(folder)
        with pytest.raises(ValueError) as refused:
            VisionEncoder(str(folder))
        return str(refused.value)

    unprepared = changed("dinov2", lambda folder: (folder / "preprocessor_config.json").unlink())
    assert "does not say how pictures are prepared" in unprepared
    assert "could not be opened" in changed("dinov2", lambda folder: (folder / "config.json").write_text("{}"))
    assert "could not be opened" in changed("vit", lambda folder: (folder / "model.safetensors").unlink())
    other = {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 7, "max_num_patches": 16}
    assert "of one size" in changed("siglip", lambda f: (f / "preprocessor_config.json").write_text(json.dumps(other)))
    text = tmp_path / "text"
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
    ).save_pretrained(text)
    with pytest.raises(ValueError, match="not a vision encoder: a bert reads input_ids"):
        VisionEncoder(str(text))
    with pytest.raises(ValueError, match="no encoder at"):
        VisionEncoder(str(tmp_path / "absent"))
