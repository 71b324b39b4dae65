"""image-classification: a picture's bytes become a normalized tensor, logits become a label."""

import base64
import binascii
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from edgekit.edge.tasks import Row, Tensors, one_column
from edgekit.edge.tasks.classification import Classifier
from edgekit.errors import InputError, MissingPackage
from edgekit.nouns import Noun

MAX_BYTES = 32 << 20  # of one encoded picture
# others of Pillow's start programs, or are rarely tested
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 64_000_000  # of one decoded picture: a small file can hold a huge one
OPAQUE = 255  # of the alpha channel
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class Config(Noun, frozen=True, kw_only=True):
    """task.json of this task.

    A picture is turned as its EXIF says, resized, scaled to 0..1, and normalized as
    (x - mean) / std for each channel.

    labels: in the order of the model's outputs.
    height, width: pixels that the model takes.
    channels: 1 for grey, 3 for red, green and blue.
    mean, std: one for each channel, or one for all.
    resample: how a picture of another size is resized.
    thresholds: the probability from which a label is said, for the labels that have one.
    input, output: the graph's tensors for the pictures and the logits.
    """

    task: Literal["image-classification"] = "image-classification"
    labels: list[str]
    height: Side
    width: Side
    channels: Literal[1, 3] = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resample: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    thresholds: dict[str, float] = {}
    input: str = "pixel_values"
    output: str = "logits"


class ImageClassification(Classifier):
    """One label for each picture; tensors are float32, channels first."""

    name = "image-classification"
    tensor = ("BYTES", [-1])

    def __init__(self, config: Config) -> None:
        super().__init__(config.labels, config.output, config.thresholds)
        self._config = config
        self._mean = np.array(config.mean, dtype=np.float32).reshape(-1, 1, 1)
        self._std = np.array(config.std, dtype=np.float32).reshape(-1, 1, 1)

    def parse(self, value: object) -> bytes:
        """Take a JSON string: the file's bytes in base64."""
        if not isinstance(value, str):
            raise InputError("an input must be a picture's bytes in base64")
        try:
            return _bounded(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise InputError("an input must be a picture's bytes in base64") from None

    def wire(self, value: bytes) -> object:
        """Write the bytes in base64."""
        return base64.b64encode(value).decode()

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> bytes:
        """Read the file whose path the column holds, relative to the file that names it."""
        path = folder / str(row[one_column(columns)])
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"{path}: a picture must have at most {MAX_BYTES} bytes")
            return path.read_bytes()
        except (OSError, ValueError):
            raise InputError(f"{path}: no such picture") from None

    def argument(self, text: str) -> bytes:
        """Read the picture at a path."""
        return self.read({"path": text}, ["path"], Path())

    def length(self, value: bytes) -> int:
        """Return 1: every picture is as large once it is decoded."""
        return 1

    def takes(self, columns: Sequence[str]) -> bool:
        """Tell whether it is one column."""
        return len(columns) == 1

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose `path`, `image`, or the only column that is not the label."""
        others = [name for name in names if name != label]
        named = [name for name in others if name in ("path", "image")]
        return named[:1] or (others if len(others) == 1 else [])

    def encode(self, inputs: Sequence[bytes]) -> Tensors:
        """Make float32 [batch, channels, height, width]."""
        return {self._config.input: np.stack([self._pixels(data) for data in inputs])}

    def _pixels(self, data: bytes) -> np.ndarray:
        image_module = _pillow()
        config = self._config
        try:
            image = _upright(image_module.open(io.BytesIO(data), formats=FORMATS))
            image = image.convert("L" if config.channels == 1 else "RGB")
        except (InputError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - Pillow raises anything over a damaged picture
            raise InputError("an input is not a picture that can be read") from None
        if image.size != (config.width, config.height):
            image = image.resize(
                (config.width, config.height), image_module.Resampling[config.resample.upper()]
            )
        pixels = np.asarray(image, dtype=np.float32).reshape(
            config.height, config.width, config.channels
        )
        return np.asarray((pixels.transpose(2, 0, 1) / np.float32(255) - self._mean) / self._std)

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make PNG pictures of soft random blots."""
        image_module = _pillow()
        random = np.random.default_rng(seed)
        config = self._config
        made: list[object] = []
        for _ in range(count):
            shape = (4, 4) if config.channels == 1 else (4, 4, 3)
            blots = image_module.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
            file = io.BytesIO()
            blots.resize((config.width, config.height), image_module.Resampling.BICUBIC).save(
                file, "PNG"
            )
            made.append(self.wire(file.getvalue()))
        return made


def _upright(image: Any) -> Any:  # noqa: ANN401 - of Pillow
    """Turn a picture as its EXIF says; raises InputError where a part of it would be left out.

    That is what transformers and Pillow make of it, who leave such parts out in silence.
    """
    from PIL import ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"a picture must have at most {MAX_PIXELS} pixels")
    if image.mode.startswith(("I", "F")):
        raise InputError("a picture of more than 8 bits a channel must be scaled to 8 bits first")
    # The other pictures of a camera's MPO file are previews, or the other eye's.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise InputError("a picture has several frames or pages; save the one that counts")
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < OPAQUE:
        raise InputError("a picture has transparent parts; lay it on a background first")
    return image


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise InputError(f"a picture must have at most {MAX_BYTES} bytes")
    return data


def _pillow() -> Any:  # noqa: ANN401 - a module
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackage.of("Pillow", "vision") from None
    # we have a bound of our own, and no warning that depends on threads
    Image.MAX_IMAGE_PIXELS = None
    return Image


def load(folder: Path, config: object) -> ImageClassification:
    """Make the task from task.json's content; there is no other file."""
    return ImageClassification(msgspec.convert(config, Config))
