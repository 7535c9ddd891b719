"""Gradio without the stubs for editors that it writes of each component, whenever it is imported.

That takes a third of its import (of Gradio 6.31), and leaves .pyi files beside the page's own components.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

WRITER = ("gradio.component_meta", "create_or_modify_pyi")  # as tests/demo/test_gradio_internals.py checks


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == WRITER[0] else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def without_stubs(module: ModuleType) -> None:
                execute(module)
                vars(module)[WRITER[1]] = lambda *_: None

            spec.loader.exec_module = without_stubs
        return spec


def install() -> None:
    """Let Gradio be imported so from now on; what has imported it already is as it was."""
    sys.meta_path.insert(0, _Finder())
