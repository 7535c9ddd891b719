"""Gradio's private doors: each test says what of the page breaks when another version of Gradio shuts one."""

import asyncio
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import blocks, component_meta, http_server, queueing, route_utils
from gradio.data_classes import FileData
from gradio.routes import App
from gradio.server_messages import EstimationMessage
from gradio.state_holder import SessionState
from PIL import Image

from dalle2 import images
from dalle2.serving.api.connections import Connection
from dalle2.serving.visitors import visitor
from demo import gradio_internals as internals
from demo import quick_gradio
from demo.downloads import Downloads, Ready
from demo.inputs import OwnPicture, WholeNumber
from demo.pictures import Album, Pictures

ASSETS = Path(gr.__file__).parent / "templates" / "frontend"


@pytest.fixture
def page() -> internals.Page:
    with internals.Page(analytics_enabled=False) as page:
        gr.HTML("")
        OwnPicture("Picture")
        WholeNumber(0, label="Seed")
    return page


def test_a_busy_machine_starts_the_page_only_while_launch_takes_frontend() -> None:
    """Else `launch` gives up when its own request to itself takes longer than three seconds."""
    assert set(internals.LAUNCH) <= set(inspect.signature(gr.Blocks.launch).parameters)


def test_the_page_starts_sooner_only_while_gradio_makes_its_application_and_stubs_there(page: internals.Page) -> None:
    """Else three applications are made for one page, and a third of Gradio's import writes what editors read."""
    assert page.queue(max_size=3).app is None and blocks.App is App
    assert App.create_app(page).blocks is page
    module, function = quick_gradio.WRITER
    assert callable(getattr(import_module(module), function))
    assert inspect.getsource(component_meta.ComponentMeta.__new__).count(f"{function}(") == 1


def test_a_page_that_nobody_visits_rests_only_while_its_queue_sleeps_so_long(page: internals.Page) -> None:
    """Else a twentieth of a core looks every millisecond whether anybody waits."""
    queue = page.queue()._queue
    for loop, name, seconds in (
        ("start_processing", "sleep_when_free", internals.QUEUE_SECONDS),
        ("start_progress_updates", "progress_update_sleep_when_free", internals.PROGRESS_SECONDS),
    ):
        source = inspect.getsource(getattr(type(queue), loop))
        assert getattr(queue, name) == seconds > 0.005
        assert source.count("sleep(") == source.count(f"await asyncio.sleep(self.{name})") > 0, loop


def test_a_call_costs_no_more_after_thousands_only_while_gradio_sums_up_what_its_queue_keeps(
    page: internals.Page,
) -> None:
    """Else each call takes time from drawing, and more with every call there has been."""
    page.queue(max_size=5)
    source = inspect.getsource(type(page._queue).push)
    assert page._queue.ANALYTICS_MAX_EVENTS == 0
    assert "while len(self.event_analytics) > self.ANALYTICS_MAX_EVENTS:" in source
    assert source.index("self.event_analytics[event._id] =") < source.index("while len(self.event_analytics)")
    assert "a := self.event_analytics.get(event._id)) is not None" in inspect.getsource(type(page._queue))
    assert page._queue.compute_analytics_summary([]) == {"functions": {}}


def test_who_reads_nothing_takes_little_memory_only_while_gradio_keeps_what_it_tells_in_these_queues(
    page: internals.Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a program that draws, and reads no answer, fills the memory."""
    monkeypatch.setattr(internals, "UNREAD_EVENTS", 2)
    queue = page.queue(max_size=5)._queue
    assert queue.pending_event_ids_session.max_size == queue.pending_messages_per_session.max_size == internals.MOST
    told = queue.pending_messages_per_session["jane"] = asyncio.Queue()
    event = queueing.Event("jane", SimpleNamespace(concurrency_id="", connection="sse"), None, None)
    for number in range(3):
        assert event.alive
        queue.send_message(event, EstimationMessage(rank=number, queue_size=3))
    assert told.qsize() == 2 and not event.alive
    source = inspect.getsource(queueing.Queue)
    assert source.count("messages.put_nowait(") == 1 == source.count("def send_message(")
    assert "awake_events = [event for event in awake_events if event.alive]" in source  # so that it is drawn no more


def test_what_a_tool_is_asked_counts_once_only_while_gradio_passes_the_asker_s_headers_on() -> None:
    """Else what a program of MCP draws counts twice, or all programs are one visitor."""
    source = (Path(gr.__file__).parent / "mcp.py").read_text(encoding="utf-8")
    assert "request_headers = dict(context_request.headers.items())" in source
    assert "headers=request_headers," in source


def test_a_visitor_costs_little_only_while_gradio_looks_for_configurations_in_the_holder_s_blocks(
    page: internals.Page,
) -> None:
    """Else each new visitor stops the page for everybody for a moment, and takes half a megabyte."""
    App.create_app(page)
    assert page.state_holder.capacity == internals.MOST
    assert "state_session_capacity" in inspect.signature(gr.Blocks.launch).parameters
    session = page.state_holder["jane"]
    assert session.config_values == {} and session.blocks_config.blocks == page.default_config.blocks
    (key, *_) = page.default_config.blocks
    session._update_value_in_config(key, "new")
    assert session.config_values[key]["props"]["value"] == "new" and page.state_holder["jim"].config_values == {}


def test_old_files_go_and_strangers_do_not_open_them_only_while_gradio_keeps_files_in_these_sets(
    page: internals.Page, tmp_path: Path
) -> None:
    """Else nothing is ever deleted, or a file opens for everybody."""
    assert page.upload_file_set is page.temp_file_sets[0] is page.files
    token = visitor.set("jane")
    page.upload_file_set.update([str(tmp_path / "old.png")])
    visitor.reset(token)
    (tmp_path / "old.png").write_bytes(b"old")
    assert page.files.opens(str(tmp_path / "old.png"), "jane")
    assert not page.files.opens(str(tmp_path / "old.png"), "jim")
    route_utils.delete_files_created_by_app(page, None)
    assert not list(tmp_path.iterdir()) and not list(page.files)


def test_whose_call_it_is_is_known_only_while_each_call_goes_through_these_methods() -> None:
    """Else one visitor's picture can be handed in by another, who only has its path."""
    for name in ("process_api", "preprocess_data", "postprocess_data"):
        theirs = inspect.signature(getattr(gr.Blocks, name)).parameters
        assert inspect.iscoroutinefunction(getattr(gr.Blocks, name)), name
        assert name != "process_api" or "request" in theirs
    assert list(inspect.signature(gr.Blocks.preprocess_data).parameters)[1:3] == ["block_fn", "inputs"]
    source = inspect.getsource(gr.Blocks.process_api)
    assert "self.preprocess_data(" in source and "self.postprocess_data(" in source


def test_connections_are_bounded_only_while_gradio_makes_its_server_by_this_name(page: internals.Page) -> None:
    """Else whoever sends half a request, or opens all connections, keeps everybody out."""
    source = inspect.getsource(http_server.start_server)
    assert re.findall(r"= uvicorn\.(\w+)\(", source) == ["Config"]
    made = http_server.uvicorn
    with internals._own_server(["192.0.2.1"]):
        config = http_server.uvicorn.Config(page)
    assert http_server.uvicorn is made
    assert config.http is Connection and config.proxy_headers and config.forwarded_allow_ips == ["192.0.2.1"]


def test_uploads_are_counted_only_while_they_come_by_this_route() -> None:
    """Else they come without a limit of their own."""
    paths = {path for path in _paths(App.create_app(gr.Blocks(analytics_enabled=False)).routes) if "upload" in path}
    assert {path.removeprefix("/gradio_api") for path in paths} == {"/upload", "/upload_progress"}
    assert internals.UPLOAD_ROUTE.fullmatch("/gradio_api/upload")


def test_the_door_knows_every_route_that_hands_out_files() -> None:
    """Else a file opens in another browser by a route that the door does not know."""
    app = App.create_app(gr.Blocks(analytics_enabled=False))
    paths = {path for path in _paths(app.routes) if "file" in path and path.endswith(":path}")}
    assert len(paths) >= 2
    for path in paths:
        asked = re.sub(r"\{.*", "tmp/a.png", path)
        assert internals.FILE_ROUTE.fullmatch(asked), f"{path} is not guarded"


def _paths(routes: list) -> list[str]:
    """The paths of all routes, also of routers that are included or mounted."""
    found = []
    for route in routes:
        inner = getattr(route, "original_router", route)
        found += [getattr(route, "path", ""), *_paths(getattr(inner, "routes", None) or [])]
    return found


def test_the_page_has_one_preview_card_only_while_gradio_s_own_has_these_tags() -> None:
    """Else a link to the page is shown with Gradio's picture, or with two."""
    html = (ASSETS / "index.html").read_text(encoding="utf-8")
    assert len(internals.PREVIEW_TAGS.findall(html)) >= 4
    assert not re.search("og:|twitter:", internals.PREVIEW_TAGS.sub("", html))


def test_own_components_are_drawn_only_while_their_block_name_says_by_what(page: internals.Page) -> None:
    """Else the browser looks for a component "ownpicture", and the place for a picture stays empty."""
    config = {entry["type"]: entry for entry in page.get_config_file()["components"]}
    for kind, parent in (("image", gr.Image), ("number", gr.Number)):
        with gr.Blocks(analytics_enabled=False) as plain:
            parent(label="any")
        theirs = next(entry for entry in plain.get_config_file()["components"] if entry["type"] == kind)
        assert config[kind]["props"].keys() >= theirs["props"].keys()


def test_ways_are_offered_below_results_only_while_props_can_be_set_after_construction(page: internals.Page) -> None:
    """Else no picture has the buttons that hand it on."""
    (html,) = (block for block in page.blocks.values() if isinstance(block, gr.HTML))
    internals.set_prop(html, "ways", ["mix"])
    told = next(entry for entry in page.get_config_file()["components"] if entry["type"] == "html")
    assert told["props"]["props"]["ways"] == ["mix"]
    assert internals.update_props(html, "checkpoint") == 'wire.update({props: {...{"ways": ["mix"]}, checkpoint}})'


def test_scripts_change_properties_only_while_this_is_the_wire_format() -> None:
    """Else a script's update becomes a component's value: tabs are not chosen and boards show [object Object]."""
    assert f'__type__: "{gr.update()["__type__"]}"' in internals.SCRIPT
    assert f'_type: "{FileData(path="a").meta["_type"]}"' in internals.SCRIPT
    scripts = (file.read_text(encoding="utf-8", errors="replace") for file in (ASSETS / "assets").glob("*.js"))
    assert any("__type__===`update`" in script for script in scripts)


def test_a_refusal_is_told_once_only_while_a_call_s_toast_needs_text_and_listeners_are_known(
    page: internals.Page,
) -> None:
    """Else Gradio shows a toast beside the page's sentence, or a refused call is told nowhere."""
    with page:
        page.load(None, None, None, js="() => {}").failure(None, None, None, js="() => {}")
    config = page.get_config_file()
    (listener,) = (one for one in config["dependencies"] if one["trigger_only_on_failure"])
    assert listener["trigger_after"] in {one["id"] for one in config["dependencies"]} and config["api_prefix"]
    scripts = [file.read_text(encoding="utf-8", errors="replace") for file in (ASSETS / "assets").glob("*.js")]
    assert any(re.search(r"=\w+\?\.message\?\.replace\(", script) for script in scripts)
    assert any(re.search(r"message:\w+\?\w+:\w+\.detail\|\|\w+\.error", script) for script in scripts)


def test_labels_are_translated_only_while_the_browser_knows_this_mark() -> None:
    """Else a Chinese visitor reads English labels, or everybody reads __i18n__{...}."""
    assert internals.translatable("Draw").to_dict() == {"__type__": "translation_metadata", "key": "Draw"}
    scripts = (file.read_text(encoding="utf-8", errors="replace") for file in (ASSETS / "assets").glob("*.js"))
    assert any("__i18n__" in script for script in scripts)


def test_a_visitor_comes_fast_only_while_components_have_their_schemas_ready(
    page: internals.Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio asks all components for theirs for every new session, between everybody's answers."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a schema was made anew")

    with page:
        Pictures()
        Downloads()
    for model in (Album, Ready):
        monkeypatch.setattr(model, "model_json_schema", never)
    assert SessionState(page).blocks_config


def test_files_for_the_browser_lie_in_the_cache_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a picture's address can be guessed, the PNG loses its record, or the page may not hand the file out."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    cache = internals.cache_of(gr.HTML())
    assert Path(cache) == tmp_path
    picture = Image.new("RGB", (4, 4), "red")
    images.write_record(picture, {"prompt": "a cat"})
    kept = internals.cache_picture(picture, cache, "cat-7")
    assert Path(kept).name == "cat-7.png" and images.read_record(kept) == {"prompt": "a cat"}
    again = [internals.cache_bytes(Path(kept).read_bytes(), "a.png", cache), internals.cache_file(Path(kept), cache)]
    assert len({Path(file).parent for file in (kept, *again)}) == 1
    assert len(Path(kept).parent.name) >= 32 and Path(kept).parent.parent == tmp_path
