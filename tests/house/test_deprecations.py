"""Our own calls of what a library will take away fail the tests; those of libraries among themselves do not."""

import warnings

import pytest

CALLER = "import warnings\nwarnings.warn('will be removed', category)"


def call(module: str, category: type[Warning]) -> None:
    """Warn as a library does of a call from this module."""
    exec(CALLER, {"__name__": module, "category": category, "__warningregistry__": {}})


OURS = ["dalle2", "dalle2.images", "demo.tabs.text_to_image", "evaluation.fid", "benchmarks.wall", "app"]


@pytest.mark.parametrize("module", OURS)
@pytest.mark.parametrize("category", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_a_deprecated_call_of_ours_is_an_error(module: str, category: type[Warning]) -> None:
    with pytest.raises(category, match="will be removed"):
        call(module, category)


@pytest.mark.parametrize("module", ["torch.serialization", "dalle2_of_somebody", "application", "tests.test_images"])
def test_a_deprecated_call_of_a_library_is_shown_and_no_error(module: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        call(module, DeprecationWarning)
    assert [str(warning.message) for warning in caught] == ["will be removed"]


def test_other_warnings_of_ours_are_no_errors() -> None:
    with pytest.warns(UserWarning, match="will be removed"):
        call("dalle2.images", UserWarning)
