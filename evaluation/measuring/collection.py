"""Reports and drawn folders as one page: the work of `evaluation.collect`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dalle2.images import open_picture
from evaluation.cli import outputs
from evaluation.cli.collect import Options
from evaluation.drawing import cost as costs
from evaluation.drawing.cost import COST
from evaluation.pictures.manifest import MANIFEST, read_manifest
from evaluation.reporting import report, webpage
from evaluation.reporting.report import COLUMNS, Report, flat, markdown_notes, markdown_table

SHOWN = 24
SIDE = 128  # pixels of a picture on the page


@dataclass(frozen=True)
class Part:
    """A report, and of drawn pictures some files with their captions."""

    report: Report
    pictures: tuple[tuple[Path, str], ...] = ()

    @property
    def command(self) -> str:
        return str(self.report.provenance["command"])


@dataclass(frozen=True)
class Collection:
    """Parts under one title, `words` being a paragraph for the reader."""

    title: str
    words: str
    parts: tuple[Part, ...]

    @cached_property
    def shared(self) -> Mapping[str, str]:
        """Return the facts that are the same in all parts."""
        first, *others = (dict(flat(part.report.provenance)) for part in self.parts)
        return {name: value for name, value in first.items() if all(facts.get(name) == value for facts in others)}

    def own(self, part: Part) -> list[tuple[str, str]]:
        """Return the facts of a part that not all share."""
        return [fact for fact in flat(part.report.provenance) if fact[0] not in self.shared]

    def to_json(self) -> str:
        """Return every part in full, without the pictures."""
        values = {"title": self.title, "words": self.words, "parts": [part.report.to_dict() for part in self.parts]}
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Return commands, tables, warnings and provenance, without the pictures."""
        lines = [f"# {self.title}", "", self.words, ""]
        for part in self.parts:
            lines += [f"## {part.report.title}", "", "```", part.command, "```", ""]
            lines += [*markdown_table(COLUMNS, part.report.rows()), "", *markdown_notes(part.report.warnings)]
        lines += ["## Provenance", "", *markdown_table(("fact", "value"), list(self.shared.items())), ""]
        for part in self.parts:
            lines += [f"### {part.report.title}", "", *markdown_table(("fact", "value"), self.own(part)), ""]
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return one self-contained page."""
        sections = [
            webpage.section(
                part.report.title,
                webpage.command(part.command),
                *_gallery(part),
                *([webpage.table(COLUMNS, rows, numbers=(1, 2, 3))] if (rows := part.report.rows()) else []),
                *webpage.notes(part.report.warnings),
            )
            for part in self.parts
        ]
        facts = [webpage.provenance(self.shared.items(), "Provenance of all")]
        facts += [webpage.provenance(self.own(part), part.report.title) for part in self.parts]
        return webpage.page(self.title, webpage.text(self.words), *sections, *facts)


def collect(options: Options) -> Collection:
    """Return the parts that the options name; ValueError for one that cannot be collected."""
    outputs.keep(options.report, [file for part in options.parts for file in (part / MANIFEST, part / COST)])
    return Collection(options.title, options.words, tuple(read_part(path) for path in options.parts))


def read_part(path: Path) -> Part:
    """Return a report's .json, or a drawn folder; ValueError for anything else."""
    manifest = read_manifest(path)
    if manifest is None:
        if path.is_dir():
            raise ValueError(f"{path} was not drawn by generation: name its report instead.")
        try:
            return Part(Report.from_dict(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ValueError(f"{path} cannot be collected: {error}") from error
    facts, warnings = manifest.model_dump(mode="json"), []
    cost = costs.read_cost(path)
    measures = costs.measures(cost, manifest.pictures, manifest.batch_size)
    if cost is None:
        warnings.append("What a picture took is not known: these were not drawn in one go.")
    else:
        facts["processor"] = cost.processor
    title = f"Drawn: {manifest.pictures:,} pictures of {manifest.prompts}"
    rows = [manifest.rows[index * manifest.pictures // SHOWN] for index in range(SHOWN)]
    shown = tuple((path / row.file, row.caption) for row in dict.fromkeys(rows))
    return Part(Report(title, tuple(measures), facts, tuple(warnings)), shown)


def write(collection: Collection, path: Path) -> Path:
    """Write it in the format of the suffix; ValueError for another one."""
    formats = {".html": collection.to_html, ".md": collection.to_markdown, ".json": collection.to_json}
    if path.suffix.lower() not in formats:
        raise ValueError(f"A collection is written as {', '.join(formats)}: give {path.name!r} one of these endings.")
    return report.write_text(path, formats[path.suffix.lower()]())


def _gallery(part: Part) -> list[str]:
    if not part.pictures:
        return []
    words = f"{len(part.pictures)} of them at even steps through the prompts, none of them picked:"
    pictures = ((open_picture(file), caption) for file, caption in part.pictures)
    return [webpage.text(words), webpage.gallery(pictures, SIDE)]
