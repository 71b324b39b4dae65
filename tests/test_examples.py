"""Take the small examples from their data to an answer; `make demo` is the large one."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, edgekit


@pytest.fixture(scope="module", params=["breast_cancer", "digits"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare and build an example; its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    script = ROOT / "examples" / request.param / "prepare.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True)
    edgekit("build", folder / "edgekit.toml", "--quick")
    return folder


def test_an_example_goes_all_the_way(example: Path, keys: Path) -> None:
    result = edgekit("report", example / "build", "--json").json
    assert {item["status"] for item in result["variants"]} <= {"accepted", "rejected"}
    assert result["variants"][0]["agreement"] == 1.0
    assert result["variants"][0]["metric_value"] > 0.93
    edgekit(
        "bundle",
        "pack",
        example / "build",
        "--key",
        keys / "release.key",
        "--out",
        example / "b.tar",
    )
    edgekit("deploy", example / "b.tar", example / "appliance", "--trust", keys / "release.pub")
    answers = example / "answers.csv"
    edgekit("batch", example / "evaluation.csv", answers, "--appliance", example / "appliance")
    with answers.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = "diagnosis" if "diagnosis" in rows[0] else "label"
    right = sum(row["predicted_label"] == row[truth] for row in rows) / len(rows)
    chosen = next(item for item in result["variants"] if item["name"] == result["chosen"])
    assert right == pytest.approx(chosen["metric_value"])
    row = rows[0]
    value = (
        str(example / row["path"])
        if "path" in row
        else json.dumps({k: float(v) for k, v in list(row.items())[:30]})
    )
    shown = edgekit("predict", example / "appliance", value, "--json").json
    assert shown["labels"][0]["label"] == row["predicted_label"]


def test_bad_pictures_and_numbers_are_reported_by_row(
    example: Path, tmp_path: Path, keys: Path
) -> None:
    if not (example / "appliance").exists():
        pytest.skip("runs after the test above")
    with (example / "evaluation.csv").open(newline="") as file:
        header, first, second, *_ = csv.reader(file)
    bad = list(second)
    if header[0] == "path":
        (example / "pictures" / "bad.png").write_bytes((example / second[0]).read_bytes()[:40])
        bad[0] = "pictures/bad.png"
    else:
        bad[3] = "wide"
    source = example / "bad.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([header, first, bad, second])
    edgekit("batch", source, tmp_path / "out.csv", "--appliance", example / "appliance", code=1)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert [bool(row["predicted_label"]) for row in rows] == [True, False, True]


@pytest.mark.processes
def test_tickets_are_the_same_every_time() -> None:
    """The tickets are the same in each run, and every fault is among them."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from tickets import"
        " make_tickets, read_faults;faults = read_faults(Path(sys.argv[1]) / 'faults.toml'); made ="
        " make_tickets(faults, 3000, 7);assert {t.label for t in made} == {f.label for f in"
        " faults}; assert len({t.text for t in made}) == 3000;print(made[:3], made[-1])"
    )
    folder = str(ROOT / "examples" / "fault_tickets")
    runs = {
        subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
