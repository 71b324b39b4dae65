"""Pictures as people bring them: read as their own library reads them, or refused with a reason."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.edge.tasks.image_classification import Config, ImageClassification
from edgekit.errors import InputError

SIDE = 8
ORIENTATION = 0x0112


def task(channels: int = 3) -> ImageClassification:
    return ImageClassification(
        Config(labels=["a", "b"], height=SIDE, width=SIDE, channels=3 if channels == 3 else 1)
    )


def blots(mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Make a picture that is alike neither turned nor mirrored."""
    values = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def written(image: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, channels: int = 3) -> np.ndarray:
    """Return what the task makes of a file: uint8 [height, width, channels]."""
    made = task(channels)
    value = made.parse(base64.b64encode(data).decode())
    [tensor] = made.encode([value])["pixel_values"]
    return np.asarray(np.round(tensor * 255).astype(np.uint8).transpose(1, 2, 0))


def as_the_library(data: bytes) -> np.ndarray:
    """Read a file as `load_image` of transformers does."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return written(blots(size=(SIDE, 2 * SIDE)), kind, exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    data = turned(orientation, kind)
    assert np.array_equal(pixels(data), as_the_library(data))
    upright = orientation == 1
    assert np.array_equal(pixels(data), pixels(turned(1, kind))) == upright


def test_an_exif_that_makes_no_sense_turns_nothing() -> None:
    for orientation in (0, 9, 65535):
        assert np.array_equal(pixels(turned(orientation)), pixels(turned(1)))


def opaque(mode: str) -> Image.Image:
    image = blots(mode)
    image.putalpha(255)
    return image


def palette_with_a_hole() -> bytes:
    return written(blots().quantize(16), "PNG", transparency=0)


def colour_with_a_hole() -> bytes:
    image = blots()
    colour = image.getpixel((0, 0))
    return written(image, "PNG", transparency=colour)


@pytest.mark.parametrize(
    "make",
    [
        lambda: written(blots("CMYK"), "JPEG"),
        lambda: written(blots("CMYK"), "TIFF"),
        lambda: written(blots("LAB"), "TIFF"),
        lambda: written(blots("1"), "PNG"),
        lambda: written(blots("P"), "PNG"),
        lambda: written(blots("L"), "JPEG"),
        lambda: written(opaque("RGBA"), "PNG"),
        lambda: written(opaque("LA"), "PNG"),
        lambda: written(opaque("RGBA"), "WEBP", lossless=True),
        # a camera's file whose second picture is a preview
        lambda: written(blots(), "MPO", save_all=True, append_images=[blots()]),
    ],
    ids=["CMYK", "CMYK TIFF", "LAB", "1", "P", "L", "RGBA", "LA", "WebP", "MPO"],
)
def test_other_modes_are_read_as_the_library_reads_them(make: Callable[[], bytes]) -> None:
    data = make()
    assert np.array_equal(pixels(data), as_the_library(data))


def deep_colour() -> bytes:
    """Make a PNG of 16 bits a channel, which Pillow itself does not write."""
    import struct
    import zlib

    values = np.random.default_rng(2).integers(0, 1 << 16, (SIDE, SIDE, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    pieces = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


def test_colours_of_16_bits_are_read_as_the_library_scales_them() -> None:
    data = deep_colour()
    assert np.array_equal(pixels(data), as_the_library(data))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: written(blots("RGBA").rotate(45), "PNG"), "transparent parts"),
        (lambda: written(blots("LA").rotate(45), "PNG"), "transparent parts"),
        (lambda: written(blots("RGBA").rotate(45), "WEBP"), "transparent parts"),
        (lambda: written(blots("RGBA").rotate(45), "TIFF"), "transparent parts"),
        (palette_with_a_hole, "transparent parts"),
        (colour_with_a_hole, "transparent parts"),
        (lambda: written(blots(), "TIFF", save_all=True, append_images=[blots()]), "pages"),
        (lambda: written(blots(), "WEBP", save_all=True, append_images=[blots("L")]), "frames"),
        (lambda: written(blots(), "PNG", save_all=True, append_images=[blots("L")]), "frames"),
        (lambda: written(Image.fromarray(np.ones((9, 9), np.uint16)), "PNG"), "8 bits"),
        (lambda: written(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), "8 bits"),
        (lambda: written(blots().quantize(4), "GIF"), "can be read"),
        (lambda: written(blots(), "PNG")[:60], "can be read"),
        (lambda: b"", "can be read"),
    ],
)
def test_what_would_be_left_out_is_refused(make: Callable[[], bytes], why: str) -> None:
    data = make()
    for channels in (1, 3):
        with pytest.raises(InputError, match=why):
            pixels(data, channels)
