"""Deploy a bundle with each of some bits flipped, in one process.

python tests/tamper.py BUNDLE.tar APPLIANCE BITS.json

Prints how many were refused. Ends in an error at the first that was not, that changed the
appliance, or that had an engine imported.
"""

import json
import mmap
import sys
from pathlib import Path

from click.testing import CliRunner

from edgekit.cli import cli

ENGINES = ("onnxruntime", "openvino", "llama_cpp", "onnx", "torch", "tokenizers")


def state(box: Path) -> set[str]:
    """The names of all files."""
    return {str(path.relative_to(box)) for path in box.rglob("*")}


def main(tar: Path, box: Path, bits: list[int]) -> None:
    """Flip, deploy, flip back."""
    pointer = next((box / "models").iterdir())
    before, names, runner = pointer.read_bytes(), state(box), CliRunner()
    with tar.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        for bit in bits:
            data[bit // 8] ^= 1 << bit % 8
            ran = runner.invoke(cli, ["deploy", str(tar), str(box)])
            if ran.exit_code != 5 or pointer.read_bytes() != before:
                sys.exit(f"bit {bit}: exit code {ran.exit_code}: {ran.output}")
            data[bit // 8] ^= 1 << bit % 8
    if state(box) != names:
        sys.exit(f"changed: {state(box) ^ names}")
    if loaded := [name for name in ENGINES if name in sys.modules]:
        sys.exit(f"imported before the verdict: {loaded}")
    print(len(bits))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()))
