"""Networks as each family calls them, and where their graphs are: an export takes long, even of a tiny network.

`PYTHONPATH=. python tests/tiny_graphs.py` makes the graphs anew, when a network's config or its call has changed.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import stable_twin
import tiny
import tiny_kandinsky
import torch

BESIDE = Path(__file__).parent

Called = tuple[torch.nn.Module, torch.Tensor, dict]  # a network, its noisy input, and its conditions


def rows(*shape: int) -> torch.Tensor:
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))


def prior() -> Called:
    mask = torch.arange(tiny.CONTEXT) < torch.tensor([[3], [9], [tiny.CONTEXT]])
    conditions = {"proj_embedding": rows(32), "encoder_hidden_states": rows(tiny.CONTEXT, 32), "attention_mask": mask}
    return tiny.parts().prior, rows(32), conditions


def kandinsky22() -> Called:
    network = tiny_kandinsky.decoder(4).eval()
    return network, rows(4, 16, 16), {"encoder_hidden_states": None, "added_cond_kwargs": {"image_embeds": rows(32)}}


def kandinsky21() -> Called:
    network, text = tiny_kandinsky.decoder(9, reads=True).eval(), {"image_embeds": rows(32), "text_embeds": rows(32)}
    return network, rows(9, 16, 16), {"encoder_hidden_states": rows(7, 32), "added_cond_kwargs": text}


def stable_unclip() -> Called:
    conditions = {"encoder_hidden_states": rows(tiny.CONTEXT, 48), "class_labels": rows(64)}
    return stable_twin.parts().unet, rows(4, 16, 16), conditions


CALLS: dict[str, Callable[[], Called]] = {
    "prior": prior,
    "kandinsky 2.2": kandinsky22,
    "kandinsky 2.1": kandinsky21,
    "stable unclip": stable_unclip,
}


@torch.no_grad()
def main() -> None:
    from conftest import QUICK

    from dalle2 import export
    from dalle2.engines import hosting
    from dalle2.families.karlo import layout

    with tempfile.TemporaryDirectory() as place:
        folder = layout.write(tiny.parts("sample"), Path(place) / "sample", {"settings": QUICK.to_dict()})
        assert export.main([str(folder)]) == 0
        for file in (folder / "graphs").iterdir():
            (BESIDE / "graphs").mkdir(exist_ok=True)
            (BESIDE / "graphs" / file.name).write_bytes(file.read_bytes())
    for name, make in CALLS.items():
        if name == "prior":  # which a test exports
            continue
        network, x, conditions = make()
        host = hosting.Host("onnxruntime", half=False, exports=True)
        host.invite(name, network, BESIDE)
        network(x, torch.tensor(300), **conditions)
        (hosted,) = host.networks
        for signature in hosted.signatures:
            hosted.graphs.lay_beside(signature, BESIDE)


if __name__ == "__main__":
    main()
