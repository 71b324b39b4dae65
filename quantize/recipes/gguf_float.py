"""gguf-f16 and gguf-bf16: an encoder as GGUF.

llama.cpp's reference converter does it for what it converts rightly. A BERT classifier is written
by our own part (gguf_bert), because the reference drops its pooler. What llama.cpp computes
wrongly, or not at all, is refused here.
"""

import importlib
import os
import subprocess
from pathlib import Path

from edgekit.errors import InputError
from edgekit.launch import start
from edgekit.quantize.config_json import config_labels, read_config
from edgekit.quantize.gguf_converter import Conversion, Pooling
from edgekit.quantize.gguf_tools import find_converter
from edgekit.quantize.huggingface import POSITIONS_FROM_PADDING
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.recipes import Ingredients

CLASSIFIER = "ForSequenceClassification"
# family: where its config.json names the activation, of which llama.cpp has one
ACTIVATION = {
    "Bert": "hidden_act",
    "DistilBert": "activation",
    "Roberta": "hidden_act",
    "XLMRoberta": "hidden_act",
    "ModernBert": "hidden_activation",
}
GELU = ("gelu", "gelu_new", "gelu_pytorch_tanh")
# ModernBERT may have them, llama.cpp not
BIASES = (
    "attention_bias",
    "mlp_bias",
    "norm_bias",
    "classifier_bias",
)
POOLINGS: dict[str, Pooling] = {"mean": "MEAN", "cls": "CLS", "lasttoken": "LAST"}


def make(ingredients: Ingredients) -> None:
    """Write model.gguf: matrices in 16 bits, the rest in fp32.

    Raises InputError for what llama.cpp does not compute.
    """
    source = ingredients.source
    folder = Path(source.path)
    check_architecture(source.architecture, folder)
    file_type = f"MOSTLY_{ingredients.options['file_type']}"
    if source.architecture == f"Bert{CLASSIFIER}":
        importlib.import_module("edgekit.quantize.recipes.gguf_bert").write(
            folder, ingredients.out / "model.gguf", file_type
        )
        return
    is_classifier = source.architecture.endswith(CLASSIFIER)
    ingredients.progress("converting", 0)
    _convert(
        Conversion(
            folder=str(folder),
            architecture=source.architecture,
            labels=config_labels(folder) if is_classifier else [],
            pooling="RANK" if is_classifier else pooling_of(folder),
            file_type=file_type,
            numbers=_padding_without_position(folder),
            out=str(ingredients.out / "model.gguf"),
        )
    )


def _padding_without_position(folder: Path) -> dict[str, int]:
    """Name the padding token to the engine where a text must not hold it.

    A family that numbers its positions from the padding on leaves out the padding itself, also
    where a text spells it ("<pad>"); llama.cpp counts every token.
    """
    from edgekit.edge.engines.llamacpp import NO_POSITION

    config = read_config(folder)
    is_counted_so = config.get("model_type") in POSITIONS_FROM_PADDING
    return {NO_POSITION: int(config.get("pad_token_id", 1))} if is_counted_so else {}


def pooling_of(folder: Path) -> Pooling:
    """Return llama.cpp's name of an embedder's pooling; raises InputError where it has none."""
    said = read_pooling(folder)
    if len(said.modes) != 1 or said.modes[0] not in POOLINGS:
        raise InputError(
            f"{folder / 'modules.json'}: pools by {', '.join(said.modes)}: llama.cpp pools by one"
            f" of {', '.join(POOLINGS)}; build it as ONNX or OpenVINO"
        )
    if said.prompt and not said.is_prompt_pooled:
        raise InputError(
            f"{folder / 'modules.json'}: include_prompt = false: llama.cpp pools every token; build"
            " it as ONNX or OpenVINO"
        )
    return POOLINGS[said.modes[0]]


def check_architecture(architecture: str, folder: Path) -> None:
    """Refuse a model that llama.cpp would answer wrongly for; raises InputError with the reason."""
    path, config = folder / "config.json", read_config(folder)
    family = architecture.removesuffix(CLASSIFIER).removesuffix("Model")
    if architecture == f"DistilBert{CLASSIFIER}":
        raise InputError(
            f"{path}: llama.cpp's classification head has tanh where a {architecture} has ReLU; "
            "build it as ONNX or OpenVINO"
        )
    if family not in ACTIVATION or architecture not in (f"{family}{CLASSIFIER}", f"{family}Model"):
        raise InputError(
            f"{path}: no GGUF is written for a {architecture}, only for text classifiers and"
            f" sentence embedders of {', '.join(ACTIVATION)}; build it as ONNX or OpenVINO"
        )
    if config.get(ACTIVATION[family], "gelu") not in GELU:
        raise InputError(
            f"{path}: {ACTIVATION[family]} = {config[ACTIVATION[family]]!r}: llama.cpp has gelu"
            " here"
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise InputError(f"{path}: position_embedding_type: llama.cpp has absolute positions here")
    head = config.get("classifier_activation", "gelu")
    if architecture == f"ModernBert{CLASSIFIER}" and head not in GELU:
        raise InputError(f"{path}: classifier_activation = {head!r}: llama.cpp has gelu here")
    if config.get("is_decoder"):
        raise InputError(f"{path}: is_decoder = true: llama.cpp looks at the whole text here")
    for key in BIASES if family == "ModernBert" else ():
        if config.get(key):
            raise InputError(f"{path}: {key} = true: llama.cpp's ModernBERT has no such bias")


def _convert(asked: Conversion) -> None:
    """Run the reference converter; what it prints is in the job's log."""
    converter = find_converter()
    paths = [str(converter / "gguf-py"), str(converter), os.environ.get("PYTHONPATH", "")]
    process = start(
        "edgekit.quantize.gguf_converter:main",
        [],
        profile="build",
        stdin=subprocess.PIPE,
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    process.communicate(asked.to_json())
    if process.returncode:
        raise RuntimeError(f"llama.cpp's converter ended with exit code {process.returncode}")
