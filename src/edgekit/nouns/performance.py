"""How fast a variant runs on a device: what `edgekit build` and `edgekit profile` measure."""

from typing import Literal

from edgekit.nouns.artifact import Setting
from edgekit.nouns.records import Part, Record


class Figure(Part, frozen=True, kw_only=True):
    """A measured number, and the interval that its true value lies in at 95 % (two-sided).

    value: the number.
    low: lower end of the interval.
    high: upper end of the interval.
    """

    value: float
    low: float
    high: float


class Conditions(Part, frozen=True, kw_only=True):
    """The state of the machine during one measurement. None: this machine does not tell.

    others: CPU time that other processes took, as a share of all cores.
    steal: CPU time that the hypervisor took, as a share of all cores.
    slowdown: time of a fixed piece of work, over the fastest of the session: 1.0 is calm.
    governor: CPU frequency governor.
    mhz: mean clock frequency of the cores before, during (the lowest seen) and after.
    celsius: hottest sensor before, during (the highest seen) and after.
    throttled: thermal throttling events.
    cores: how many cores `others` is a share of.
    """

    others: float
    steal: float | None = None
    slowdown: float = 1.0
    governor: str | None = None
    mhz: tuple[float, float, float] | None = None
    celsius: tuple[float, float, float] | None = None
    throttled: int | None = None
    cores: int | None = None


class ServerFigure(Part, frozen=True, kw_only=True):
    """MLPerf's server scenario: the largest Poisson arrival rate tried whose p99 keeps the limit.

    queries_per_s: that rate.
    p99_ms: 99th percentile of the latency at that rate.
    limit_ms: limit on it.
    queries: how many were asked at that rate.
    """

    queries_per_s: float
    p99_ms: Figure
    limit_ms: float
    queries: int


class Performance(Part, frozen=True, kw_only=True):
    """How fast one variant runs on one machine.

    It is measured in fresh processes, one a round, in turns with other variants. Latency is of one
    input at a time, from raw input to prediction, tokenizing and decoding included; throughput is
    of full batches on every stream. Intervals of p50, p90 and throughput come from the spread
    between rounds (Student's t on logarithms; Kalibera and Jones, Rigorous benchmarking in
    reasonable time, 2013), that of p99 from the order statistics of all calls.

    effort: how thorough the measurement was.
    rounds: how many fresh processes measured it.
    calls: how many calls were timed in all.
    p50_ms: median latency.
    p90_ms: 90th percentile of the latency.
    p99_ms: 99th percentile of the latency; None where the calls are too few.
    latency_quantiles: latency in ms at 0, 1, ... 100 %.
    samples_per_s: throughput.
    round_p50_ms: median latency of each round.
    round_samples_per_s: throughput of each round.
    round_energy_j: joules for one input of each round.
    server: the server scenario; None if it was not asked for.
    load_ms: time to load the model with its files in the page cache.
    cold_load_ms: the same with them dropped from it; None where that can't be done.
    peak_rss_bytes: peak memory (VmHWM) of the measuring process.
    energy_j: joules for one input in the offline scenario; None where nothing measures it.
    energy_source: which meter measured that, or why none did.
    conditions: state of the machine in each round.
    disturbed: what disturbed rounds that could not be repeated in peace; empty: a clean figure.
    skipped: what was not measured, and why.
    """

    effort: Literal["quick", "default", "thorough"]
    rounds: int
    calls: int
    p50_ms: Figure
    p90_ms: Figure
    p99_ms: Figure | None
    latency_quantiles: tuple[float, ...]
    samples_per_s: Figure
    round_p50_ms: tuple[float, ...]
    round_samples_per_s: tuple[float, ...]
    round_energy_j: tuple[float, ...] = ()
    server: ServerFigure | None = None
    load_ms: float
    cold_load_ms: float | None
    peak_rss_bytes: int
    energy_j: Figure | None = None
    energy_source: str
    conditions: tuple[Conditions, ...]
    disturbed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class Profile(Part, frozen=True, kw_only=True):
    """What `edgekit profile` measured of one variant on one device.

    It says nothing on accuracy, which needs labels.

    kind: always "measured"; an estimate is no profile.
    model: name of the model.
    version: version of the model.
    variant: name of the variant.
    manifest: digest of the variant's manifest in its bundle; "" for a build that is not packed.
    setting: how the engine ran it.
    performance: how fast it ran.
    inputs: which inputs it ran on, in words.
    machine: the machine that measured it, in words.
    target: device class that the machine belongs to.
    versions: version of each package that had a say.
    """

    kind: Literal["measured"] = "measured"
    model: str
    version: str
    variant: str
    manifest: str
    setting: Setting
    performance: Performance
    inputs: str
    machine: str
    target: str
    versions: dict[str, str]


class Profiles(Record, frozen=True, kw_only=True):
    """The file of `edgekit profile --out`: what was measured on one machine.

    machine: the machine, in words.
    profiles: one for each variant that was measured.
    failed: why the others were not, by variant.
    """

    machine: str
    profiles: tuple[Profile, ...]
    failed: dict[str, str] = {}
