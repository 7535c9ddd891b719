"""Which concepts come out well: how often a judge that nobody trained against recognises a checkpoint's pictures.

``recognition.json`` lies beside the weights that it is of; `python -m evaluation.recognition` writes it. Values of
other weights are not used, and that is logged.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dalle2 import atomic

FILE = "recognition.json"
BADLY = 0.4  # of what is recognised less often it is said beforehand
WELL = 0.7  # what is recognised as often is offered instead, and surprises
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recognition:
    """Measured shares.

    Attributes:
        checkpoint_hash: of the weights that drew. judge: SHA-256 of the judge's weights.
        pictures: drawn of each concept. rates: code of a concept -> share, 0 to 1, in which the picture is nearer to
            its own label than to 99 others.
    """

    checkpoint_hash: str
    judge: str
    pictures: int
    rates: Mapping[str, float]

    @classmethod
    def read(cls, folder: Path, checkpoint_hash: str) -> "Recognition | None":
        """Read a checkpoint's; None where it was never measured, or with other weights. ValueError when damaged."""
        if not (folder / FILE).is_file():
            return None
        try:
            found = cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
            numbers = all(isinstance(rate, int | float) and 0 <= rate <= 1 for rate in found.rates.values())
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder / FILE} is damaged ({error}): remove it, or measure again.") from error
        if not numbers:
            raise ValueError(f"{folder / FILE} is damaged (a share must lie in 0 to 1): remove it, or measure again.")
        if found.checkpoint_hash == checkpoint_hash:
            return found
        log.warning("%s is of other weights and is not used: run python -m evaluation.recognition", folder / FILE)
        return None

    def write(self, folder: Path) -> None:
        """Write the file, which appears whole or not at all."""
        with atomic.file(folder / FILE) as file:
            file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def badly(self, code: str) -> bool:
        """Whether a concept is known to come out badly."""
        return self.rates.get(code, 1.0) < BADLY

    def well(self, code: str) -> bool:
        """Whether a concept is known to come out well."""
        return self.rates.get(code, 0.0) >= WELL
