"""Estimates: counted by hand, never taken for a measurement."""

from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.profiles.estimate import count, with_error
from edgekit.targets import all_targets
from edgekit.targets.detect import Machine, closest_target
from tests import small
from tests.conftest import Built, edgekit
from tests.evidence import write_build


def test_products_are_counted_as_two_operations_for_each_multiply_add(tmp_path: Path) -> None:
    """A graph of two products is counted by hand.

    It has embeddings [100, 8], one product [tokens, 8] x [8, 4], one of two runtime tensors
    [tokens, 4] x [4, tokens].
    """
    weights = [
        helper.make_tensor("table", TensorProto.FLOAT, [100, 8], [0.0] * 800),
        helper.make_tensor("w", TensorProto.FLOAT, [8, 4], [0.0] * 32),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Transpose", ["y"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["y", "t"], ["z"]),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", "tokens", "tokens"])
    graph = helper.make_graph(nodes, "g", [ids], [out], weights)
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    work = count(tmp_path / "model.onnx", tokens=10)
    assert work.flops == 2 * (10 * 8 * 4) + 2 * (10 * 4 * 10)
    assert work.looked_up == pytest.approx(800 / 832)


def test_an_estimate_is_marked_and_has_an_error(built: Built, tiny: Path) -> None:
    arguments = (
        built.folder,
        "--estimate",
        "jetson-orin-nano",
        "--data",
        tiny / "evaluation.csv",
        "--input",
        "text",
    )
    found = edgekit("profile", *arguments, "--json").json
    assert found["kind"] == "estimated"
    assert {item["kind"] for item in found["estimates"]} == {"estimated"}
    assert {item["variant"] for item in found["estimates"]} >= {"onnx-fp32", "onnx-int8-static"}
    for item in found["estimates"]:
        assert 0 < item["p50_ms"]["low"] < item["p50_ms"]["value"] < item["p50_ms"]["high"]
        assert item["p50_ms"]["value"] == pytest.approx(item["ideal_ms"] * item["factor"])
    text = edgekit("profile", *arguments).out
    assert text.startswith("ESTIMATE for NVIDIA Jetson Orin Nano: nothing was measured there")
    assert "would be wrong here by up to" in text


@pytest.mark.processes
def test_the_error_is_the_spread_of_several_and_of_one_not_known(tmp_path: Path) -> None:
    several = with_error(10.0, [2.0, 8.0])
    assert several.low == pytest.approx(5.0)
    assert several.high == pytest.approx(20.0)
    small.write_build(tmp_path)
    arguments = ("profile", tmp_path, "--estimate", "jetson-orin-nano")
    (found,) = edgekit(*arguments, "--json").json["estimates"]
    assert found["p50_ms"]["low"] == 0
    assert found["p50_ms"]["high"] > 1e300
    text = edgekit(*arguments).out
    assert "(error not known)" in text
    assert "How wrong the estimate may be is not known" in text
    assert "wrong here by up to" not in text


@pytest.mark.processes
def test_without_the_variant_that_is_counted_the_recipe_is_named(tmp_path: Path) -> None:
    build, variant = small.write_build(tmp_path)
    other = msgspec.structs.replace(variant, name="onnx-fp16")
    write_build(tmp_path, msgspec.structs.replace(build, variants=(other,)))
    ran = edgekit("profile", tmp_path, "--estimate", "jetson-orin-nano", code=2)
    assert ran.err.endswith(
        "an estimate counts the operations of onnx-fp32; add it to target.recipes\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--out", "x.json"),
        ("--device", "ssh://box"),
        ("--server",),
        ("--p99-ms", "9"),
        ("--quick",),
        ("--variant", "a"),
        ("--trust", "k"),
    ],
)
@pytest.mark.processes
def test_what_an_estimate_would_ignore_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    ran = edgekit(
        "profile", tmp_path, "--estimate", "jetson-orin-nano", *options, code=2, cwd=tmp_path
    )
    assert f"--estimate measures nothing, so it does not go with {options[0]}" in ran.err


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson-orin-nano"),
        ("NVIDIA Orin Nano Developer Kit", "jetson-orin-nano"),  # as JetPack 5 says it
        ("NVIDIA Orin NX Developer Kit", "jetson-orin-nx"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-orin-agx"),
        ("Jetson AGX Orin", "jetson-orin-agx"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "arm64-dotprod"),
        ("NVIDIA DRIVE AGX Orin Developer Kit", "arm64-dotprod"),
        ("Raspberry Pi 5 Model B Rev 1.0", "arm64-dotprod"),
        ("", "arm64-dotprod"),
    ],
)
def test_a_board_is_known_by_its_name(board: str, expected: str) -> None:
    machine = Machine(
        architecture="arm64",
        cpu="",
        cores=6,
        isa=("asimd", "asimddp", "asimdhp"),
        memory_bytes=8 << 30,
        board=board,
        accelerators=(),
    )
    assert closest_target(machine).name == expected


def test_what_can_not_be_estimated_is_said(built: Built) -> None:
    assert (
        "no speed is known"
        in edgekit("profile", built.folder, "--estimate", "x86-64-v3", code=2).err
    )
    assert (
        "unknown device class"
        in edgekit("profile", built.folder, "--estimate", "jetson-nano", code=2).err
    )


def test_peaks_are_those_of_the_data_sheets() -> None:
    peaks = {name: target.peak for name, target in all_targets().items()}
    assert [name for name, peak in peaks.items() if peak is None] == ["intel-npu"]
    nano = peaks["jetson-orin-nano"]
    assert nano
    assert (nano.cores, nano.ghz, nano.bandwidth_gb_s) == (6, 1.5, 68.0)
