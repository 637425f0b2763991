"""Text in files: which encoding it has, and whether it is text at all."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"8BPS\x00\x01", "a Photoshop image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\x7fELF", "an ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
    (b"MZ", "a Windows program or library"),
    (b"PK\x03\x04", "a zip archive (or a document, jar or wheel, which are such)"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\x00asm", "WebAssembly"),
    (b"OggS", "Ogg media"),
    (b"ID3", "MP3 audio"),
    (b"\xca\xfe\xba\xbe", "a Java class"),
)

_FTYP = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "a HEIC image",
    b"heix": "a HEIC image",
    b"hevc": "a HEIC image",
    b"mif1": "a HEIF image",
    b"msf1": "a HEIF image",
    b"isom": "an MP4 video",
    b"mp42": "an MP4 video",
}
"""By the brand in the first box of an ISO media file."""

_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class NotTextError(Exception):
    """The bytes are no text; the message says what they seem to be, after `is`."""


@dataclass(frozen=True, slots=True)
class Text:
    """Decoded text and how to get its bytes back: byte order mark, encoding, line ends as they are."""

    text: str
    encoding: str
    bom: bytes = b""

    def encode(self, text: str) -> bytes:
        """Return `text` as bytes in the same encoding. Raises `UnicodeEncodeError`."""
        return self.bom + text.encode(self.encoding)

    @property
    def crlf(self) -> bool:
        """Return whether most lines end in CR LF."""
        pairs = self.text.count("\r\n")
        return pairs > self.text.count("\n") - pairs

    @property
    def note(self) -> str:
        """Return what is unusual about the text's form, empty if nothing is."""
        form = []
        if self.bom or self.encoding != "utf-8":
            form.append(f"{self.encoding}{' with byte order mark' if self.bom else ''}")
        if self.crlf:
            form.append("CRLF line ends")
        return ", ".join(form)


def decode(data: bytes) -> Text:
    """Decode text: UTF-8 or UTF-16 by its byte order mark, else UTF-8, else Latin-1. Raises `NotTextError`."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                text = Text(data[len(bom) :].decode(encoding), encoding, bom)
            except UnicodeDecodeError:
                break
            return text
    kind = kind_of(data)
    if kind:
        raise NotTextError(kind)
    if b"\0" in data:
        raise NotTextError("binary data")
    try:
        return Text(data.decode(), "utf-8")
    except UnicodeDecodeError:
        pass
    if len(_CONTROL.findall(data)) * 20 > len(data):
        raise NotTextError("binary data")
    return Text(data.decode("latin-1"), "latin-1")


def kind_of(data: bytes) -> str:
    """Return the media type of an image or PDF, or words for another known binary kind; else empty."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:3] == b"\0\0\0" and data[4:8] == b"ftyp" and data[8:12] in _FTYP:
        return _FTYP[data[8:12]]
    for magic, kind in _MAGIC:
        # Two letters may well begin a text.
        if data.startswith(magic) and (len(magic) > 3 or b"\0" in data[:4096] or not magic.isascii()):
            return kind
    return ""
