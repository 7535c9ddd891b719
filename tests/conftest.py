"""The fixtures of all rooms: tiny checkpoints, a hub, a visitor of the page, processes that start at once."""

import gc
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers reads it: a hub is asked for minutes otherwise
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy reads it: other cores have tests of their own

import pytest

from dalle2.settings import Settings
from dalle2.stage_settings import DecoderSettings, PriorSettings, UpsamplerSettings

FIXTURES = ("checkpoints", "forked", "hub", "tiny_priors", "visitor")
LONGEST = ("demo", "training", "understanding")
QUICK = Settings(
    prior=PriorSettings(num_inference_steps=3, guidance_scale=2.0),
    decoder=DecoderSettings(num_inference_steps=4, guidance_scale=3.0),
    upsampler=UpsamplerSettings(num_inference_steps=3),
)


def pytest_configure(config: pytest.Config) -> None:
    """Import the fixtures, but not where tests are only handed out to other processes: that takes seconds."""
    if not config.getoption("numprocesses", None):
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms whose files take longest, so that no process waits for the other at the end."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Let garbage collection pass over what the libraries are made of, which never is garbage."""
    gc.collect()
    gc.freeze()
