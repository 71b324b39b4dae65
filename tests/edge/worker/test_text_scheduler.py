"""Generated texts on the null engine: streamed, cancelled, paced by their readers."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgekit.edge.engines import Sampling, TextRequest, load_text_engine
from edgekit.edge.worker.messages import TextPiece, Unanswered
from edgekit.edge.worker.text_scheduler import TextScheduler
from edgekit.nouns import Setting

Start = Callable[..., TextScheduler]


class Reader:
    """What was sent, by sequence."""

    def __init__(self) -> None:
        self.sent: list[TextPiece | Unanswered] = []
        self.changed = threading.Condition()

    def send(self, frame: TextPiece | Unanswered) -> None:
        with self.changed:
            self.sent.append(frame)
            self.changed.notify_all()

    def of(self, number: int) -> list[TextPiece | Unanswered]:
        """Return what was sent of one sequence."""
        return [frame for frame in self.sent if frame.id == number]

    def tokens(self, number: int) -> list[int]:
        """Return all tokens that were sent of one sequence."""
        pieces = (frame for frame in self.of(number) if isinstance(frame, TextPiece))
        return [token for piece in pieces for token in piece.tokens]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait; what takes longer takes for ever."""
        with self.changed:
            assert self.changed.wait_for(condition, 20)

    def finished(self, *numbers: int) -> None:
        """Wait until the last piece of each of these was sent."""
        self.until(lambda: all(self.ending(number) for number in numbers))

    def ending(self, number: int) -> str | None:
        """Return how a sequence ended, None while it goes on."""
        last = self.of(number)[-1:]
        if last and isinstance(last[0], Unanswered):
            return last[0].problem.kind
        return last[0].finish if last and isinstance(last[0], TextPiece) else None


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def start(tmp_path: Path, reader: Reader) -> Iterator[Start]:
    """Start a scheduler on the null engine.

    description: what null.json holds.
    """
    begun: list[TextScheduler] = []

    def make(description: str = "{}", sequences: int = 4) -> TextScheduler:
        (tmp_path / "null.json").write_text(description)
        session = load_text_engine("null").load_text(tmp_path, Setting(batch_size=sequences))
        begun.append(TextScheduler(session, reader.send))
        return begun[-1]

    yield make
    for scheduler in begun:
        scheduler.close()


def request(
    *prompt: int, owner: str = "", logprobs: bool = False, max_tokens: int = 256
) -> TextRequest:
    sampling = Sampling(max_tokens=max_tokens)
    return TextRequest(prompt=prompt, owner=owner, logprobs=logprobs, sampling=sampling)


def test_a_text_comes_piece_by_piece(start: Start, reader: Reader) -> None:
    scheduler = start()
    scheduler.ask(1, request(5, 6, 7, logprobs=True), credit=100)
    reader.finished(1)
    pieces = [frame for frame in reader.sent if isinstance(frame, TextPiece)]
    assert [piece.tokens for piece in pieces] == [[5], [6], [7], []]
    assert [len(piece.logprobs) for piece in pieces] == [1, 1, 1, 0]
    assert [piece.finish for piece in pieces] == [None, None, None, "stop"]


def test_the_length_and_stop_tokens_end_a_text(start: Start, reader: Reader) -> None:
    scheduler = start()
    scheduler.ask(1, request(1, 2, 3, 4, max_tokens=2), credit=100)
    scheduler.ask(2, TextRequest(prompt=(1, 2, 9, 4), sampling=Sampling(stop=(9,))), credit=100)
    reader.finished(1, 2)
    assert (reader.tokens(1), reader.ending(1)) == ([1, 2], "length")
    assert (reader.tokens(2), reader.ending(2)) == ([1, 2], "stop")


def test_sequences_share_the_steps(start: Start, reader: Reader) -> None:
    scheduler = start('{"seconds": 0.01}')
    for number in range(4):
        scheduler.ask(number, request(*range(20)), credit=100)
    reader.finished(*range(4))
    numbers = [frame.id for frame in reader.sent]
    assert all(numbers.index(number) < 20 for number in range(4)), "none waits for another's end"
    assert all(reader.tokens(number) == list(range(20)) for number in range(4))


def test_a_slow_reader_gets_everything_and_holds_up_nobody(start: Start, reader: Reader) -> None:
    scheduler = start()
    scheduler.ask(1, request(*range(200)), credit=2)
    scheduler.ask(2, request(*range(100)), credit=1000)
    reader.finished(2)
    assert reader.tokens(2) == list(range(100))
    assert len(reader.of(1)) == 2, "no piece is sent without credit"
    scheduler.ask(3, request(*range(250)), credit=1000)  # longer than the first one goes on
    reader.finished(3)
    scheduler.credit(1, 1)
    reader.finished(1)
    assert len(reader.of(1)) == 3, "what waited comes in one piece"
    assert reader.tokens(1) == list(range(200))


def test_credit_that_comes_before_its_sequence_has_its_turn_counts(
    start: Start, reader: Reader
) -> None:
    scheduler = start('{"seconds": 0.01}', sequences=1)
    scheduler.ask(1, request(*range(10)), credit=100)
    scheduler.ask(2, request(1, 2), credit=0)
    scheduler.credit(2, 10)
    reader.finished(1, 2)
    assert reader.tokens(2) == [1, 2]


@pytest.mark.parametrize("has_begun", [True, False])
def test_nothing_is_sent_of_a_cancelled_text(start: Start, reader: Reader, has_begun: bool) -> None:
    scheduler = start('{"seconds": 0.01}', sequences=1 if not has_begun else 2)
    scheduler.ask(1, request(*range(60)), credit=1000)
    reader.until(lambda: len(reader.of(1)) > 1)
    scheduler.ask(2, request(*range(1000), max_tokens=1000), credit=1000)
    if has_begun:
        reader.until(lambda: len(reader.of(2)) > 1)
    scheduler.cancel(2)
    count = len(reader.of(2))
    scheduler.ask(3, request(4), credit=10)
    reader.finished(1, 3)
    assert len(reader.of(2)) == count
    assert reader.ending(2) is None


def test_owners_take_turns(start: Start, reader: Reader) -> None:
    scheduler = start('{"seconds": 0.002}', sequences=1)
    scheduler.ask(0, request(*range(20)), credit=100)
    reader.until(lambda: bool(reader.of(0)))
    for number in range(1, 6):
        scheduler.ask(number, request(1, owner="greedy"), credit=100)
    scheduler.ask(9, request(1, owner="other"), credit=100)
    reader.finished(1, 5, 9)
    order = list(dict.fromkeys(frame.id for frame in reader.sent))
    assert order.index(9) <= 2


def test_what_does_not_fit_is_refused_with_both_numbers(start: Start, reader: Reader) -> None:
    scheduler = start('{"context": 10}')
    scheduler.ask(1, request(1, 2, 3, max_tokens=8), credit=10)
    reader.finished(1)
    [refusal] = reader.of(1)
    assert isinstance(refusal, Unanswered)
    assert refusal.problem.kind == "InputError"
    assert "11" in refusal.problem.message
    assert "10" in refusal.problem.message


def test_an_engine_that_fails_ends_the_sequences_and_serves_on(
    start: Start, reader: Reader
) -> None:
    scheduler = start('{"faults": {"66": "raise"}, "seconds": 0.002}')
    scheduler.ask(1, request(1, 2, 66, 4), credit=100)
    reader.finished(1)
    assert reader.ending(1) == "EngineFailed"
    [problem] = [frame for frame in reader.of(1) if isinstance(frame, Unanswered)]
    assert "asked to fail" not in problem.problem.message
    scheduler.ask(2, request(1, 2), credit=100)
    reader.finished(2)
    assert reader.tokens(2) == [1, 2]


def test_closing_ends_the_thread(start: Start) -> None:
    scheduler = start('{"seconds": 0.01}')
    scheduler.ask(1, request(*range(2000), max_tokens=2000), credit=10_000)
    time.sleep(0.05)
    scheduler.close()
    assert "decode" not in {thread.name for thread in threading.enumerate()}
