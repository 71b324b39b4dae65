"""No call home: the dependencies' telemetry is shut before they are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

CALLS = """
import os, sys, pathlib
os.environ["HOME"] = {home!r}
{before}
{imports}
print("openvino_telemetry" in sys.modules and sys.modules["openvino_telemetry"] is not None)
found = [p.relative_to({home!r}) for p in pathlib.Path({home!r}).rglob("*") if p.is_file()]
print(sorted(map(str, found)))
"""


def imported(home: Path, before: str, imports: str) -> list[str]:
    """Whether telemetry was loaded, and what was written into the home folder."""
    code = CALLS.format(home=str(home), before=before, imports=imports)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(home)},
    )
    return done.stdout.splitlines()[-2:]


@pytest.mark.parametrize(
    "imports", ["import openvino", "import nncf", "import onnxruntime", "import llama_cpp"]
)
def test_nothing_is_loaded_or_written_for_telemetry(tmp_path: Path, imports: str) -> None:
    assert imported(
        tmp_path, "from edgekit.offline import stay_offline; stay_offline()", imports
    ) == [
        "False",
        "[]",
    ]


def test_this_test_would_notice(tmp_path: Path) -> None:
    """Without the block, openvino loads its telemetry package.

    Its look-up is kept from leaving by its own opt-out.
    """
    (tmp_path / "intel").mkdir()
    (tmp_path / "intel" / "openvino_telemetry").write_text("0")
    assert imported(tmp_path, "", "import openvino")[0] == "True"
