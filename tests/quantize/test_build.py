"""The build: every variant for real, re-use, resume, crashes."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

from edgekit.edge.engines import engine_version
from edgekit.installation import install_command
from edgekit.nouns import Build, Setting, read_json
from edgekit.profiles.quality_job import QualityRequest, sweep
from edgekit.targets.detect import detect_machine
from tests import small
from tests.conftest import Built, edgekit

FIELDS = (
    "name",
    "format",
    "precision",
    "status",
    "reason",
    "metric",
    "metric_value",
    "reference_value",
    "p50_ms",
    "p99_ms",
    "samples_per_s",
    "size_bytes",
    "peak_rss_bytes",
)


def test_every_variant_is_built_and_measured(built: Built) -> None:
    names = [item["name"] for item in built.result["variants"]]
    openvino = "openvino-bf16" if "avx512_bf16" in detect_machine().isa else "openvino-fp32"
    assert names == [
        "onnx-fp32",
        "onnx-int8-dynamic",
        "onnx-int8-static",
        "onnx-int8-smoothquant",
        openvino,
        "openvino-int8",
        "openvino-int8-buckets",
        "gguf-f16",
        "gguf-q8_0",
        "gguf-q4_k_m",
    ]
    for item in built.result["variants"]:
        assert set(FIELDS) <= set(item)
        assert item["status"] in ("accepted", "rejected"), item["reason"]
        assert item["metric_value"] > 0.8
        assert 0 < item["p50_ms"]["low"] < item["p50_ms"]["value"] < item["p50_ms"]["high"]
        assert item["peak_rss_bytes"] > item["size_bytes"] > 1000
    assert built.result["chosen"] in names
    assert built.variant("onnx-fp32")["reference_value"] > 0.9


def test_float_variants_agree_with_pytorch(built: Built) -> None:
    for item in built.result["variants"]:
        if item["precision"] in ("fp32", "f16", "bf16"):
            assert item["agreement"] >= 0.995
    assert built.variant("onnx-fp32")["max_answer_difference"] < 1e-4
    assert built.variant("gguf-f16")["max_answer_difference"] < 0.05


def test_p99_is_given_from_enough_samples_only(built: Built) -> None:
    for item in built.result["variants"]:
        assert (item["p99_ms"] is None) == (item["calls"] < 1000)
        assert item["effort"] == "quick"


def test_the_report_shows_what_the_build_printed(built: Built) -> None:
    text = edgekit("report", built.folder).out
    assert "quick measurement" in text
    assert f"Chosen: {built.result['chosen']}" in text
    assert edgekit("report", built.folder, "--json").json == built.result


def test_the_gguf_keeps_pooler_and_labels(built: Built) -> None:
    for path in (built.folder / "cache" / "artifacts").glob("*/model.gguf"):
        reader = gguf.GGUFReader(path)
        names = {tensor.name for tensor in reader.tensors}
        assert {"cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"} <= names
        labels = reader.fields["bert.classifier.output_labels"].contents()
        assert labels == ["bearing_wear", "belt_slip", "coolant_leak", "sensor_drift"]


def test_a_second_build_reuses_everything(built: Built, tiny: Path) -> None:
    evidence = sorted((built.folder / "cache").glob("*/*.json"))
    before = [path.stat().st_mtime_ns for path in evidence]
    again = edgekit("build", tiny / "edgekit.toml", "--quick", "--json", "--out", built.folder)
    assert again.json == built.result
    assert [path.stat().st_mtime_ns for path in evidence] == before
    assert "measuring" not in again.err
    assert "timing" not in again.err


def test_a_limit_that_none_keeps(judged_project: Path) -> None:
    spec = judged_project / "edgekit.toml"
    spec.write_text(spec.read_text() + 'memory_mb = 1\n[target]\nrecipes = ["onnx-fp32"]\n')
    ran = edgekit("build", spec, "--quick", "--json", code=4)
    assert ran.json["chosen"] is None
    assert "the closest is onnx-fp32: memory_mb is" in ran.err
    assert "memory_mb" in ran.json["variants"][0]["reason"]
    assert ran.json["variants"][0]["broken_limits"][0]["allowed"] == 1


@pytest.mark.processes
def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    spec = small.write_project(tmp_path)
    spec.write_text(spec.read_text() + '[target]\nrecipes = ["onnx-fp32", "onnx-int8-dynamic"]\n')
    command = [sys.executable, "-m", "edgekit", "build", str(spec), "--quick", "--json"]
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        for line in process.stderr:
            if line.startswith(
                "onnx-fp32: making" if number == signal.SIGKILL else "onnx-fp32: measuring"
            ):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        process.wait()
        process.stderr.close()
        assert "Traceback" not in rest
        assert process.returncode != 0
        assert not (tmp_path / "build" / "build.json").exists()
    artifacts = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "build" / "cache" / "artifacts").glob("*.json")
    }
    assert len(artifacts) == 1
    ran = edgekit("build", spec, "--quick", "--json")
    assert ran.json["chosen"]
    assert all(path.stat().st_mtime_ns == before for path, before in artifacts.items())
    keys = {
        path.name.removesuffix(".json")
        for path in (tmp_path / "build" / "cache" / "artifacts").iterdir()
    }
    assert all(re.fullmatch("[0-9a-f]{24}", key) for key in keys), keys


@pytest.mark.processes
def test_a_full_disk_stops_the_build_and_the_next_one_goes_on(tmp_path: Path) -> None:
    spec, out = small.write_project(tmp_path), tmp_path / "small"
    spec.write_text(spec.read_text() + '[target]\nrecipes = ["onnx-fp32", "onnx-int8-dynamic"]\n')
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(out)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        ran = edgekit("build", spec, "--quick", "--out", out, code=1)
        assert "No space left on device" in ran.err.splitlines()[-1]
        assert not (out / "build.json").exists()
        kept = {path: path.stat().st_mtime_ns for path in (out / "cache").glob("*/*.json")}
        assert kept
        subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
        assert edgekit("build", spec, "--quick", "--json", "--out", out).json["chosen"]
        assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_two_builds_do_not_meet(project: Path) -> None:
    import fcntl

    folder = project / "build"
    folder.mkdir()
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("edgekit build (process 1)")
        file.flush()
        ran = edgekit("build", project / "edgekit.toml", code=7)
    assert "edgekit build (process 1) is at work here" in ran.err


@pytest.mark.processes
def test_a_missing_engine_is_skipped_with_its_command(tmp_path: Path) -> None:
    """An environment without OpenVINO, made by hiding it from the finders."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\nreal = importlib.util.find_spec\nimportlib.util.find_spec = lambda"
        " name, *a: None if name == 'openvino' else real(name, *a)\n"
    )
    spec = small.write_project(tmp_path)
    spec.write_text(spec.read_text() + '[target]\nrecipes = ["openvino-fp32", "onnx-fp32"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "build", str(spec), "--quick", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    skipped, measured = json.loads(done.stdout)["variants"]
    assert skipped["status"] == "skipped"
    assert install_command("openvino") in skipped["reason"]
    assert measured["status"] == "accepted"


def test_an_engine_that_crashes_is_a_failed_variant(made_project: Path, tmp_path: Path) -> None:
    """A crash of llama.cpp makes its variant a failed one.

    It is made to die of SIGSEGV whenever weights may be repacked, as its AMX path does on some
    machines.
    """
    if engine_version("llama.cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if any('profiles.quality_job' in word for word in sys.orig_argv):\n"
        "    import edgekit.edge.engines.llamacpp as engine\n"
        "    load = engine.load\n"
        "    def planted(folder, setting):\n"
        "        if setting.options.get('extra_bufts', True):\n"
        "            os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return load(folder, setting)\n"
        "    engine.load = planted\n"
    )
    spec = made_project / "edgekit.toml"
    spec.write_text(spec.read_text() + '[target]\nrecipes = ["gguf-f16"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "build", str(spec), "--quick", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "crashed with SIGSEGV, trying another setting" in done.stderr
    variant = json.loads(done.stdout)["variants"][0]
    assert variant["status"] == "accepted"
    assert variant["setting"]["options"] == {"extra_bufts": False}


def test_throughput_lets_streams_run_side_by_side(made_project: Path) -> None:
    spec = made_project / "edgekit.toml"
    text = spec.read_text() + '[target]\nrecipes = ["onnx-fp32", "openvino-fp32", "gguf-f16"]\n'
    spec.write_text('objective = "throughput"\n' + text)
    ran = edgekit("build", spec, "--quick", "--json")
    assert "highest throughput" in ran.json["reason"]
    assert all(item["agreement"] >= 0.995 for item in ran.json["variants"])


def test_for_latency_the_number_of_threads_is_measured(built: Built) -> None:
    build = read_json((built.folder / "build.json").read_bytes(), Build)
    artifact = build.variants[0].artifact
    assert artifact
    folder = built.folder / "cache" / "artifacts" / artifact.key
    candidates = [
        Setting(threads=threads, batch_size=size) for threads in (2, 1) for size in (8, 32)
    ]
    request = QualityRequest(
        folder=str(folder),
        task_folder=str(folder),
        engine="onnxruntime",
        settings=candidates,
        objective="latency",
        evaluation="",
        evaluation_sha256="",
        columns=["text"],
        label="label",
        reference="",
        effort="quick",
        calibration_sha256="",
    )
    stages: list[str] = []
    texts = ["the belt slips again", "bearing whines on press 4"]
    chosen = sweep(request, texts, lambda what, share: stages.append(what))
    assert chosen in candidates
    assert stages[0] == "finding the best number of threads"
    # of four: those with the better number of threads
    assert stages.count("finding the best setting") == 2
