"""Train a very small BERT classifier from nothing, in about ten seconds.

python tests/tiny_bert.py OUT

It has real weights that answer well, so that quantizing has something to lose and labels something
to be wrong about.
"""

import csv
import random
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

WORDS = {
    "coolant_leak": "coolant leak puddle drip wet hose",
    "bearing_wear": "bearing noise grinding vibration spindle hot",
    "belt_slip": "belt slip squeal tension loose pulley",
    "sensor_drift": "sensor drift offset reading calibration value",
}
FILLER = [
    "the",
    "a",
    "on",
    "at",
    "line",
    "press",
    "pump",
    "again",
    "since",
    "shift",
    "two",
    "three",
    "please",
    "check",
    "it",
    "is",
    "was",
    "machine",
    "stopped",
    "near",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LABELS = sorted(WORDS)


def make_text(label: str, rng: random.Random) -> str:
    """Two to four words of the label, one of another, and filler; of very mixed length."""
    stray = rng.choice(WORDS[rng.choice(LABELS)].split())
    words = [*rng.sample(WORDS[label].split(), rng.randint(2, 4)), stray]
    words += rng.choices(FILLER, k=rng.randint(0, 20))
    rng.shuffle(words)
    return " ".join(words)


def make_rows(count: int, rng: random.Random, seen: set[str]) -> list[tuple[str, str]]:
    """Distinct texts, none of them in `seen`, which they join."""
    rows: list[tuple[str, str]] = []
    while len(rows) < count:
        label = rng.choice(LABELS)
        text = make_text(label, rng)
        if text not in seen:
            seen.add(text)
            rows.append((text, label))
    return rows


def make_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece over the words above."""
    words = sorted({word for line in WORDS.values() for word in line.split()} | set(FILLER))
    vocab = {token: index for index, token in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=32,
    )


def train(
    rows: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
) -> BertForSequenceClassification:
    """A few hundred steps of Adam."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        batch = tokenizer(
            [text for text, _ in part], padding=True, truncation=True, return_tensors="pt"
        )
        loss = model(**batch, labels=torch.tensor([LABELS.index(label) for _, label in part])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def write_csv(path: Path, rows: list[tuple[str, str]]) -> None:
    """Columns text and label."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def main() -> None:
    """Model, calibration.csv and evaluation.csv in the folder that the command line names."""
    out, rng, seen = Path(sys.argv[1]), random.Random(0), set[str]()
    tokenizer = make_tokenizer()
    model = train(make_rows(6400, rng, seen), tokenizer)
    model.save_pretrained(out / "model", safe_serialization=True)
    tokenizer.save_pretrained(out / "model")
    write_csv(out / "calibration.csv", make_rows(64, rng, seen))
    write_csv(out / "evaluation.csv", make_rows(400, rng, seen))


if __name__ == "__main__":
    main()
