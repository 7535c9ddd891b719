"""What the page uses of Gradio beyond its public interface, so that an upgrade has one file to look at."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from dalle2.serving.visitors import NOBODY, Files, owner, visitor


class Page(gr.Blocks):
    """Blocks that know during a call whose it is, and keep one `Files` of all that was uploaded or drawn."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.files = Files()
        self.upload_file_set = self.files
        self.temp_file_sets[:] = [self.files]  # of which Gradio deletes what is old enough

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        request = options.get("request")
        visitor.set(owner(request.headers.get("cookie", "")) if isinstance(request, gr.Request) else NOBODY)
        return await super().process_api(*arguments, **options)

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **options: Any) -> list[Any]:
        for path in _paths(inputs):
            if path in self.files and not self.files.opens(path, visitor.get()):
                raise gr.Error("The picture is not on the server any more: choose it again.", print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *rest, **options)

    async def postprocess_data(self, *arguments: Any, **options: Any) -> list[Any]:
        told = await super().postprocess_data(*arguments, **options)
        self.files.update(_paths(told))  # whoever is told of a file may open it
        return told


def _paths(values: Any) -> Iterator[str]:
    """The paths of all files in what goes to or comes from a component."""
    if isinstance(values, Mapping):
        if isinstance(values.get("path"), str) and (values.get("meta") or {}).get("_type") == "gradio.FileData":
            yield values["path"]
        else:
            yield from _paths(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _paths(value)
