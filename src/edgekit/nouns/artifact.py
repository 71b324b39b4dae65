"""The files of one variant, and how an engine runs them."""

from edgekit.nouns.records import Part

Option = str | int | float | bool


class File(Part, frozen=True, kw_only=True):
    """One file of an artifact.

    path: its name in the artifact's folder.
    size: bytes.
    sha256: digest that OCI names it by, `sha256:` and 64 hex digits.
    blake3: digest for the fast check at every load, `blake3:` and 64 hex digits.
    """

    path: str
    size: int
    sha256: str
    blake3: str


class Setting(Part, frozen=True, kw_only=True):
    """How an engine runs an artifact: found by measuring, used by the runtime.

    precision: what the engine computes in where the file leaves it open ("bf16"), or "as-stored".
    threads: CPU threads of one stream; 0 leaves it to the engine.
    streams: engine calls that run side by side.
    batch_size: inputs in one engine call.
    options: what only this engine knows.
    """

    precision: str = "as-stored"
    threads: int = 0
    streams: int = 1
    batch_size: int = 1
    options: dict[str, Option] = {}


class Artifact(Part, frozen=True, kw_only=True):
    """The files of one variant as a recipe made them.

    name: name of the recipe.
    format: file format: onnx, openvino, gguf.
    precision: number type of the weights.
    method: how they were quantized; "" if they were not.
    engine: engine that runs it.
    key: digest of everything that went in: equal keys, equal artifacts.
    files: every file, with its digests.
    contents: bytes of weights by the type that they really have, read back from the files.
    calibration_samples: how many inputs it was calibrated on.
    calibration_sha256: digest of those very inputs.
    calibration_cut: how many of them were cut, since they are longer than the model takes.
    peak_rss_bytes: peak memory of the process that made it.
    """

    name: str
    format: str
    precision: str
    method: str
    engine: str
    key: str
    files: tuple[File, ...]
    contents: dict[str, int] = {}
    calibration_samples: int = 0
    calibration_sha256: str = ""
    calibration_cut: int = 0
    peak_rss_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Return what the variant weighs on disk."""
        return sum(file.size for file in self.files)
