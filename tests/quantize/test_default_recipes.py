"""What suits a device by default: as it was when device classes listed every task."""

import re

from edgekit.edge.tasks import TASKS
from edgekit.quantize.recipes import RECIPES
from edgekit.quantize.sources import source_task
from edgekit.targets import all_targets

TEXTS = ("text-classification", "token-classification", "feature-extraction")
WHOLE_TEXTS = ("text-classification", "feature-extraction")
DEFAULTS = """
devices arm64-dotprod arm64-i8mm arm64-v8
tasks feature-extraction token-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-fp32
  openvino-int8

devices arm64-dotprod arm64-i8mm arm64-v8
tasks text-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-fp32
  openvino-int8 gguf-f16 gguf-q8_0 gguf-q4_k_m

devices arm64-dotprod arm64-i8mm arm64-v8 intel-npu jetson-orin-agx jetson-orin-nano
  jetson-orin-nx x86-64-amx x86-64-v2 x86-64-v3-vnni x86-64-v3 x86-64-v4-bf16 x86-64-v4-vnni
  x86-64-v4
tasks tabular-classification
recipes onnx-fp32 onnx-int8-dynamic

devices arm64-dotprod arm64-i8mm arm64-v8 intel-npu x86-64-amx x86-64-v3-vnni x86-64-v3
  x86-64-v4-bf16 x86-64-v4-vnni x86-64-v4
tasks image-classification
recipes onnx-fp32 onnx-int8-static openvino-fp32 openvino-int8

devices intel-npu
tasks feature-extraction text-classification token-classification
recipes onnx-int8-dynamic openvino-fp16 openvino-int8-npu openvino-int8 openvino-int8-buckets

devices jetson-orin-agx jetson-orin-nano jetson-orin-nx
tasks feature-extraction token-classification
recipes onnx-fp32 onnx-fp16 onnx-int8-tensorrt onnx-int8-dynamic onnx-int8-static

devices jetson-orin-agx jetson-orin-nano jetson-orin-nx
tasks text-classification
recipes onnx-fp32 onnx-fp16 onnx-int8-tensorrt onnx-int8-dynamic onnx-int8-static gguf-f16
  gguf-q8_0 gguf-q4_k_m

devices jetson-orin-agx jetson-orin-nano jetson-orin-nx
tasks image-classification
recipes onnx-fp32 onnx-fp16 onnx-int8-tensorrt onnx-int8-static

devices x86-64-amx x86-64-v4-bf16
tasks feature-extraction token-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-bf16
  openvino-int8 openvino-int8-buckets

devices x86-64-amx x86-64-v4-bf16
tasks text-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-bf16
  openvino-int8 openvino-int8-buckets gguf-f16 gguf-q8_0 gguf-q4_k_m

devices x86-64-v2
tasks feature-extraction text-classification token-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant

devices x86-64-v2
tasks image-classification
recipes onnx-fp32 onnx-int8-static

devices x86-64-v3-vnni x86-64-v3 x86-64-v4-vnni x86-64-v4
tasks feature-extraction token-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-fp32
  openvino-int8 openvino-int8-buckets

devices x86-64-v3-vnni x86-64-v3 x86-64-v4-vnni x86-64-v4
tasks text-classification
recipes onnx-fp32 onnx-int8-dynamic onnx-int8-static onnx-int8-smoothquant openvino-fp32
  openvino-int8 openvino-int8-buckets gguf-f16 gguf-q8_0 gguf-q4_k_m
"""


def _expected() -> dict[tuple[str, str], tuple[str, ...]]:
    """Read DEFAULTS: recipes in their order by device and task."""
    expected = {}
    for block in DEFAULTS.strip().split("\n\n"):
        found = re.fullmatch(r"devices (.+?)\ntasks (.+?)\nrecipes (.+)", block, re.DOTALL)
        assert found
        devices, tasks, recipes = (part.split() for part in found.groups())
        for device in devices:
            for task in tasks:
                assert (device, task) not in expected
                expected[device, task] = tuple(recipes)
    return expected


def test_default_recipes_are_those_that_device_classes_listed_by_task() -> None:
    found = {
        (name, task): target.recipes_for(task, source_task(task).kind)
        for name, target in all_targets().items()
        for task in TASKS
    }
    assert found == _expected()


def test_recipes_do_the_tasks_that_they_listed() -> None:
    pictures = ("onnx-fp16", "onnx-int8-tensorrt")
    everything = {
        "onnx-fp32", "onnx-int8-dynamic", "onnx-int8-static", "onnx-int8-static-entropy",
        "onnx-int8-static-percentile", "onnx-source",
        "openvino-fp32", "openvino-fp16", "openvino-bf16", "openvino-int8",
    }  # fmt: skip
    for name, recipe in RECIPES.items():
        tasks = tuple(task for task in TASKS if recipe.does(task))
        if name in everything:
            assert tasks == tuple(TASKS)
        elif name in pictures:
            assert tasks == (*TEXTS, "image-classification")
        else:
            assert tasks == (WHOLE_TEXTS if recipe.format == "gguf" else TEXTS)
