"""Words read aloud by espeak-ng, for people who do not see the picture that they tell of."""

import shutil
import subprocess
from pathlib import Path

from dalle2 import atomic

SECONDS = 60  # the most that it may take


def check_reader() -> str:
    """Return where espeak-ng is; ValueError where it is not installed."""
    found = shutil.which("espeak-ng")
    if found is None:
        raise ValueError(
            "Reading aloud needs espeak-ng (Debian: apt install espeak-ng, macOS: brew install espeak-ng)."
        )
    return found


def read_aloud(text: str, path: Path, overwrite: bool = False) -> Path:
    """Write a text, spoken in English, as a WAV file; FileExistsError for a name that is taken, without `overwrite`."""
    with atomic.file(path, overwrite) as partial:
        command = [check_reader(), "-v", "en-us", "-w", str(partial), "--stdin"]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=SECONDS)
        if done.returncode or not partial.stat().st_size:
            reason = done.stderr.decode(errors="replace").strip()[:200]
            raise ValueError(f"espeak-ng could not read this aloud: {reason}")
    return path
