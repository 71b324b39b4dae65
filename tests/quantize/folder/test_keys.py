"""The table of keys knows what the installed libraries write and read, so that it can't rot."""

import importlib
import re
from pathlib import Path

import pytest

from edgekit.nouns import Noun
from edgekit.quantize.folder import keys
from edgekit.quantize.folder.check import check_folder
from edgekit.quantize.source import Source
from tests.families import FAMILIES, make_family, write_pooling

MODELS = (
    "albert",
    "bert",
    "camembert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
# What the code asks of a config that no file holds: methods, and what the library sets itself.
MADE = {
    "use_return_dict", "_attn_implementation", "to_dict", "_pre_quantization_dtype", "_commit_hash",
    "name_or_path", "get_text_config",
}  # fmt: skip


def source_of(folder: Path, task: str = "text-classification") -> Source:
    return Source(
        kind="huggingface", path=str(folder), task=task, architecture="", sha256="", files=()
    )


@pytest.mark.parametrize("kind", MODELS)
def test_what_a_model_of_the_library_writes_and_reads_is_in_the_table(kind: str) -> None:
    from transformers import CONFIG_MAPPING, PretrainedConfig

    own = keys.model_keys(kind)
    assert own
    known = own | set(keys.CONFIG)
    written = {*CONFIG_MAPPING[kind]().to_dict(), *PretrainedConfig().to_dict()}
    assert written - known == set()
    folder = kind.replace("-", "_")
    package = Path(str(importlib.import_module("transformers").__file__)).parent
    code = (package / "models" / folder / f"modeling_{folder}.py").read_text("utf-8")
    read = set(re.findall(r"\bconfig\.([a-z_0-9]+)|getattr\(config, \"([a-z_0-9]+)\"", code))
    assert {one or other for one, other in read} - known - MADE == set()


def test_a_model_that_the_library_lacks_has_no_keys() -> None:
    assert keys.model_keys("a-model-of-tomorrow") is None


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of transformers' models
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_that_the_library_saved_has_no_unknown_key(family: str, tmp_path: Path) -> None:
    folder = make_family(family, "text-classification", tmp_path)
    report = check_folder(source_of(folder))
    assert report.warnings == ()
    assert {item.file for item in report.keys} > {"config.json", "tokenizer_config.json"}


def test_what_sentence_transformers_writes_is_in_the_table(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling, pooling

    assert set(Transformer.config_keys) <= set(keys.SENTENCE_BERT)
    assert set(Pooling.config_keys) | set(Pooling.config_key_renames) <= set(keys.POOLING)
    assert set(pooling._LEGACY_POOLING_MODE_KWARGS) <= set(keys.POOLING)
    folder = make_family("bert", "feature-extraction", tmp_path)
    write_pooling(folder, "mean_tokens")
    assert check_folder(source_of(folder, "feature-extraction")).warnings == ()


@pytest.mark.parametrize(
    "name", ["BitImageProcessor", "CLIPImageProcessor", "ConvNextImageProcessor",
             "DeiTImageProcessor", "EfficientNetImageProcessor", "LevitImageProcessor",
             "MobileNetV2ImageProcessor", "MobileViTImageProcessor", "PoolFormerImageProcessor",
             "SegformerImageProcessor", "SiglipImageProcessor", "ViTImageProcessor"],
)  # fmt: skip
def test_what_a_picture_processor_writes_is_in_the_table(name: str) -> None:
    transformers = importlib.import_module("transformers")
    assert set(getattr(transformers, name)().to_dict()) - set(keys.PREPROCESSOR) == set()


def test_every_rule_says_why_in_one_line() -> None:
    tables = [value for name, value in vars(keys).items() if name.isupper() and name != "OWN_KEYS"]
    rules = [rule for table in tables if isinstance(table, dict) for rule in table.values()]
    assert len(rules) > 150
    for rule in rules:
        assert rule.why
        assert "\n" not in rule.why
        assert rule.harmless == () or rule.verdict == "refused"


def test_no_key_is_in_the_table_of_tasks() -> None:
    from edgekit.edge.tasks import TASKS, find_task

    for name in TASKS:
        config = find_task(name, "task").Config
        assert issubclass(config, Noun)
        assert config.__struct_config__.forbid_unknown_fields
