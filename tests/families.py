"""Make small encoders with random weights, of each family that people fine-tune.

Each has a tokenizer of its own kind.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPUS = [
    "the coolant pump on line two leaks near the hose since the last shift",
    "bearing noise and vibration, spindle hot: please check the machine again",
    "belt slip! the pulley squeals; tension is loose (press three stopped)",
    "sensor reading drifts, offset and calibration value wrong at ten bar",
]
TEXTS = [
    "leak",
    "bearing noise and hot spindle",
    (
        "please check the belt again, it slips; the pulley on line two squeals since the last shift"
        " (press three)"
    ),
    "sensor offset",
    "the machine stopped: vibration, noise, heat",
]
LABELS = ["O", "B-PART", "I-PART"]
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}
MAX_LENGTH = 24


def _wordpiece(
    special: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    first: str = "[CLS]",
    last: str = "[SEP]",
) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=220, special_tokens=list(special))
    )
    return _with_template(tokenizer, first, last)


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=special)
    )
    return _with_template(tokenizer, "<s>", "</s>")


def _unigram(first: str, pad: str, last: str, unknown: str) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=[first, pad, last, unknown], unk_token=unknown
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _with_template(tokenizer, first, last)


def _with_template(tokenizer: Tokenizer, first: str, last: str) -> Tokenizer:
    special = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=special
    )
    return tokenizer


# Name: its transformers classes' stem, its tokenizer, that one's class and special tokens, and what
# its config wants.
FAMILIES: dict[str, tuple[str, Callable[[], Tokenizer], str, dict[str, Any]]] = {
    "bert": ("Bert", _wordpiece, "BertTokenizerFast", {"max_position_embeddings": MAX_LENGTH}),
    "distilbert": (
        "DistilBert",
        _wordpiece,
        "DistilBertTokenizerFast",
        {
            "dim": 64,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 96,
            "max_position_embeddings": MAX_LENGTH,
        },
    ),
    "roberta": (
        "Roberta",
        _byte_level,
        "RobertaTokenizerFast",
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "pad_token_id": 1},
    ),
    "xlm-roberta": (
        "XLMRoberta",
        lambda: _unigram("<s>", "<pad>", "</s>", "<unk>"),
        "XLMRobertaTokenizerFast",
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "pad_token_id": 1},
    ),
    "mpnet": (
        "MPNet",
        lambda: _wordpiece(("<s>", "<pad>", "</s>", "[UNK]"), "<s>", "</s>"),
        "PreTrainedTokenizerFast",
        {
            "max_position_embeddings": MAX_LENGTH + 2,
            "pad_token_id": 1,
            "relative_attention_num_buckets": 32,
        },
    ),
    "deberta-v3": (
        "DebertaV2",
        lambda: _unigram("[CLS]", "[PAD]", "[SEP]", "[UNK]"),
        "PreTrainedTokenizerFast",
        {
            "relative_attention": True,
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pad_token_id": 1,
            "max_position_embeddings": MAX_LENGTH,
        },
    ),
    "modernbert": (
        "ModernBert",
        _byte_level,
        "PreTrainedTokenizerFast",
        {
            "max_position_embeddings": MAX_LENGTH,
            "pad_token_id": 1,
            "local_attention": 8,
            "global_attn_every_n_layers": 2,
        },
    ),
}
ENDINGS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "feature-extraction": "Model",
}


def make_family(name: str, task: str, folder: Path, **more: Any) -> Path:  # noqa: ANN401
    """A Hugging Face folder; `more` goes to the config."""
    stem, make_tokenizer, tokenizer_class, extra = FAMILIES[name]
    tokenizer = make_tokenizer()
    special = _special(tokenizer)
    wrapped = getattr(transformers, tokenizer_class)(
        tokenizer_object=tokenizer, model_max_length=MAX_LENGTH, **special
    )
    sizes = {} if name == "distilbert" else SIZES
    labels = {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }
    config = getattr(transformers, f"{stem}Config")(
        vocab_size=tokenizer.get_vocab_size(), **sizes, **extra, **labels, **_ids(wrapped), **more
    )
    torch.manual_seed(1)
    model = getattr(transformers, f"{stem}{ENDINGS[task]}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:  # the ordinary start is so small that all answers look alike
                parameter.mul_(4)
    model.save_pretrained(folder, safe_serialization=True)
    wrapped.save_pretrained(folder)
    return folder


def _special(tokenizer: Tokenizer) -> dict[str, str]:
    names = {
        "pad_token": ("[PAD]", "<pad>"),
        "unk_token": ("[UNK]", "<unk>"),
        "cls_token": ("[CLS]", "<s>"),
        "sep_token": ("[SEP]", "</s>"),
    }
    known = tokenizer.get_vocab()
    return {
        name: next(token for token in tokens if token in known) for name, tokens in names.items()
    }


def _ids(tokenizer: Any) -> dict[str, int]:  # noqa: ANN401
    return {
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }


def write_pooling(folder: Path, mode: str) -> None:
    """What Sentence Transformers writes beside a model."""
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    listed = [
        {
            "idx": i,
            "name": str(i),
            "path": path,
            "type": f"sentence_transformers.models.{name}",
        }
        for i, (name, path) in enumerate(modules.items())
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{mode}": True, "word_embedding_dimension": 64})
    )
