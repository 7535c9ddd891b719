"""What a report of `evaluation.fid` says beside its numbers: of the reference, of rounding, and what was published."""

from dalle2 import hashes
from evaluation.measuring.fid_plan import Plan, StatisticsFile, stats_file
from evaluation.pictures.contents import contents_sha256
from evaluation.prompts.protocol import Protocol

ROUNDINGS = {
    "clean": "floats after resizing, clipped to 0..255 and not rounded",
    "legacy-tf": "floats after resizing, not rounded",
    "legacy-torch": "floats after resizing, not rounded",
}


def of_reference(plan: Plan) -> dict[str, object]:
    """Return by which hash the reference is known: of its pictures, or of its file of statistics."""
    if plan.saved is not None:
        return {"reference_file": {"form": plan.saved.form, "sha256": _hashes(plan, plan.saved)}}
    return {} if plan.real is None else {"reference_sha256": contents_sha256(plan.real.pictures)}


def rounding_of(resize: str, size: int | None) -> str:
    """Return how levels are rounded on their way to the network."""
    before = "" if size is None else f"8 bits at {size} pixels a side, then "
    return before + ROUNDINGS.get(resize, "as the network's own preparation has it")


def _hashes(plan: Plan, saved: StatisticsFile) -> object:
    """Return the hash of the reference's file, or of each where every pass has its own."""
    own = {spec: stats_file(plan.specs, spec, saved.file) for spec in plan.specs}
    files = dict.fromkeys(file if file.exists() else saved.file for file in own.values())
    found = {file.name: hashes.of_file(file) for file in files}
    return found if len(found) > 1 else next(iter(found.values()))


def beside(protocol: Protocol, pictures: int, known_settings: bool) -> list[str]:
    """Return the published figures as sentences, and what keeps ours from standing beside them."""
    notes = []
    if pictures != protocol.pictures:
        notes.append(
            f"The protocol is of {protocol.pictures:,} pictures and these are {pictures:,}: the published figures "
            "below do not compare."
        )
    if not known_settings:
        notes.append("The folder has no manifest, so guidance, steps and prompts are not known: state them yourself.")
    return notes + [
        f"Published FID {entry.fid:.2f}, {entry.model}: {entry.differences}." for entry in protocol.published
    ]
