"""What `deploy/` holds is valid: by the Compose specification, by Kubernetes' schemas, by Ray's own and by ours."""

from pathlib import Path
from typing import Any

import pytest

REASON = "deploy/ is checked by `bash .ci/ray`, which installs what reads its schemas"
check = pytest.importorskip("check_jsonschema", reason=REASON)
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason=REASON)
schema = pytest.importorskip("ray.serve.schema", reason=REASON)

import yaml  # noqa: E402  (of the packages that may be missing)

from dalle2.serving.ray.options import DATABASE, Options  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.37"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def test_the_compose_file_keeps_to_the_specification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def checked(path: Path) -> int:
        with pytest.raises(SystemExit) as ended:
            check.main(["--builtin-schema", "vendor.compose-spec", str(path)])
        return ended.value.code

    assert checked(DEPLOY / "compose.yaml") == 0, capsys.readouterr().out
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("restart:", "restarts:"))
    assert checked(wrong) == 1


def test_containers_share_token_database_and_image() -> None:
    services = read("compose.yaml")["services"]
    head, worker = services["head"], services["worker"]
    for one in (head, worker):
        variables = one["environment"]
        assert variables["RAY_AUTH_MODE"] == "token" and variables["RAY_AUTH_TOKEN"].endswith(":?}")
        assert variables[DATABASE] == variables["VOTES_FILE"] and "@database/" in variables[DATABASE]
        assert (ROOT / "deploy" / one["build"]["context"] / one["build"]["dockerfile"]).is_file()
    assert (ROOT / "deploy/serve.yaml").is_file() and "serve run deploy/serve.yaml" in head["command"][-1]
    (port,) = head["ports"]
    assert port == f"{read('serve.yaml')['http_options']['port']}:8000"


@pytest.mark.parametrize("config", ["serve.yaml", "rayservice.yaml"])
def test_serve_configs_are_ray_s_and_their_fields_ours(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, "postgresql+psycopg://host/name")
    given = read(config)
    given = yaml.safe_load(given["spec"]["serveConfigV2"]) if "spec" in given else given
    (application,) = schema.ServeDeploySchema.model_validate(given).applications
    options = Options(**application.args)
    assert options.database == "postgresql+psycopg://host/name"
    module, _, name = application.import_path.partition(":")
    built = getattr(__import__(module, fromlist=[name]), name)(options)
    assert built._bound_deployment.name == "front"


def test_kubernetes_takes_the_pods_and_they_have_the_version_that_is_pinned() -> None:
    service = read("rayservice.yaml")
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}
        assert kubernetes_validate.validate(pod, KUBERNETES, strict=True) == KUBERNETES
        (container,) = group["template"]["spec"]["containers"]
        (database,) = container["env"]
        assert database["name"] == DATABASE and "valueFrom" in database
        container["resource"] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    assert f"ray[data,serve]=={cluster['rayVersion']}" in (ROOT / "requirements-ray.txt").read_text()
