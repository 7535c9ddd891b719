"""Hooks of the documentation's site: pages that lie elsewhere in the repository, and links out of docs/.

A link to a file of the repository that is no page stays a link where mkdocs.yml names the repository's address
(`repo_url`), and is plain words where it does not. A link to a file that is not there is a warning, which `--strict`
makes an error.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

log = logging.getLogger("mkdocs.hooks.site")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    "card.md": "dalle2/checkpoints/emoji/README.md",
    "licences.md": "dalle2/checkpoints/emoji/LICENCES.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]*)\]\((?P<place>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere."""
    for uri, place in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / place).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point every relative link to where its target is on the site."""
    uri = page.file.src_uri
    source = ROOT / PAGES.get(uri, f"docs/{uri}")
    places = {(ROOT / place).resolve(): name for name, place in PAGES.items()}

    def pointed(found: re.Match[str]) -> str:
        place, anchor = found["place"], found["anchor"] or ""
        if re.match(r"[a-z]+:", place):
            return found[0]
        target = (source.parent / place).resolve()
        if not target.exists():
            log.warning("%s links to %s, which is not there.", uri, place)
            return found[0]
        if target in places:
            shown = places[target]
        elif target.is_relative_to(DOCS) and target.is_file():
            shown = target.relative_to(DOCS).as_posix()
        elif config.repo_url:
            shown = f"{config.repo_url.rstrip('/')}/blob/main/{target.relative_to(ROOT)}"
            return f"{found['picture']}[{found['words']}]({shown}{anchor})"
        else:
            return found["words"]
        return f"{found['picture']}[{found['words']}]({os.path.relpath(shown, Path(uri).parent)}{anchor})"

    return LINK.sub(pointed, markdown)
