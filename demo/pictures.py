"""Results: a grid of pictures, each with what can be done with it in one click. A component that all tabs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel, GradioRootModel
from PIL import Image

from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import read_record
from dalle2.serving.visitors import Files
from demo.gradio_internals import cache_of, cache_picture
from demo.language import Bilingual

TEMPLATE = Path(__file__).with_name("pictures.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("pictures.js").read_text(encoding="utf-8")
EMPTY = Bilingual("Your pictures appear here.", "图片会显示在这里。")


class Shown(GradioModel):
    """A picture on the page: its PNG, what it shows in words, and its record (None for a preview)."""

    image: FileData
    caption: str
    record: dict[str, Any] | None = None


class Album(GradioRootModel):
    """All pictures of a result."""

    root: list[Shown]


# Made once: Gradio asks every component for it whenever a visitor comes.
SCHEMA = Album.model_json_schema() | {"description": "pictures with captions and records"}


class Pictures(gr.HTML):
    """Shows (picture, caption) pairs. With `film`, one at a time, with a slider over all of them, and played."""

    data_model = Album

    # Gradio makes another one, not rendered, for every update, with the same arguments. It would forget the files of
    # that one, so each notes them in the one set `files`, which the builder has shown to Gradio.
    def __init__(  # noqa: PLR0913
        self,
        film: bool = False,
        empty: Bilingual = EMPTY,
        captioned: bool = False,
        wall: bool = False,
        checkpoint: str = "",
        compared: bool = False,
        board: str = "",
        files: Files | None = None,
        visible: bool = True,
        render: bool = True,
    ) -> None:
        super().__init__(
            None,
            label="Pictures",  # in the API's description only
            render=render,
            visible=visible,
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_classes="pictures",
            apply_default_css=False,
            film=film,
            captioned=captioned,
            wall=wall,
            checkpoint=checkpoint,
            compared=compared,
            board=board,  # under which the page keeps what the pictures were made from
            before="",
            shown=0,
            playing=False,
            ways=[],  # what can be done with a picture; the builder fills it in when all tabs are there
            empty=empty._asdict(),
        )
        # Gradio asks for every argument, and takes one that nobody has set for an event that our script names.
        self.wall, self.checkpoint, self.compared, self.board = wall, checkpoint, compared, board
        self._files = Files() if files is None else files

    def preprocess(self, payload: Album | None) -> list[str]:
        """Return the files of the pictures."""
        return [shown.image.path for shown in payload.root] if payload else []

    def postprocess(self, value: Sequence[tuple[Image.Image, str]] | None) -> Album:
        """Return the pictures, written as PNG with their records."""
        return Album(root=[self._show(picture, caption) for picture, caption in value or ()])

    def _show(self, picture: Image.Image, caption: str) -> Shown:
        try:
            record = read_record(picture)
        except Refusal:
            record = None
        # The name under which a browser saves it.
        name = f"{record.get('task')}-{record.get('seed')}" if record else "preview"
        file = cache_picture(picture, cache_of(self), name)
        self._files.add(file)
        return Shown(image=FileData(path=file, orig_name=Path(file).name), caption=caption, record=record)

    def api_info(self) -> dict[str, Any]:
        return dict(SCHEMA)

    def example_payload(self) -> list:
        return []

    def example_value(self) -> list:
        return []
