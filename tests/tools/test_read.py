from __future__ import annotations

import base64
import codecs
import io
import os
import struct
import zlib
from random import Random
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfWriter

from tests.tools.support import Bench, text
from tui_agent.tools.encoding import NotTextError, decode
from tui_agent.tools.read import MOST_BYTES
from tui_agent.workflow import ToolError


def encoded(form: str, size: tuple[int, int] = (4, 3), mode: str = "RGB", **options: Any) -> bytes:
    """Return an image as a file of that format."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, form, **options)
    return file.getvalue()


def pdf(pages: int = 1, password: str = "") -> bytes:
    """Return a PDF of empty pages."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    if password:
        writer.encrypt(password)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


PNG = encoded("PNG")


async def test_lines_are_numbered_and_the_content_is_known(bench: Bench) -> None:
    path = bench.file("a.txt", "one\ntwo\n")
    outcome = await bench.do("read", path="a.txt")
    assert text(outcome) == "1\tone\n2\ttwo"
    assert outcome.summary == "2 lines"
    assert [state.path for state in outcome.effects] == [str(path)]
    assert bench.files_read == {str(path): outcome.effects[0].sha256}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(lines=st.integers(1, 60), offset=st.integers(1, 70), limit=st.none() | st.integers(1, 70))
async def test_ranges(tmp_path_factory: pytest.TempPathFactory, lines: int, offset: int, limit: int | None) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.file("a.txt", "".join(f"line {n}\n" for n in range(1, lines + 1)))
    asked: dict[str, object] = {"offset": offset} | ({"limit": limit} if limit else {})
    if offset > lines:
        with pytest.raises(ToolError, match=f"has only {lines} line"):
            await bench.do("read", path="a.txt", **asked)
        return
    shown, _, note = text(await bench.do("read", path="a.txt", **asked)).partition("\n[")
    last = min(lines, offset + (limit or lines) - 1)
    assert shown.split("\n") == [f"{n}\tline {n}" for n in range(offset, last + 1)]
    assert (f"read on with offset={last + 1}" in note) == (last < lines)
    assert bool(note) == (offset > 1 or last < lines)


async def test_a_large_text_is_cut_and_says_how_to_read_on(bench: Bench) -> None:
    bench.file("a.txt", "x" * 100 + "\n" + ("y" * 100 + "\n") * 5000)
    result = text(await bench.do("read", path="a.txt"))
    assert len(result) < MOST_BYTES + 200
    last = int(result.split("\n")[-2].split("\t")[0])
    assert result.endswith(f"[lines 1-{last} of 5001; read on with offset={last + 1}]")


async def test_a_long_line_is_cut(bench: Bench) -> None:
    bench.file("a.txt", "x" * 5000 + "\nend\n")
    result = text(await bench.do("read", path="a.txt"))
    assert "[… 3,000 more characters in this line]\n2\tend" in result


async def test_a_file_too_large_for_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_agent.tools import read

    monkeypatch.setattr(read, "LARGEST_FILE", 100)
    bench.file("a.txt", "".join(f"line {n}\n" for n in range(1, 101)))
    outcome = await bench.do("read", path="a.txt", offset=50, limit=2)
    assert text(outcome).startswith("50\tline 50\n51\tline 51\n[lines 50-51 of a file of ")
    assert outcome.effects == []
    assert text(await bench.do("read", path="a.txt", offset=99)).splitlines()[-1].endswith("bytes]")
    with pytest.raises(ToolError, match="fewer than 200"):
        await bench.do("read", path="a.txt", offset=200)
    bench.file("b.bin", b"\0" * 200)
    with pytest.raises(ToolError, match="binary"):
        await bench.do("read", path="b.bin")


@pytest.mark.parametrize(
    ("data", "shown", "note"),
    [
        (b"a\r\nb\r\n", "1\ta\n2\tb", "\n[CRLF line ends]"),
        (codecs.BOM_UTF8 + b"a\n", "1\ta", "\n[utf-8 with byte order mark]"),
        (codecs.BOM_UTF16_LE + "aé\n".encode("utf-16-le"), "1\taé", "\n[utf-16-le with byte order mark]"),
        (codecs.BOM_UTF16_BE + "a\n".encode("utf-16-be"), "1\ta", "\n[utf-16-be with byte order mark]"),
        (b"caf\xe9\n", "1\tcafé", "\n[latin-1]"),
        (b"a\x0cb\n", "1\ta\x0cb", ""),
        (b"", "[the file is empty]", ""),
    ],
)
async def test_encodings_are_said(bench: Bench, data: bytes, shown: str, note: str) -> None:
    bench.file("a.txt", data)
    assert text(await bench.do("read", path="a.txt")) == shown + note


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x7fELF\x02\x01\x01\0", "an ELF program"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"\x1f\x8b\x08\0", "gzip data"),
        (b"some\0thing", "binary data"),
        (bytes(range(1, 32)) * 10 + b"\xff", "binary data"),
    ],
)
async def test_binary_is_refused_with_what_it_is(bench: Bench, data: bytes, kind: str) -> None:
    bench.file("a.bin", data)
    with pytest.raises(ToolError, match=kind):
        await bench.do("read", path="a.bin")


@given(st.binary(max_size=200))
def test_whatever_decodes_encodes_back(data: bytes) -> None:
    try:
        form = decode(data)
    except NotTextError:
        return
    assert form.encode(form.text) == data


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_text(content: str) -> None:
    data = content.encode()
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"%PDF-", b"GIF8", b"7z", b"OggS")):
        form = decode(data)
        assert form.bom + form.text.encode() == data


async def test_images_and_pdfs(bench: Bench) -> None:
    bench.file("a.png", PNG)
    bench.file("b.pdf", pdf())
    result = (await bench.do("read", path="a.png")).result
    assert result == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        }
    ]
    assert (await bench.do("read", path="b.pdf")).result[0]["type"] == "document"
    bench.images = False
    with pytest.raises(ToolError, match="this model does not take"):
        await bench.do("read", path="a.png")


FRAMES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]


@pytest.mark.parametrize(
    ("name", "data", "size", "note"),
    [
        ("huge.png", encoded("PNG", (9_000, 9_000), "L"), (2_000, 2_000), "scaled from 9,000x9,000"),
        ("wide.png", encoded("PNG", (2_560, 1_440)), (2_000, 1_125), "scaled"),
        ("line.png", encoded("PNG", (9_000, 1)), (2_000, 1), "scaled"),
        ("palette.gif", encoded("GIF", (2_100, 10), "P"), (2_000, 10), "scaled"),
        ("cmyk.jpg", encoded("JPEG", mode="CMYK"), (4, 3), "converted"),
        ("deep.png", encoded("PNG", mode="I;16"), (4, 3), "converted"),
        ("moving.gif", encoded("GIF", (8, 8), save_all=True, append_images=FRAMES), (8, 8), "animation"),
        ("moving.webp", encoded("WEBP", (8, 8), save_all=True, append_images=FRAMES), (8, 8), "animation"),
        ("bitmap.bmp", encoded("BMP"), (4, 3), "converted"),
        ("scan.tiff", encoded("TIFF"), (4, 3), "converted"),
        ("photo.png", encoded("JPEG"), (4, 3), ""),  # its name says something else
        ("photo.webp", encoded("WEBP"), (4, 3), ""),
        (
            "turned.jpg",
            encoded("JPEG", (4, 2), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
            (2, 4),
            "converted",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_image_is_made_fit_to_be_sent(
    bench: Bench, name: str, data: bytes, size: tuple[int, int], note: str
) -> None:
    bench.file(name, data)
    block, *notes = (await bench.do("read", path=name)).result
    source: Any = block["source"]
    sent = base64.b64decode(source["data"])
    with Image.open(io.BytesIO(sent)) as image:
        assert source["media_type"] == Image.MIME[image.format or ""]
        assert source["media_type"] in {"image/png", "image/jpeg", "image/gif", "image/webp"}
        assert (image.size, getattr(image, "is_animated", False)) == (size, False)
    assert note in str(notes)
    assert bool(note) == (sent != data)


async def test_an_image_of_too_many_bytes_is_packed_tighter(bench: Bench) -> None:
    noise = Image.frombytes("RGB", (1_500, 1_500), Random(1).randbytes(1_500 * 1_500 * 3))
    file = io.BytesIO()
    noise.save(file, "PNG")
    bench.file("noise.png", file.getvalue())
    block = (await bench.do("read", path="noise.png")).result[0]
    source: Any = block["source"]
    assert len(source["data"]) < 4_000_000


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cut.png", encoded("PNG", (300, 300))[:-40], "damaged"),
        ("cut.jpg", encoded("JPEG", (300, 300))[:400], "damaged"),
        ("head.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "damaged"),
        ("bomb.png", b"", "pixels"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "convert it to PNG"),
        ("garbage.pdf", b"%PDF-1.4 garbage", "damaged PDF"),
        ("cut.pdf", pdf(3)[:60], "PDF"),
        ("locked.pdf", pdf(password="x"), "encrypted"),
        ("long.pdf", pdf(101), "101 pages"),
        ("empty.pdf", pdf(0), "without pages"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_server_would_refuse_is_not_sent(bench: Bench, name: str, data: bytes, words: str) -> None:
    if name == "bomb.png":
        size = struct.pack(">II", 30_000, 30_000)
        data = PNG[:16] + size + PNG[24:29] + struct.pack(">I", zlib.crc32(b"IHDR" + size + PNG[24:29])) + PNG[33:]
    bench.file(name, data)
    with pytest.raises(ToolError, match=words):
        await bench.do("read", path=name)


async def test_an_svg_is_text_and_an_empty_image_is_empty(bench: Bench) -> None:
    bench.file("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>')
    bench.file("b.png", "")
    assert "<svg" in text(await bench.do("read", path="a.svg"))
    assert "empty" in text(await bench.do("read", path="b.png"))


async def test_folders_are_listed(bench: Bench) -> None:
    assert text(await bench.do("read", path=".")) == "[the folder is empty]"
    bench.file("b/c.txt", "")
    bench.file("a.txt", "")
    (bench.workspace / os.fsdecode(b"bad\xff")).write_text("")
    outcome = await bench.do("read", path=".")
    assert text(outcome) == "a.txt\nb/\nbad\\xff"
    text(outcome).encode()


async def test_what_is_not_there(bench: Bench) -> None:
    bench.file("settings.py", "")
    with pytest.raises(ToolError, match=r"setings\.py does not exist\. Near it are: settings\.py"):
        await bench.do("read", path="setings.py")


async def test_a_pipe_does_not_hang(bench: Bench) -> None:
    os.mkfifo(bench.workspace / "pipe")
    with pytest.raises(ToolError, match="not a regular file"):
        await bench.do("read", path="pipe")


def test_titles(bench: Bench) -> None:
    tool = bench.tool("read")
    assert tool.title(bench.call("read", path="a")) == "read a"
    assert tool.title(bench.call("read", path="a", offset=3, limit=2)) == "read a:3-4"
    assert tool.title(bench.call("read", path="a", offset=3)) == "read a:3-"


@pytest.mark.parametrize(("stored", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
async def test_a_name_is_read_as_one_sees_it(bench: Bench, stored: str, asked: str) -> None:
    bench.file(f"{normalize(stored, 'Bücher')}/{normalize(stored, 'café.txt')}", "here\n")
    assert "here" in text(await bench.do("read", path=normalize(asked, "Bücher/café.txt")))


async def test_of_two_names_that_look_alike_the_one_that_was_written_is_read(bench: Bench) -> None:
    bench.file(normalize("NFD", "é"), "two characters\n")
    bench.file(normalize("NFC", "é"), "one character\n")
    assert "one" in text(await bench.do("read", path=normalize("NFC", "é")))
    assert "two" in text(await bench.do("read", path=normalize("NFD", "é")))


async def test_a_near_name_that_looks_the_same_is_shown_with_its_characters(bench: Bench) -> None:
    bench.file("my\u00a0notes.txt", "x")
    with pytest.raises(ToolError, match=r"my\\xa0notes\.txt"):
        await bench.do("read", path="my notes.txt")
