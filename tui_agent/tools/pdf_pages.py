"""Counts the pages of a PDF on standard input. A process of its own: see `media.check_pdf`.

Prints the number, or in words why there is none, and then ends with 1.
"""

from __future__ import annotations

import contextlib
import io
import logging
import resource
import sys

MOST_MEMORY = 2 * 1024**3
"""Bytes of address space: small files can unpack to any size."""


def main() -> int:
    """Do it; return the exit code."""
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    logging.disable()
    from pypdf import PdfReader

    data = sys.stdin.buffer.read()
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            sys.stdout.write("a PDF that is encrypted: save it without a password first")
            return 1
        pages = len(reader.pages)
        for page in reader.pages:
            page.mediabox  # noqa: B018  reading it raises where the page is not whole
    # A parser of broken files raises whatever it stumbles over.
    except Exception as error:
        sys.stdout.write(f"a damaged PDF ({type(error).__name__}: {error})"[:300].replace("\n", " "))
        return 1
    if not pages:
        sys.stdout.write("a PDF without pages")
        return 1
    sys.stdout.write(str(pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
