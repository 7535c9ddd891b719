"""python -m evaluation.selftest: what is known is found, drift is seen, and the answers can be made again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import known_answers
from evaluation.measuring import selftest
from evaluation.measuring.selftest import FOLDER, check_all
from evaluation.networks import inception
from evaluation.selftest import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _without_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(inception.VARIABLE, raising=False)


def test_every_answer_is_found_again(tmp_path: Path, capsys: Capture) -> None:
    main(["--report", str(tmp_path / "found.json")])
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    verdicts = {one["key"]: one["details"]["verdict"] for one in found["measures"]}
    assert len(verdicts) == 23 and set(verdicts.values()) == {"agrees"}, verdicts
    assert "25 known answers, 0 differ" in told and "not run" in told
    assert sum("published weights are not on this machine" in one for one in found["warnings"]) == 2


def test_drift_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    real = selftest.RESIZES["clean"]
    monkeypatch.setitem(selftest.RESIZES, "clean", lambda picture: real(picture).round())
    monkeypatch.setattr(selftest.kernel_distance, "cmmd", lambda x, y: 0.68947)  # off in the fifth digit
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1 and "2 differ" in capsys.readouterr().out
    assert {check.key for check in check_all().drifted} == {"resize_clean", "cmmd"}


def test_answers_to_other_weights_are_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "known"
    shutil.copytree(FOLDER, folder)
    known = json.loads((folder / "answers.json").read_text())
    for answer in known:
        if "weights" in answer:
            answer["weights"] = "0" * 64
    (folder / "answers.json").write_text(json.dumps([one for one in known if "weights" in one]))
    checks = check_all(folder=folder).checks
    assert len(checks) == 3 and {check.verdict for check in checks} == {"not run"}
    assert "the answer is to the weights 000000000000…" in checks[0].why


def test_the_answers_are_made_without_our_measures_and_can_be_made_again() -> None:
    text = Path(known_answers.__file__).read_text()
    assert "evaluation.metrics" not in text.split('"""')[2]
    stored = {one["key"]: one for one in json.loads((FOLDER / "answers.json").read_text())}
    for answer in known_answers.answers():
        known = stored.pop(str(answer["key"]))
        assert known == answer or np.isclose(known["value"], answer["value"], rtol=1e-9), answer
    assert not stored
