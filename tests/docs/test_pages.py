"""What README and documentation link to is there; `mkdocs build --strict` in .ci/run looks at the rest."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)|(?:src|href)=\"([^\"#]+)\"")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    places = [one or other for one, other in LINK.findall(page.read_text(encoding="utf-8"))]
    local = [place for place in places if not re.match(r"[a-z]+:", place)]
    assert [place for place in local if not (page.parent / place).exists()] == []


def test_every_page_is_reached_from_the_first() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            places = [one or other for one, other in LINK.findall(page.read_text(encoding="utf-8"))]
            waiting += [(page.parent / place).resolve() for place in places if not re.match(r"[a-z]+:", place)]
    assert [page for page in PAGES if page not in reached] == []


def test_the_readme_keeps_to_a_screen_and_a_few_pages_and_to_its_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith("pip install -r requirements") and " && " in line]
    assert commands[:2] == [
        "pip install -r requirements.txt && python app.py",
        "pip install -r requirements-dev.txt && pytest",
    ]
    assert len(lines) <= 200


COMMAND = re.compile(
    r"^(?:accelerate launch [^\n]*?-m|python -m) ((?:dalle2|evaluation|benchmarks)\b[\w.]*)([^\n#]*)", re.MULTILINE
)


def test_every_command_of_the_pages_is_there_with_its_options() -> None:
    """Those of `python -m dalle2` itself are parsed by tests/cli."""
    sources = {
        package: "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / package).rglob("*.py")))
        for package in ("dalle2", "evaluation", "benchmarks")
    }
    said = [match for page in PAGES for match in COMMAND.findall(page.read_text(encoding="utf-8"))]
    assert len({module for module, _ in said}) > 20
    for module, words in said:
        place = ROOT / module.rstrip(".").replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", words):
            assert option == "--help" or f'"{option}"' in sources[module.partition(".")[0]], f"{module} {option}"
