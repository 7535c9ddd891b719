"""A task has one name in every room: module, method, capability, command, record, tab and endpoint."""

import inspect
from pathlib import Path

from dalle2.cli.parsers import COMMANDS
from dalle2.model import UnclipModel
from dalle2.tasks import TASKS
from dalle2.tasks.caption import Caption
from demo.page import TABS

ROOT = Path(__file__).parents[2]
# One tab answers questions about pictures; reconstructing is for measuring.
EXPLAINED, WITHOUT_A_TAB = {"tour", "steps", "attention", "dimensions", "caption"}, {"reconstruct"}
OTHER_TABS = {"explain", "compare", "history", "about"}


def test_every_room_has_every_task_under_one_name(model: UnclipModel) -> None:
    names = {task.name for task in (*TASKS, Caption)}
    assert {task.__module__.rpartition(".")[2] for task in (*TASKS, Caption)} == names
    assert all(callable(getattr(UnclipModel, name)) for name in names)
    assert model.capabilities == names
    assert {command.name for command in COMMANDS} == names - {"text_to_image"}
    assert all((ROOT / "dalle2" / "cli" / f"{name}.py").is_file() for name in names)
    assert set(TABS) == names - EXPLAINED - WITHOUT_A_TAB | OTHER_TABS


def test_what_a_method_takes_after_the_content_is_a_keyword() -> None:
    for task in TASKS:
        parameters = list(inspect.signature(getattr(UnclipModel, task.name)).parameters.values())[1:]
        content = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert 1 <= len(content) <= 2, task.name
        assert {"settings", "on_step"} <= {one.name for one in parameters} - set(content), task.name


def test_former_names_of_records_are_nobody_s_name_now() -> None:
    former = [task.former_name for task in TASKS if task.former_name]
    assert len(former) == len(set(former)) and not set(former) & {task.name for task in TASKS}
