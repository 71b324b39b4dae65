"""The whole way on one machine: `make demo`.

build → bundle → deploy into a local appliance folder → serve → one answer over HTTP → one batch
file → report. Everything goes to .demo/; what is built there is re-used the next time.
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from itertools import islice
from pathlib import Path

HERE = Path(__file__).parent
DEMO = HERE.parent / ".demo"
EDGEKIT = str(Path(sys.executable).with_name("edgekit"))
TICKET = "press 4 lossing hydraulic presure, oil puddle undr the pump, clamp drops slowly"
BATCH_ROWS = 200


def say(title: str) -> None:
    """A heading."""
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n## {title}", flush=True)


def run(*arguments: str, quiet: bool = False) -> None:
    """Show a command and run it in .demo/; its progress goes to the terminal."""
    print(f"$ edgekit {' '.join(arguments)}", flush=True)
    subprocess.run(
        [EDGEKIT, *arguments], cwd=DEMO, check=True, stdout=subprocess.DEVNULL if quiet else None
    )


def ask_over_http() -> None:
    """Start the server on a free port, ask it once, and stop it."""
    print("$ edgekit serve appliance --port 0", flush=True)
    server = subprocess.Popen(
        [EDGEKIT, "serve", "appliance", "--port", "0", "--json"],
        cwd=DEMO,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout  # noqa: S101 - we asked for a pipe
    try:
        text = ""
        while not text.endswith("}\n"):
            line = server.stdout.readline()
            if not line:
                raise SystemExit("the server did not start; its message is above")
            text += line
        url = f"http://127.0.0.1:{json.loads(text)['port']}/v1/classify"
        body = json.dumps({"inputs": TICKET, "top_k": 3})
        print(f"$ curl -d '{body}' {url}", flush=True)
        with urllib.request.urlopen(url, body.encode(), timeout=30) as answer:
            print(answer.read().decode())
    finally:
        server.terminate()
        server.wait()


def write_batch() -> None:
    """A file of unlabelled tickets, as the night shift finds it."""
    import csv

    with (
        (DEMO / "evaluation.csv").open(newline="") as source,
        (DEMO / "tickets.csv").open("w", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["text"])
        writer.writerows([row["text"]] for row in islice(csv.DictReader(source), BATCH_ROWS))


def clear() -> None:
    """Remove what an earlier demo packed and deployed; the model and the build are kept."""
    for name in ("release.key", "release.pub", "tickets.tar", "answers.csv"):
        (DEMO / name).unlink(missing_ok=True)
    shutil.rmtree(DEMO / "appliance", ignore_errors=True)


def main() -> None:
    """Run every step; stop at the first that fails."""
    started = time.monotonic()
    DEMO.mkdir(exist_ok=True)
    clear()
    say("1. An example specialist: a classifier of equipment fault tickets (synthetic data)")
    subprocess.run(
        [sys.executable, str(HERE / "fault_tickets" / "prepare.py"), str(DEMO)], check=True
    )
    say("2. llama.cpp's converter, once: GGUF needs it for all but BERT classifiers")
    run("setup", "gguf")
    say("3. Build: quantize, compile and measure every variant, quickly")
    run("build", "edgekit.toml", "--quick", quiet=True)
    say("4. Bundle: the chosen variant with its evidence, signed")
    run("keygen", "release", "--no-passphrase")
    run("bundle", "pack", "build", "--key", "release.key", "--out", "tickets.tar")
    say("5. Deploy into an appliance folder: signature, fit and golden samples first")
    run("deploy", "tickets.tar", "appliance", "--trust", "release.pub")
    run("status", "appliance")
    say("6. Serve, and one answer over HTTP")
    ask_over_http()
    say(f"7. A batch of {BATCH_ROWS} tickets")
    write_batch()
    run("batch", "tickets.csv", "answers.csv", "--appliance", "appliance")
    with (DEMO / "answers.csv").open() as answers:
        print("".join(islice(answers, 4)), end="")
    say("8. Report: every variant, and which one was chosen and why")
    run("report", "build")
    print(f"\n{time.monotonic() - started:.0f} seconds; everything is in {DEMO.name}/")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit("\nstopped; run it again to go on")
