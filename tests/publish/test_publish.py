"""`python -m dalle2.publish`: what is prepared keeps to the Hub's rules, and nothing is lost on the way there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants
from writable_hub import Hub, stand_in

from dalle2 import images
from dalle2.families import load
from dalle2.publish import card, private, rules
from dalle2.publish.__main__ import main
from dalle2.publish.plan import Plan, check_name

Capture = pytest.CaptureFixture[str]
RESULT = {
    "task": {"type": "text-to-image"},
    "dataset": {"type": "someone/emoji", "name": "emoji"},
    "metrics": [{"type": "fid", "value": 12.5, "name": "FID"}],
}


@pytest.fixture(scope="module")
def prepared(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its Space, of a checkpoint whose card says a little."""
    folder = tmp_path_factory.mktemp("publish")
    checkpoint = folder / "mine"
    shutil.copytree(tiny_checkpoint, checkpoint)
    (checkpoint / "README.md").write_text(
        "---\nlicense: mit\ntags: [emoji]\n---\n\n# Mine\n\nDraws [cats](https://example.org), see [it](../notes.md).\n"
    )
    (checkpoint / ".cache").write_text("left by an editor")
    (folder / "fid.yaml").write_text(yaml.safe_dump({"model-index": [{"name": "other", "results": [RESULT]}]}))
    (folder / ".eval_results").mkdir()
    (folder / ".eval_results" / "fid-fid.yaml").write_text("- value: 12.5\n")
    given = [str(checkpoint), "--out", str(folder / "hub"), "--name", "someone/mine", "--space"]
    given += ["--prompt", "a cat face!", "--prompt", "a dog", "--results", str(folder / "fid.yaml")]
    assert main(given) == 0
    return folder / "hub"


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "hub"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, where huggingface_hub asks for the Hub; with a token that may write."""
    with stand_in() as there:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", there.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        monkeypatch.setenv("HF_TOKEN", "writer")
        huggingface_hub.close_session()
        yield there
    huggingface_hub.close_session()


def broken(folder: Path) -> str:
    """What the rules say of a prepared folder; "" where all are kept."""
    try:
        rules.check(Plan("", folder, "someone/mine", space=True))
    except ValueError as error:
        return str(error)
    return ""


def front(folder: Path, kind: str = "model") -> dict:
    return card.split((folder / kind / "README.md").read_text())[0]


def change(folder: Path, kind: str, **values: object) -> None:
    file = folder / kind / "README.md"
    found, text = card.split(file.read_text())
    file.write_text(card.join({key: value for key, value in (found | values).items() if value is not None}, text))


def test_the_model_repository_is_whole_and_opens(prepared: Path) -> None:
    found = front(prepared)
    assert (found["license"], found["pipeline_tag"], found["library_name"]) == ("mit", "text-to-image", "open-dalle2")
    assert found["tags"] == ["emoji", "unclip", "dall-e-2", "text-to-image"]
    assert found["model-index"] == [{"name": "mine", "results": [RESULT]}]
    assert (prepared / "model/.eval_results/fid-fid.yaml").is_file()
    assert not (prepared / "model/.cache").exists()
    first, second = found["widget"]
    assert first == {"text": "a cat face!", "output": {"url": "pictures/0-a-cat-face.png"}}
    record = images.read_record(prepared / "model" / second["output"]["url"])
    assert (record["prompt"], record["seed"], record["checkpoint"]) == ("a dog", 0, "someone/mine")
    assert record["checkpoint_hash"] == load(prepared / "model").checkpoint_hash
    read = ModelCard.load(prepared / "model/README.md")  # by the Hub's own reader
    assert read.data.eval_results[0].metric_value == 12.5
    assert "[cats](https://example.org), see it." in read.text and "<Gallery />" in read.text
    assert "--checkpoint someone/mine" in read.text


def test_the_space_draws_with_the_model_by_the_project_s_own_code(prepared: Path) -> None:
    found, page = front(prepared, "space"), prepared / "space"
    assert found["models"] == found["preload_from_hub"] == ["someone/mine"]
    assert (found["suggested_hardware"], found["python_version"]) == ("zero-a10g", "3.12.12")
    assert f"gradio=={found['sdk_version']}" in (page / "requirements.txt").read_text()
    assert 'setdefault("DALLE2_CHECKPOINT", "someone/mine")' in (page / "app.py").read_text()
    compile((page / "app.py").read_text(), "app.py", "exec")
    assert (page / "start.py").is_file() and (page / "demo/page.py").is_file() and (page / "dalle2/model.py").is_file()
    assert not (page / "dalle2/checkpoints").exists()
    assert "`HF_TOKEN` | secret" in (page / "README.md").read_text()


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("model", {"license": "cc-by"}, "'cc-by' is none of the Hub's licence ids"),
        ("model", {"license": "other"}, "a licence that is other has a name"),
        ("model", {"license": "other", "license_name": "mine"}, "a licence that is other has a text"),
        ("model", {"model-index": [{"name": "a", "results": [RESULT | {"task": {}}]}]}, "lacks task.type"),
        (
            "model",
            {"model-index": [{"name": "a", "results": [RESULT | {"metrics": [{"type": "fid"}]}]}]},
            "its type or",
        ),
        ("model", {"model-index": [{"name": name, "results": [RESULT]} for name in "ab"]}, "has several entries"),
        ("model", {"model-index": "none"}, "the front matter cannot be read"),
        ("model", {"widget": [{"text": "a cat", "output": {"url": "no.png"}}]}, "picture of 'a cat' is not there"),
        ("model", {"base_model": "some one/model"}, "base_model: 'some one/model' is not an id of the Hub"),
        ("space", {"short_description": "x" * 61}, "short_description has more than 60 characters"),
        ("space", {"python_version": 3.12}, "python_version is text of the form 3.x"),
        ("space", {"python_version": "3.11"}, "ZeroGPU takes python_version 3.12.12 or 3.10.13"),
        ("space", {"sdk_version": "6.0.0"}, "sdk_version 6.0.0 and requirements.txt's gradio"),
        ("space", {"colorTo": "teal"}, "colorTo is one of red, yellow"),
        ("space", {"emoji": "art"}, "emoji holds something else"),
        ("space", {"app_file": "main.py"}, "app_file is not there"),
        ("space", {"suggested_hardware": "h100"}, "suggested_hardware 'h100' is none of cpu-basic"),
        ("space", {"sdk": "streamlit"}, "sdk is one of gradio"),
    ],
)
def test_a_broken_rule_is_told(kind: str, values: dict, said: str, copy: Path) -> None:
    assert broken(copy) == ""
    change(copy, kind, **values)
    assert f"- {kind}: " in broken(copy) and said in broken(copy)


# Made up, and put together here, so that no scanner of this repository takes them for real ones.
TOKENS = {
    "a token of the Hub": "hf_" + "A" * 34,
    "a key of a model's API": "sk-" + "proj-" + "b" * 40,
    "a token of GitHub": "ghp_" + "c" * 36,
    "a fine-grained token of GitHub": "github_pat_" + "c" * 82,
    "a token of GitLab": "glpat-" + "d" * 20,
    "a key of AWS": "AKIA" + "E" * 16,
    "a key of Google's": "AIza" + "f" * 35,
    "a token of Slack": "xoxb-" + "1" * 24,
    "a token of PyPI": "pypi-" + "AgE" + "g" * 60,
    "a token of npm": "npm_" + "h" * 36,
    "a key of Stripe": "sk_live_" + "i" * 24,
    "a private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("ending", ["txt", "ipynb", "safetensors"])
def test_a_token_is_found_in_every_kind_of_file_and_word_for_word(kind: str, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"notes.{ending}"
    file.write_bytes(bytes(private.PIECE - 20) + TOKENS[kind].encode() + b"\n" + bytes(100))  # across two pieces
    assert list(private.secrets_in(file)) == [kind]
    file.write_text("task-" + "a" * 40 + " whf_" + "A" * 40 + " AKIA and BEGIN PRIVATE KEY")
    assert list(private.secrets_in(file)) == []


@pytest.mark.parametrize("name", ["server.pem", ".env", ".env.local", "id_ed25519", "credentials.json", ".netrc"])
def test_files_that_keep_secrets_are_told_by_their_names(name: str, copy: Path) -> None:
    (copy / "model" / name).write_text("nothing that looks like one")
    assert f"- model: {name} holds a secret, by its name: take it out" in broken(copy)


def test_what_is_missing_is_told(copy: Path) -> None:
    card_file = copy / "model/README.md"
    card_file.write_text(card_file.read_text() + "\n![Loss](loss.png)\n")
    shutil.rmtree(copy / "space")
    said = broken(copy)
    for sentence in (
        "links to loss.png",
        "space: the folder",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    "name", ["mine", "a/b/c", "some one/mine", "a/b--c", "a/b.", "a/.b", "a/b.git", "a/" + "b" * 99]
)
def test_a_name_that_the_hub_does_not_take(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name of a repository"):
        check_name(name)


def test_what_cannot_be_prepared_is_told_before_anything_is_opened(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def opened(*_: object) -> None:
        pytest.fail("it was told too late")

    monkeypatch.setattr("dalle2.publish.prepared.load", opened)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    (tmp_path / "bad.yaml").write_text("a: 1")
    out = ["--out", str(tmp_path / "new")]
    checkpoint, licence = str(tiny_checkpoint), ["--license", "mit"]
    cases = {
        "names no licence": [checkpoint, *out],
        "exists already: name another folder": [checkpoint, "--out", str(tmp_path / "full"), *licence],
        "There is no folder nowhere": ["nowhere", *out],
        "There are no results at no.yaml": [checkpoint, *out, "--results", "no.yaml"],
        "holds no model-index": [checkpoint, *out, *licence, "--results", str(tmp_path / "bad.yaml")],
        "are two repositories": [checkpoint, *out, "--name", "a/b", "--push", "a/c"],
        "name the repository with --push": [checkpoint, *out, "--private"],
        "Name a CHECKPOINT": out,
        "was not prepared by this command": [*out, "--push", "a/b"],
    }
    for said, given in cases.items():
        assert main(given) == 1, said
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and (tmp_path / "full/file").read_text() == "mine"


def test_a_push_is_one_commit_each_and_says_what_it_asks_for(copy: Path, hub: Hub, capsys: Capture) -> None:
    assert main(["--out", str(copy), "--push", "someone/mine", "--private"]) == 0
    (kind, name, files), (second, _, page) = hub.commits
    assert (kind, name, second) == ("model", "someone/mine", "space")
    assert {"README.md", "decoder/config.json", ".eval_results/fid-fid.yaml"} < set(files)
    assert {"app.py", "start.py", "requirements.txt", "demo/page.py"} < set(page)
    weights = "decoder/diffusion_pytorch_model.safetensors"
    assert hub.repositories["model", "someone/mine"][weights] == (copy / "model" / weights).read_bytes()
    assert [one["visibility"] for one in hub.made] == ["private", "private"]
    assert (hub.made[1]["sdk"], hub.made[1]["hardware"]) == ("gradio", "zero-a10g")
    assert "model: http://127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("token", "name", "said"),
    [
        ("wrong", "someone/mine", "The Hub does not know this token"),
        ("reader", "someone/mine", "This token may only read"),
        ("narrow", "someone/mine", "this token may not write to someone/mine"),
        (None, "someone/mine", "There is no token of the Hub here"),
    ],
)
def test_a_token_that_does_not_do_gets_a_sentence(
    token: str | None, name: str, said: str, copy: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(copy / "none"))
    assert main(["--out", str(copy), "--push", name]) == 1
    assert said in capsys.readouterr().err and not hub.commits and broken(copy) == ""


def test_another_s_repository_is_refused_before_a_checkpoint_is_opened(
    tiny_checkpoint: Path, tmp_path: Path, hub: Hub, capsys: Capture
) -> None:
    given = [str(tiny_checkpoint), "--out", str(tmp_path / "hub"), "--license", "mit"]
    assert main([*given, "--push", "other/mine"]) == 1
    assert "belongs to someone, who is not in other" in capsys.readouterr().err and not (tmp_path / "hub").exists()


def test_a_repository_that_is_there_is_kept_unless_it_is_to_be_updated(copy: Path, hub: Hub, capsys: Capture) -> None:
    hub.repositories["model", "someone/mine"] = {".gitattributes": b"", "README.md": b"older"}
    assert main(["--out", str(copy), "--push", "someone/mine"]) == 1
    assert "exists already, with 2 files: add a commit by --update" in capsys.readouterr().err
    assert hub.repositories["model", "someone/mine"]["README.md"] == b"older"
    assert main(["--out", str(copy), "--push", "someone/mine", "--update"]) == 0
    assert hub.repositories["model", "someone/mine"]["README.md"] != b"older"


def test_a_network_that_breaks_in_the_middle_leaves_no_half_and_the_same_command_goes_on(
    copy: Path, hub: Hub, capsys: Capture
) -> None:
    hub.cuts = 1000
    assert main(["--out", str(copy), "--push", "someone/mine"]) == 1
    said = capsys.readouterr().err
    assert "The upload of the model broke off" in said and f"--out {copy} --push someone/mine goes on" in said
    assert set(hub.repositories["model", "someone/mine"]) == {".gitattributes"} and not hub.commits
    hub.cuts = 0
    assert main(["--out", str(copy), "--push", "someone/mine"]) == 0
    assert len(hub.commits) == 2 and json.loads((copy / "publish.json").read_text())["uploaded"] == ["model", "space"]


def test_no_network_and_none_allowed_get_a_sentence(
    copy: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert main(["--out", str(copy), "--push", "someone/mine"]) == 1
    assert "The Hub cannot be reached" in capsys.readouterr().err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert main(["--out", str(copy), "--push", "someone/mine"]) == 1
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_a_name_that_is_known_only_later_is_put_in_place(
    tiny_checkpoint: Path, tmp_path: Path, hub: Hub, capsys: Capture
) -> None:
    out = tmp_path / "hub"
    assert main([str(tiny_checkpoint), "--out", str(out), "--license", "mit", "--prompt", "a cat"]) == 0
    assert f"python -m dalle2.publish --out {out} --push OWNER/sample" in capsys.readouterr().out
    before = np.asarray(images.open_picture(next((out / "model/pictures").glob("*.png"))))
    assert main(["--out", str(out), "--push", "club/cats"]) == 0
    assert "--checkpoint club/cats" in hub.repositories["model", "club/cats"]["README.md"].decode()
    (sample,) = (out / "model/pictures").glob("*.png")
    drawn = images.read_record(sample)
    assert (drawn["checkpoint"], drawn["prompt"]) == ("club/cats", "a cat")
    assert np.array_equal(images.open_picture(sample), before)
    assert hub.repositories["model", "club/cats"][f"pictures/{sample.name}"] == sample.read_bytes()
    assert main(["--out", str(out), "--push", "club/dogs"]) == 1
    assert "was prepared for club/cats" in capsys.readouterr().err
