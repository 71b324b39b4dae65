"""A timing session: every variant takes its turn in every round, each time in a fresh process.

The order within a round is random. Drift of the machine hits all variants alike, and the rounds of
two variants are compared pair by pair. A cached and a fresh figure never meet: a session is kept
and re-used as a whole, or made anew.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.tasks import Task
from edgekit.errors import EdgekitError, JobFailed
from edgekit.nouns import Conditions, Noun, Performance, Setting
from edgekit.profiles.conditions import disturbances
from edgekit.profiles.data import shuffled
from edgekit.profiles.intervals import figure, percentile
from edgekit.profiles.scenarios import EFFORTS, ENOUGH_FOR_P99, Effort, Name
from edgekit.profiles.timing_job import Round, RoundRequest

MOST_INPUTS = 4096  # a sample of a larger file has its lengths, too
ROOM_FOR_SLOW = 1.25  # a model whose calls take the whole limit still gets all of them
QUANTILES = np.linspace(0, 1, 101)
ROUND_JOB = "edgekit.profiles.timing_job:round_job"

Run = Callable[[str, Noun, str], Any]  # a job's function, its request, and what it is about
Tell = Callable[[str, str, float], None]  # what is at work, the step, and the share that is done


class Contender(Noun, frozen=True, kw_only=True):
    """A variant with the setting that it is measured with."""

    name: str
    folder: str
    engine: str
    setting: Setting


class Plan(Noun, frozen=True, kw_only=True):
    """What a session measures.

    effort: the name of the effort, which sets the number of rounds and calls.
    cores: how many cores the calibration loop uses.
    inputs: a JSON file, see RoundRequest.
    p99_limit_ms: the limit of the spec, in ms; a model that keeps it gets the calls for a p99,
    whatever the effort.
    with_server: whether the server scenario is measured, too.
    """

    effort: Name
    cores: int
    inputs: str  # a JSON file, see RoundRequest
    p99_limit_ms: float | None = None
    with_server: bool = False


class Turn(Noun, frozen=True, kw_only=True):
    """One variant's turn in one round.

    name: the variant's.
    found: what was measured; None if it failed.
    problem: why it failed.
    is_fleeting: whether it was killed, which says nothing of the next time.
    """

    name: str
    found: Round | None = None
    problem: str = ""
    is_fleeting: bool = False


class TimingSession(Noun, frozen=True, kw_only=True):
    """The rounds that were finished, each with a turn of every contender."""

    rounds: tuple[tuple[Turn, ...], ...] = ()


def write_inputs(task: Task[Any], inputs: Sequence[Any], path: Path) -> None:
    """Write the inputs that every round runs through."""
    path.write_bytes(
        msgspec.json.encode([task.wire(value) for value in shuffled(inputs)[:MOST_INPUTS]])
    )


def run_session(
    contenders: Sequence[Contender],
    plan: Plan,
    run: Run,
    tell: Tell,
    begun: TimingSession = TimingSession(),  # noqa: B008 - frozen
    keep: Callable[[TimingSession], None] = lambda session: None,
) -> TimingSession:
    """Measure the rounds that a session lacks.

    A session in which a variant was killed is begun anew, as a whole.

    begun: the session so far, whose rounds are kept.
    keep: called after each round, so that a killed session goes on there.
    """
    effort, session = EFFORTS[plan.effort], begun
    if any(turn.is_fleeting for turn in _turns(begun)):
        session = TimingSession()
    best = _calmest(session)
    failed = {turn.name for turn in _turns(session) if turn.problem}
    for number in range(len(session.rounds), effort.rounds):
        order = [item for item in contenders if item.name not in failed]
        random.Random(number // 2).shuffle(order)  # noqa: S311 - an order, not a key
        # every other round the other way round: being first, or warm, hits all alike
        if number % 2:
            order.reverse()
        turns: dict[str, Turn] = {}
        waiting = [(item, 0) for item in order]
        while waiting:
            contender, attempt = waiting.pop(0)
            again = f", once more: {attempt}" if attempt else ""
            tell(
                contender.name,
                f"timing, round {number + 1} of {effort.rounds}{again}",
                number / effort.rounds,
            )
            turn = _take_turn(contender, plan, run, number)
            turns[contender.name] = turn
            if turn.found is None:
                failed.add(contender.name)
                continue
            best = min(best, turn.found.calibration_s)
            if attempt < effort.retries and any(disturbances(_conditions(turn.found, best))):
                # At the end of the round: the disturbance may have passed.
                waiting.append((contender, attempt + 1))
        session = TimingSession(rounds=(*session.rounds, tuple(turns.values())))
        keep(session)
    return session


def _turns(session: TimingSession) -> list[Turn]:
    return [turn for turns in session.rounds for turn in turns]


def _calmest(session: TimingSession) -> float:
    """Return the seconds that the fixed piece of work took at best."""
    return min(
        (turn.found.calibration_s for turn in _turns(session) if turn.found), default=math.inf
    )


def _take_turn(contender: Contender, plan: Plan, run: Run, number: int) -> Turn:
    effort = EFFORTS[plan.effort]
    limit_ms = plan.p99_limit_ms or 0.0
    calls = max(effort.calls, math.ceil(ENOUGH_FOR_P99 / effort.rounds) if limit_ms else 0)
    request = RoundRequest(
        folder=contender.folder,
        engine=contender.engine,
        setting=contender.setting,
        inputs=plan.inputs,
        effort=plan.effort,
        calls=calls,
        most_seconds=max(effort.most_seconds, ROOM_FOR_SLOW * calls * limit_ms / 1e3),
        begins_at=number / effort.rounds,
        cores=plan.cores,
        is_cold=number == 0,
        server_limit_ms=plan.p99_limit_ms
        if plan.with_server and number == effort.rounds - 1
        else None,
    )
    try:
        return Turn(
            name=contender.name,
            found=msgspec.convert(run(ROUND_JOB, request, contender.name), Round),
        )
    except EdgekitError as error:
        is_fleeting = isinstance(error, JobFailed) and error.is_fleeting
        return Turn(name=contender.name, problem=str(error), is_fleeting=is_fleeting)


def _conditions(found: Round, best: float) -> Conditions:
    return msgspec.structs.replace(found.conditions, slowdown=max(1.0, found.calibration_s / best))


def performances(session: TimingSession, plan: Plan) -> Mapping[str, Performance | str]:
    """Return what the rounds say of each contender, or why one could not be measured."""
    best = _calmest(session)
    names = dict.fromkeys(turn.name for turn in _turns(session))
    results: dict[str, Performance | str] = {}
    for name in names:
        mine = [turn for turn in _turns(session) if turn.name == name]
        problem = next((turn.problem for turn in mine if turn.problem), "")
        found = [turn.found for turn in mine if turn.found]
        results[name] = problem or _performance(found, plan, best)
    return results


def _performance(rounds: Sequence[Round], plan: Plan, best: float) -> Performance:
    times = np.concatenate([item.times_ms for item in rounds])
    medians = [float(np.median(item.times_ms)) for item in rounds]
    speeds = [item.samples / item.seconds for item in rounds]
    conditions = tuple(_conditions(item, best) for item in rounds)
    joules = tuple(item.joules / item.samples for item in rounds if item.joules)
    joules = joules if len(joules) == len(rounds) else ()
    warm = [item.load_ms for item in rounds if not item.is_cold]
    servers = [item.server for item in rounds if item.server]
    return Performance(
        effort=plan.effort,
        rounds=len(rounds),
        calls=len(times),
        p50_ms=figure(medians),
        p90_ms=figure([float(np.quantile(item.times_ms, 0.9)) for item in rounds]),
        p99_ms=percentile(times, 0.99) if len(times) >= ENOUGH_FOR_P99 else None,
        latency_quantiles=tuple(round(float(value), 4) for value in np.quantile(times, QUANTILES)),
        samples_per_s=figure(speeds),
        round_p50_ms=tuple(medians),
        round_samples_per_s=tuple(speeds),
        round_energy_j=joules,
        server=servers[-1] if servers else None,
        load_ms=float(np.median(warm or [item.load_ms for item in rounds])),
        cold_load_ms=next((item.load_ms for item in rounds if item.is_cold), None),
        peak_rss_bytes=max(item.peak_rss_bytes for item in rounds),
        energy_j=figure(joules) if joules else None,
        energy_source=rounds[0].energy_source,
        conditions=conditions,
        disturbed=tuple(_disturbed(conditions)),
        skipped=tuple(_skipped(rounds, plan, EFFORTS[plan.effort], len(times))),
    )


def _disturbed(conditions: Sequence[Conditions]) -> list[str]:
    return [
        f"round {number}: {reason}"
        for number, item in enumerate(conditions, 1)
        for reason in disturbances(item)
    ]


def _skipped(rounds: Sequence[Round], plan: Plan, effort: Effort, calls: int) -> list[str]:
    skipped = []
    if calls < ENOUGH_FOR_P99:
        way = (
            "measure without --quick"
            if effort.name == "quick"
            else "--thorough takes the time for them"
        )
        skipped.append(f"p99: fewer than {ENOUGH_FOR_P99} calls; {way}")
    if not any(item.is_cold for item in rounds):
        skipped.append("cold load: the files stay in memory on this file system")
    if not plan.with_server:
        skipped.append("server scenario: not asked for (edgekit profile --server)")
    elif plan.p99_limit_ms is None:
        skipped.append("server scenario: needs a limit on p99")
    skipped += [f"server scenario: {item.server_said}" for item in rounds if item.server_said]
    if effort.name != "thorough":
        skipped.append("MLPerf's counts: --thorough reaches them")
    unstable = sum(not item.is_stable for item in rounds)
    if unstable:
        skipped.append(f"a stable warm-up: never reached in {unstable} of {len(rounds)} rounds")
    if rounds[0].joules is None:
        skipped.append(f"energy: {rounds[0].energy_source.removeprefix('not measured: ')}")
    elif not all(item.joules for item in rounds):
        skipped.append(f"energy: the meter stands still ({rounds[0].energy_source})")
    return skipped
