"""What `serve run` and a Serve config file may say, as fields of one table: mostly the options of `python app.py`."""

import argparse
import os
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dalle2.serving.api import options as serving
from dalle2.serving.limits import WAITING_VISITORS

DATABASE = "DALLE2_DATABASE"  # the variable of the environment


def _listed(value: Any) -> Any:
    """Return the parts of "a,b", which is how a command line says a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]


class Options(BaseModel):
    """One application. ValueError names a field that is unknown or out of range."""

    model_config = ConfigDict(extra="forbid")

    # What draws: each checkpoint is a deployment of its own, and scales by itself.
    checkpoints: Listed = ("emoji",)
    dtype: str = "float32"
    allow_pickle: bool = False
    offload: bool | str | None = None
    engine: str = "auto"
    loras: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()  # of the only checkpoint
    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 4
    cpus: Annotated[float, Field(ge=0)] = 1.0  # of each replica; so many threads its networks use
    gpus: Annotated[float, Field(ge=0)] = 0.0
    # What stands in front of it.
    fronts: Annotated[int, Field(ge=1)] = 1
    waiting: Annotated[int, Field(ge=0)] = 4 * WAITING_VISITORS  # requests of each front, above which it refuses
    api_keys: str | None = None  # a file
    # A URL: keys, limits, reports and addresses of pictures, which fronts share. Its password need not stand in a file.
    database: str | None = Field(default_factory=lambda: os.environ.get(DATABASE))
    proxy: str | None = None  # addresses of proxies that are believed when they say for whom they ask
    open_api: bool = False
    log_prompts: bool = False
    refuse_words: str | None = None
    picture_check: str = "auto"
    safety_checker: str | None = None
    no_provenance: bool = False
    c2pa: Annotated[tuple[str, str] | None, BeforeValidator(_listed)] = None

    @model_validator(mode="after")
    def _check_range(self) -> "Options":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas is {self.min_replicas}, and so above max_replicas, {self.max_replicas}.")
        serving.proxies(self.namespace())
        if self.loras and len(self.checkpoints) > 1:
            raise ValueError("A LoRA is for one checkpoint: serve that one alone, or leave out loras.")
        if self.fronts > 1 and self.database is None:
            raise ValueError(
                "Several fronts share limits and the addresses of pictures in a database: name its URL as database."
            )
        return self

    def namespace(self) -> argparse.Namespace:
        """Return the same as the commands' parsers give it."""
        return argparse.Namespace(**self.model_dump())
