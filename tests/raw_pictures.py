"""Make encoded pictures as programs write them, odd and damaged ones among them, from a seed."""

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

Make = Callable[[random.Random], bytes]
ORIENTATION = 0x0112  # of EXIF: 1 is upright, 2 to 8 are mirrored and turned


def blots(rng: random.Random, mode: str = "RGB", size: tuple[int, int] | None = None) -> Any:  # noqa: ANN401
    """Make a picture of soft random blots, of 5 to 90 pixels a side if no size is given."""
    width, height = size or (rng.randint(5, 90), rng.randint(5, 90))
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (4, 4, channels) if channels > 1 else (4, 4)
    values = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, shape, dtype=np.uint8)
    small = Image.frombytes(mode, (4, 4), values.tobytes())
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Any, kind: str, **options: Any) -> bytes:  # noqa: ANN401
    """Write a picture as a file of this kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def in_mode(mode: str, kind: str, **options: Any) -> Make:  # noqa: ANN401
    """Return what makes a file of this kind with pixels of this mode."""
    return lambda rng: encoded(blots(rng, mode), kind, **options)


def of_size(width: int, height: int, kind: str = "PNG") -> Make:
    """Return what makes a picture of this size."""
    return lambda rng: encoded(blots(rng, "RGB", (width, height)), kind)


def turned(kind: str) -> Make:
    """Return what makes a picture that the camera held otherwise, as its EXIF says."""

    def make(rng: random.Random) -> bytes:
        exif = Image.Exif()
        exif[ORIENTATION] = rng.randint(1, 8)
        return encoded(blots(rng), kind, exif=exif)

    return make


def palette(kind: str, transparent: bool) -> Make:
    """Return what makes a picture with a palette, one colour of which may be transparent."""

    def make(rng: random.Random) -> bytes:
        image = blots(rng).quantize(rng.choice([2, 16, 200]))
        return encoded(image, kind, **({"transparency": 0} if transparent else {}))

    return make


def deep(kind: str, dtype: str) -> Make:
    """Return what makes a grey picture of 16, 32 or float bits."""

    def make(rng: random.Random) -> bytes:
        high = 1 if dtype == "float32" else 256
        values = np.asarray(blots(rng, "L")).astype(dtype) * high
        return encoded(Image.fromarray(values), kind)

    return make


def moving(kind: str) -> Make:
    """Return what makes a file of several pictures, of which the first one counts."""
    return lambda rng: encoded(
        blots(rng, "RGB", (30, 20)),
        kind,
        save_all=True,
        append_images=[blots(rng, "RGB", (30, 20)) for _ in range(2)],
    )


def truncated(kind: str) -> Make:
    """Return what makes a file that ends early."""

    def make(rng: random.Random) -> bytes:
        data = encoded(blots(rng, "RGB", (80, 60)), kind)
        return data[: rng.randint(1, len(data) - 20)]

    return make


def flipped(rng: random.Random) -> bytes:
    """Make a PNG with a wrong byte."""
    data = bytearray(encoded(blots(rng), "PNG"))
    data[rng.randint(8, len(data) - 12)] ^= 1 << rng.randrange(8)
    return bytes(data)


def no_picture(rng: random.Random) -> bytes:
    """Make bytes that are no picture, or of a kind that programs are started for."""
    return rng.choice(
        [
            rng.randbytes(rng.randint(1, 400)),
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%PDF-1.7\n",
        ]
    )


KINDS: dict[str, Make] = {
    "PNG": in_mode("RGB", "PNG"),
    "PNG, grey": in_mode("L", "PNG"),
    "PNG, alpha": in_mode("RGBA", "PNG"),
    "PNG, grey and alpha": in_mode("LA", "PNG"),
    "PNG, black and white": lambda rng: encoded(blots(rng, "L").convert("1"), "PNG"),
    "PNG, palette": palette("PNG", transparent=False),
    "PNG, palette, transparent": palette("PNG", transparent=True),
    "PNG, 16 bit": deep("PNG", "uint16"),
    "PNG, turned by EXIF": turned("PNG"),
    "JPEG": in_mode("RGB", "JPEG"),
    "JPEG, grey": in_mode("L", "JPEG"),
    "JPEG, CMYK": in_mode("CMYK", "JPEG"),
    "JPEG, progressive": in_mode("RGB", "JPEG", progressive=True, quality=30),
    "JPEG, turned by EXIF": turned("JPEG"),
    "JPEG, more behind it": lambda rng: encoded(blots(rng), "JPEG") + rng.randbytes(50),
    "WebP": in_mode("RGB", "WEBP"),
    "WebP, lossless, alpha": in_mode("RGBA", "WEBP", lossless=True),
    "WebP, turned by EXIF": turned("WEBP"),
    "BMP": in_mode("RGB", "BMP"),
    "BMP, grey": in_mode("L", "BMP"),
    "GIF": palette("GIF", transparent=False),
    "GIF, transparent": palette("GIF", transparent=True),
    "GIF, moving": moving("GIF"),
    "PNG, moving": moving("PNG"),
    "WebP, moving": moving("WEBP"),
    "TIFF": in_mode("RGB", "TIFF"),
    "TIFF, CMYK": in_mode("CMYK", "TIFF"),
    "TIFF, pages": moving("TIFF"),
    "TIFF, 16 bit": deep("TIFF", "uint16"),
    "TIFF, float": deep("TIFF", "float32"),
    "TIFF, turned": turned("TIFF"),
    "1 x 1": of_size(1, 1),
    "1 x 700": of_size(1, 700),
    "3 x 3": of_size(3, 3),
    "3000 x 2": of_size(3000, 2, "JPEG"),
    "1600 x 1200": of_size(1600, 1200, "JPEG"),
    "PNG that ends early": truncated("PNG"),
    "JPEG that ends early": truncated("JPEG"),
    "WebP that ends early": truncated("WEBP"),
    "BMP that ends early": truncated("BMP"),
    "a wrong byte": flipped,
    "no picture": no_picture,
    "empty": lambda rng: b"",
}
FEW = {"empty": 1}


def pictures(count: int, seed: int = 0) -> list[tuple[str, bytes]]:
    """Make this many files, each with its kind; all kinds are as frequent."""
    rng = random.Random(seed)
    return list(_pictures(count, rng))


def _pictures(count: int, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    left = count
    made = dict.fromkeys(KINDS, 0)
    while left:
        for kind, make in KINDS.items():
            if left and made[kind] < FEW.get(kind, count):
                left -= 1
                made[kind] += 1
                yield kind, make(rng)
