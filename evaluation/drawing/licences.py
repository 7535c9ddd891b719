"""Under which licence a checkpoint is, as its publishers or its folder's card say; nothing is guessed."""

from huggingface_hub.repocard import metadata_load

from dalle2.families.published import known
from evaluation.networks.embedded import checkpoint_folder


def licence_of(checkpoint: str) -> str:
    """Return the licence, "" where nobody says."""
    if found := known(checkpoint):
        return found.licence
    card = checkpoint_folder(checkpoint) / "README.md"
    try:
        facts = (metadata_load(card) if card.is_file() else None) or {}
    except (OSError, ValueError):
        return ""
    return str(facts.get("license_name") or facts.get("license") or "")
