"""Estimates: counted by hand, never taken for a measurement."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.profiles.estimate import count
from edgekit.targets import all_targets
from tests.conftest import Built, edgekit


def test_products_are_counted_as_two_operations_for_each_multiply_add(tmp_path: Path) -> None:
    """Embeddings [100, 8], one product [tokens, 8] x [8, 4], one of two runtime tensors [tokens, 4] x [4, tokens]."""
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


def test_what_can_not_be_estimated_is_said(built: Built) -> None:
    assert "no speed is known" in edgekit("profile", built.folder, "--estimate", "x86-64-v3", code=2).err
    assert "unknown device class" in edgekit("profile", built.folder, "--estimate", "jetson-nano", code=2).err


def test_peaks_are_those_of_the_data_sheets() -> None:
    peaks = {name: target.peak for name, target in all_targets().items()}
    assert [name for name, peak in peaks.items() if peak is None] == ["intel-npu"]
    nano = peaks["jetson-orin-nano"]
    assert nano
    assert (nano.cores, nano.ghz, nano.bandwidth_gb_s) == (6, 1.5, 68.0)
