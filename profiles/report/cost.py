"""What a day of requests costs on the device, against a price for each call elsewhere.

No price is made up: what the user does not give is named as missing, and the lines that need it
stay empty.
"""

from collections.abc import Iterator
from typing import Literal

from edgekit.nouns import Build, MeasuredVariant, Noun, Performance

SECONDS_A_DAY = 86_400
JOULES_A_KWH = 3_600_000
EnergyFrom = Literal["measured", "watts given"]


class Prices(Noun, frozen=True, kw_only=True):
    """What only the user knows of the cost; None where it was not given.

    requests_per_day: how many requests the device answers a day.
    device_price: the price of the device.
    per_call_price: what one call of a hosted model costs.
    watts: the power of the device at work, in W, where nothing measures it.
    energy_price: the price of one kWh.
    currency: the currency of all prices.
    """

    requests_per_day: float | None = None
    device_price: float | None = None
    per_call_price: float | None = None
    watts: float | None = None
    energy_price: float | None = None
    currency: str = "EUR"


class Cost(Noun, frozen=True, kw_only=True):
    """The costs of one variant; what is None lacks an option or a measurement.

    energy_j: joules for one input.
    energy_from: where that figure is from.
    busy_share: the share of the day that the device works, at the measured throughput; above 1 it
    can't keep up, and no saving is given.
    kwh_per_day: the energy of a day, in kWh.
    energy_cost_per_day: the price of that energy.
    calls_cost_per_day: what the same requests would cost as calls.
    saved_per_day: the cost of the calls less that of the energy.
    break_even_days: days until what the calls would have cost has paid for device and energy; None
    also where it never does.
    verdict: the same in words.
    """

    variant: str
    energy_j: float | None
    energy_from: EnergyFrom | None
    busy_share: float | None
    kwh_per_day: float | None
    energy_cost_per_day: float | None
    calls_cost_per_day: float | None
    saved_per_day: float | None
    break_even_days: float | None
    verdict: str


class CostSheet(Noun, frozen=True, kw_only=True):
    """The lines of all variants that may be shipped, and everything that they rest on."""

    prices: Prices
    missing: tuple[str, ...]  # options that would fill the empty places
    assumptions: tuple[str, ...]
    variants: tuple[Cost, ...]


def cost_sheet(build: Build, prices: Prices) -> CostSheet:
    """Work out the cost of the accepted variants; where none is, of all that were measured."""
    sound = [item for item in build.measured if item.status != "failed"]
    shown = [item for item in sound if item.status == "accepted"] or sound
    requests = prices.requests_per_day
    lines = () if requests is None else tuple(_cost(item, requests, prices) for item in shown)
    figures = [item.evidence.performance for item in shown]
    return CostSheet(
        prices=prices,
        missing=tuple(_missing(figures, prices)),
        assumptions=tuple(_assumptions(figures, prices)) if lines else (),
        variants=lines,
    )


def _missing(figures: list[Performance], prices: Prices) -> Iterator[str]:
    for option, value in (
        ("--requests-per-day", prices.requests_per_day),
        ("--device-price", prices.device_price),
        ("--per-call-price", prices.per_call_price),
        ("--energy-price", prices.energy_price),
    ):
        if value is None:
            yield option
    if prices.watts is None and any(item.energy_j is None for item in figures):
        yield "--watts"


def _cost(variant: MeasuredVariant, requests: float, prices: Prices) -> Cost:
    performance = variant.evidence.performance
    busy = requests / performance.samples_per_s.value / SECONDS_A_DAY
    joules, origin = _energy(performance, prices)
    kwh = None if joules is None else joules * requests / JOULES_A_KWH
    energy = None if kwh is None or prices.energy_price is None else kwh * prices.energy_price
    calls = None if prices.per_call_price is None else requests * prices.per_call_price
    saved = None if calls is None or energy is None or busy > 1 else calls - energy
    days = _break_even(saved, prices.device_price)
    return Cost(
        variant=variant.name,
        energy_j=joules,
        energy_from=origin,
        busy_share=busy,
        kwh_per_day=kwh,
        energy_cost_per_day=energy,
        calls_cost_per_day=calls,
        saved_per_day=saved,
        break_even_days=days,
        verdict=_verdict(busy, saved, days),
    )


def _energy(performance: Performance, prices: Prices) -> tuple[float | None, EnergyFrom | None]:
    """Return the joules of one input and where they come from.

    The meter comes before the user's watts.
    """
    if performance.energy_j is not None:
        return performance.energy_j.value, "measured"
    if prices.watts is not None:
        return prices.watts / performance.samples_per_s.value, "watts given"
    return None, None


def _break_even(saved: float | None, price: float | None) -> float | None:
    return None if saved is None or price is None or saved <= 0 else price / saved


def _verdict(busy: float, saved: float | None, days: float | None) -> str:
    if busy > 1:
        return "can't keep up"
    if saved is not None and saved <= 0:
        return "never"
    return "" if days is None else f"after {days:,.{0 if days >= 10 else 1}f} days"


def _assumptions(figures: list[Performance], prices: Prices) -> Iterator[str]:
    """List what the sheet takes for granted, in the reader's words."""
    yield (
        f"{prices.requests_per_day:,.10g} requests a day, spread so that the device works through"
        " them in full batches at its measured throughput; peaks and a limit on latency need spare"
        " time"
    )
    if sources := dict.fromkeys(item.energy_source for item in figures if item.energy_j):
        meters = "; ".join(sources)
        yield (
            f"energy of one input as measured ({meters}): a meter of the processor leaves out the"
            " rest of the device"
        )
    if prices.watts is not None and any(item.energy_j is None for item in figures):
        yield (
            f"energy was not measured: {prices.watts:g} W as given, for as long as the device is"
            " busy"
        )
    if prices.watts is not None and any(item.energy_j for item in figures):
        yield f"the {prices.watts:g} W given are not used where energy was measured"
    yield "energy of a device that waits, its upkeep, the network and people's time are not counted"
    for value, text in (
        (prices.energy_price, "for a kWh"),
        (prices.device_price, "for the device, once"),
        (prices.per_call_price, "for each call elsewhere"),
    ):
        if value is not None:
            yield f"{value:.10g} {prices.currency} {text}"
    if prices.device_price is not None and prices.per_call_price is not None:
        yield (
            "break-even: the device's price over what a day of calls costs more than a day of the"
            " device's energy"
        )
