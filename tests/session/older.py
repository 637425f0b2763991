"""Sessions written by earlier versions, unpacked into a test's own data folder."""

from __future__ import annotations

import lzma
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data/sessions-0.1.0"

NAMES = sorted(path.name.removesuffix(".db.xz") for path in FOLDER.glob("*.db.xz"))
"""What is in each: see the docstrings in `make.py` beside them."""


def unpack(data: Path, *names: str) -> None:
    """Put these sessions of 0.1.0, or all, into the data folder `data`."""
    for name in names or NAMES:
        database = data / "sessions" / name / "session.db"
        database.parent.mkdir(parents=True)
        database.write_bytes(lzma.decompress((FOLDER / f"{name}.db.xz").read_bytes()))
