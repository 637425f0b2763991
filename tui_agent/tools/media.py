"""Images and PDFs as the API takes them. Both are checked before they are sent: a request holds what it once held, so
one that the server refuses would be refused with every later request too.

Pillow and pypdf are imported by the first call, which belongs into a thread.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

LONGEST_EDGE = 2_000
"""Pixels of an image's longer side. The API takes 8,000 and, once a request holds more than 20 images, 2,000
(platform.claude.com, vision, November 2026). What was sent can be made no smaller later, so this holds for each."""

LARGEST_IMAGE = 2_000_000
"""Bytes of an image that is sent as it is; the API takes 5 MB in base64 for one image and 32 MB for a request."""

MOST_PIXELS = 100_000_000
"""Pixels of an image that is decoded, 400 MB at most: a small file can hold any number."""

MOST_PAGES = 100
"""Pages of a PDF that the API takes (platform.claude.com, PDF support, November 2026)."""

PDF_SECONDS = 20.0
"""How long looking at a PDF may take; broken ones can send a parser round in circles."""

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF")
"""What Pillow may open. Some of its other formats start programs or are long out of use."""

_SENT = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Formats that the API takes, with their media types."""

_ORIENTATION = 0x0112
"""The Exif tag that says how a camera was held."""

_one_at_a_time = threading.Lock()


class MediaError(Exception):
    """The bytes cannot be sent as what they begin like. The message continues `FILE is …`."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that the API takes. `note` says what was changed to make it so, empty where nothing was."""

    media_type: str
    data: bytes
    note: str = ""


def prepare_image(data: bytes) -> Picture:
    """Return an image within the API's limits: as it is where it fits, else scaled or converted. Blocking.

    Of an animation that is the first frame. Raises `MediaError` where it cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with _one_at_a_time:
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _fitted(image, data)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
            raise MediaError(f"an image of more than {MOST_PIXELS:,} pixels: make it smaller first") from None
        except MediaError:
            raise
        # Decoders of broken files raise whatever they stumble over.
        except Exception as error:
            detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
            raise MediaError(f"damaged, or of a form that cannot be decoded{detail}") from error


def _fitted(image: PillowImage, data: bytes) -> Picture:
    from PIL import Image, ImageOps

    form, size = image.format or "", image.size
    if size[0] * size[1] > MOST_PIXELS:
        raise MediaError(f"an image of more than {MOST_PIXELS:,} pixels: make it smaller first")
    animated = bool(getattr(image, "is_animated", False))
    turned = image.getexif().get(_ORIENTATION, 1) != 1
    fits = max(size) <= LONGEST_EDGE and len(data) <= LARGEST_IMAGE
    if fits and form in _SENT and image.mode in {"1", "L", "LA", "P", "RGB", "RGBA"} and not animated and not turned:
        image.load()  # only decoding all of it shows whether it is whole
        return Picture(_SENT[form], data)
    if form not in {"JPEG", "MPO"}:
        image = _plain(image)
    image.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Image.Resampling.LANCZOS)
    image = _plain(ImageOps.exif_transpose(image))
    media_type, sent = _encoded(image, photo=form in {"JPEG", "MPO"})
    notes = []
    if max(size) > LONGEST_EDGE:
        notes.append(f"scaled from {size[0]:,}x{size[1]:,} to {image.width:,}x{image.height:,} pixels")
    if animated and form not in {"MPO", "ICO"}:
        notes.append("the first frame of an animation")
    if not notes:
        notes.append(f"converted to {media_type}")
    return Picture(media_type, sent, "; ".join(notes))


def _plain(image: PillowImage) -> PillowImage:
    """Return the image in grey or colour of 8 bits, with or without transparency."""
    if image.mode in {"L", "RGB", "RGBA"} and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits of grey; converting alone would cut them off
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "F"}:
        return image.convert("L")
    transparent = "A" in image.mode or "a" in image.mode or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _encoded(image: PillowImage, *, photo: bool) -> tuple[str, bytes]:
    """Return the media type and the bytes: PNG, or JPEG for photos and where PNG is too large."""
    if not photo:
        file = io.BytesIO()
        image.save(file, "PNG", optimize=False)
        if len(file.getvalue()) <= LARGEST_IMAGE:
            return "image/png", file.getvalue()
    if image.mode == "RGBA":
        from PIL import Image

        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white.convert("RGB")
    for quality in (85, 60, 30):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if len(file.getvalue()) <= LARGEST_IMAGE:
            break
    return "image/jpeg", file.getvalue()


def check_pdf(data: bytes) -> int:
    """Return the number of pages of a PDF that the API would take. Blocking.

    A process of its own looks, which is ended after `PDF_SECONDS`. Raises `MediaError`.
    """
    # -P: the working folder is somebody else's code.
    command = [sys.executable, "-P", "-m", "tui_agent.tools.pdf_pages"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=PDF_SECONDS, cwd="/", check=False)
    except subprocess.TimeoutExpired:
        raise MediaError(f"a PDF that could not be read within {PDF_SECONDS:.0f} seconds") from None
    words = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0 or not words.isdecimal():
        raise MediaError(words or "a PDF that cannot be read")
    pages = int(words)
    if pages > MOST_PAGES:
        raise MediaError(
            f"a PDF of {pages:,} pages; at most {MOST_PAGES} can be sent. Take out the text or some pages with bash, "
            "e.g. pdftotext or qpdf, where they are installed"
        )
    return pages
