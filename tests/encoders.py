"""Make small encoders of every family, with random weights and tokenizers of their own.

They are enough to compare two engines.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
WORDS = [f"w{index}" for index in range(100)]
# Wide initial weights, so that every layer has a say in the answer.
SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
}
BY_FAMILY: dict[str, dict[str, Any]] = {
    "Bert": {"max_position_embeddings": 256},
    "DistilBert": {
        "dim": 64,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 128,
        "max_position_embeddings": 256,
    },
    "Roberta": {"max_position_embeddings": 258, "type_vocab_size": 1},
    "XLMRoberta": {"max_position_embeddings": 258, "type_vocab_size": 1},
    "ModernBert": {
        "num_hidden_layers": 4,
        "max_position_embeddings": 1024,
        "local_attention": 32,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
}
TOKENIZERS = {"Bert": "WordPiece", "DistilBert": "WordPiece", "XLMRoberta": "Unigram"}


def make_tokenizer(kind: str) -> transformers.PreTrainedTokenizerFast:
    """Make a WordPiece, Unigram or BPE tokenizer over made words.

    The padding token is number 1, as RoBERTa has it.
    """
    vocab = {token: index for index, token in enumerate([*SPECIAL.values(), *WORDS])}
    if kind == "Unigram":
        tokenizer = Tokenizer(
            models.Unigram([(token, -float(index)) for token, index in vocab.items()], unk_id=3)
        )
    elif kind == "BPE":
        letters = {
            token: len(vocab) + index
            for index, token in enumerate(pre_tokenizers.ByteLevel.alphabet())
        }
        tokenizer = Tokenizer(models.BPE(vocab | letters, []))
    else:
        tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=SPECIAL["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=256, **names
    )


def make_encoder(folder: Path, architecture: str, labels: int = 12, **changes: object) -> Any:  # noqa: ANN401
    """A model of this class with its tokenizer in `folder`, and in memory."""
    family = architecture.removesuffix("ForSequenceClassification").removesuffix("Model")
    tokenizer = make_tokenizer(TOKENIZERS.get(family, "BPE"))
    torch.manual_seed(0)
    values = {
        **(SHAPE if family != "DistilBert" else {}),
        **BY_FAMILY[family],
        "vocab_size": len(tokenizer),
        "initializer_range": 0.15,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        **changes,
    }
    if not architecture.endswith("Model"):
        values["id2label"] = {index: f"label {index}" for index in range(labels)}
        values["label2id"] = {f"label {index}": index for index in range(labels)}
    config = getattr(transformers, f"{family}Config")(**values)
    model = getattr(transformers, architecture)(config).eval()
    for parameter in model.parameters():
        # biases start at zero and norms at one, where a mistake would not show
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return model


def make_feeds(lengths: list[int], left: bool = False) -> dict[str, np.ndarray]:
    """Texts of random words of these lengths, padded."""
    random = np.random.default_rng(0)
    ids = np.full((len(lengths), max(lengths)), 1, dtype=np.int64)
    for row, length in zip(ids, lengths, strict=True):
        text = random.integers(len(SPECIAL), len(SPECIAL) + len(WORDS), size=length)
        text[0], text[-1] = 0, 2
        row[slice(len(row) - length, None) if left else slice(length)] = text
    return {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)}


def answer(model: Any, feeds: dict[str, np.ndarray], pooling: str) -> np.ndarray:  # noqa: ANN401
    """PyTorch's logits, or its embedding by this pooling."""
    mask = torch.from_numpy(feeds["attention_mask"])
    with torch.inference_mode():
        output = model(torch.from_numpy(feeds["input_ids"]), attention_mask=mask)
    if pooling == "RANK":
        return np.asarray(output.logits.numpy())
    hidden, weights = output.last_hidden_state, mask[..., None].float()
    if pooling == "MEAN":
        return np.asarray(((hidden * weights).sum(1) / weights.sum(1)).numpy())
    place = torch.zeros(len(mask), dtype=torch.long) if pooling == "CLS" else mask.sum(1) - 1
    return np.asarray(hidden[torch.arange(len(mask)), place].numpy())
