"""The whole way on one machine: `make demo`.

build → report → bundle → deploy into a local appliance folder → serve → one answer over HTTP → one
batch file. Everything goes to .demo/; the model and the build are used again the next time.
"""

import csv
import json
import shutil
import subprocess
import sys
import textwrap
import time
import urllib.request
from itertools import islice
from pathlib import Path

from edgekit.edge.engines import engine_version

HERE = Path(__file__).parent
DEMO = HERE.parent / ".demo"
EDGEKIT = str(Path(sys.executable).with_name("edgekit"))
TICKET = "press 4 lossing hydraulic presure, oil puddle undr the pump"
BATCH_ROWS = 200
SHOWN_ROWS = 3
INTRODUCTION = """\
This trains a small text classifier, builds variants of it, and puts the best one to work on this
machine. The first time it takes about 3 minutes on two idle cores, longer on a busy machine; then
what is built is used again. It fetches nothing, and writes to {folder}/ only."""
NO_GGUF = """\
llama-cpp-python is not installed, so no GGUF variant is built. `make install` adds it, which
compiles llama.cpp (5 to 15 minutes); the next `make demo` then builds one."""


def say(title: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n## {title}", flush=True)


def show(command: str) -> None:
    """Print a command as it would be typed."""
    print(f"$ {command}", flush=True)


def run(*arguments: str, is_quiet: bool = False) -> None:
    """Show an edgekit command and run it in .demo/; its progress goes to the terminal."""
    show(f"edgekit {' '.join(arguments)}")
    to = subprocess.DEVNULL if is_quiet else None
    subprocess.run([EDGEKIT, *arguments], cwd=DEMO, check=True, stdout=to)


def show_variants() -> None:
    """Print a line for each variant of the build, and which one was chosen and why."""
    command = [EDGEKIT, "report", "build", "--json"]
    done = subprocess.run(command, cwd=DEMO, check=True, capture_output=True, text=True)
    build = json.loads(done.stdout)
    print("variant              accuracy   may have lost      p50 ms   size MiB   verdict")
    for item in build["variants"]:
        if item["status"] not in ("accepted", "rejected"):
            print(f"{item['name']:19}  {item['status']}: {item['reason']}")
            continue
        why = "" if item["status"] == "accepted" else f": {item['reason']}"
        print(
            f"{item['name']:19}{100 * item['metric_value']:8.1f} %"
            f"{100 * item['drop_upper_bound']:8.1f} points"
            f"{item['p50_ms']['value']:13.1f}{item['size_bytes'] / 2**20:11.1f}"
            f"   {item['status']}{why}"
        )
    print("may have lost: the most that the tickets do not rule out; the limit is 2 points.")
    print("p50 ms: half of the answers take less.")
    chosen = f"Chosen: {build['chosen']}: {build['reason']}"
    print(textwrap.fill(chosen, 100, break_on_hyphens=False), flush=True)


def ask_over_http() -> None:
    """Start the server on a free port, ask it once, and stop it."""
    show("edgekit serve appliance --port 0")
    with (DEMO / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [EDGEKIT, "serve", "appliance", "--port", "0", "--json"],
            cwd=DEMO,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout  # noqa: S101 - we asked for a pipe
    try:
        text = ""
        while not text.endswith("}\n"):
            line = server.stdout.readline()
            if not line:
                raise SystemExit(f"the server did not start:\n{(DEMO / 'serve.log').read_text()}")
            text += line
        url = f"http://127.0.0.1:{json.loads(text)['port']}/v1/classify"
        body = json.dumps({"inputs": TICKET, "top_k": 3})
        show(f"curl {url} \\\n  -d '{body}'")
        with urllib.request.urlopen(url, body.encode(), timeout=30) as answer:
            said = json.loads(answer.read())
        labels = ",\n            ".join(json.dumps(label) for label in said["labels"])
        print(f'{{"labels": [{labels}],\n "truncated": {json.dumps(said["truncated"])}}}')
    finally:
        server.terminate()
        server.wait()


def write_batch() -> None:
    """Write a file of unlabelled tickets, as the night shift finds it."""
    with (
        (DEMO / "evaluation.csv").open(newline="") as source,
        (DEMO / "tickets.csv").open("w", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["text"])
        writer.writerows([row["text"]] for row in islice(csv.DictReader(source), BATCH_ROWS))


def show_answers() -> None:
    """Print the first rows of the batch's answers, long texts cut."""
    with (DEMO / "answers.csv").open(newline="") as file:
        for row in islice(csv.DictReader(file), SHOWN_ROWS):
            text = row["text"] if len(row["text"]) <= 60 else row["text"][:57] + "..."
            print(f"{row['predicted_label']:24}{float(row['predicted_score']):.2f}  {text}")


def clear() -> None:
    """Remove what an earlier demo packed and deployed; the model and the build are kept."""
    for name in ("release.key", "release.pub", "tickets.tar", "answers.csv"):
        (DEMO / name).unlink(missing_ok=True)
    shutil.rmtree(DEMO / "appliance", ignore_errors=True)


def main() -> None:
    """Run every step; stop at the first that fails."""
    started = time.monotonic()
    print(INTRODUCTION.format(folder=DEMO.name))
    if not engine_version("llama.cpp"):
        print(NO_GGUF)
    DEMO.mkdir(exist_ok=True)
    clear()
    say("1. An example model: it reads fault tickets (made-up ones) and names the fault")
    prepare = HERE / "fault_tickets" / "prepare.py"
    show("python examples/fault_tickets/prepare.py .demo")
    subprocess.run([sys.executable, str(prepare), str(DEMO)], check=True)
    say("2. Build: make every variant, measure each on 1,500 tickets, choose the best")
    run("build", "edgekit.toml", "--quick", is_quiet=True)
    show_variants()
    say("3. Report: the whole table as a page for the browser")
    run("report", "build", "--html", "report.html")
    say("4. Bundle: the chosen variant with its evidence, signed")
    run("keygen", "release", "--no-passphrase")
    run("bundle", "pack", "build", "--key", "release.key", "--out", "tickets.tar")
    say("5. Deploy into an appliance folder: signature, fit and golden samples first")
    run("deploy", "tickets.tar", "appliance", "--trust", "release.pub")
    run("status", "appliance")
    say("6. Serve, and one answer over HTTP")
    ask_over_http()
    say(f"7. A batch of {BATCH_ROWS} tickets; its first answers")
    write_batch()
    run("batch", "tickets.csv", "answers.csv", "--appliance", "appliance")
    show_answers()
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Everything is in {DEMO.name}/:")
    print("open report.html for all figures; edgekit report build shows them in the terminal.")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit("\nstopped; run it again to go on")
