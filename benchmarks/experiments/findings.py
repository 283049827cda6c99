"""What the rows show, in words; every number is computed from them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from benchmarks.experiments.figures import in_words
from benchmarks.experiments.means import Means, label
from benchmarks.experiments.running import REFERENCES, TIMELESS, TIMES
from benchmarks.truth.text import table

VISITS = "e-mails, visits"
# Models that credit every conversion of who was met once.
COUNTING = tuple(TIMELESS)[:6]
# Models that compare people who were met with the others.
COMPARING = ("Shapley('rate')", "Hazard, any day", "Logistic, any day")
ADJUSTED = "Logistic with covariates, any day"


def failures(means: Means) -> list[str]:
    """What fails first, then what holds."""
    if means.rows.is_empty():
        return []
    chance = {"selection": "at random"}
    each = [*_counting(means, chance), _comparing(means), *_times(means, chance), _holding(means)]
    return ["## What fails", "\n".join(f"- {words}" for words in each)]


def _counting(means: Means, chance: dict[str, str]) -> list[str]:
    return [
        "**Rules, removal effects and the default Shapley value** cannot be right here. With one "
        f"touchpoint a person, {names(COUNTING)} all credit every conversion of the people who "
        f"were reached: {span(means.of('ratio', COUNTING, **chance))} times what the channel "
        "changed, when chance decides who is reached. More data does not help."
    ]


def _comparing(means: Means) -> str:
    likely = means.of("ratio", COMPARING, trial=VISITS, selection="to likely")
    sides = []
    for channel in ("Men's e-mail", "Women's e-mail"):
        where = {"trial": VISITS, "selection": "split", "channel": channel}
        said = span(means.of("credit", COMPARING, **where), 0)
        sides.append((f"{means.of('truth', COMPARING, **where)[0]:.0f}", said))
    (men, for_men), (women, for_women) = sides
    return (
        f"**Comparing reached people with the others** ({names(COMPARING, bare=True)}) is right "
        "only if chance decides who is reached. With e-mails to likely visitors these credit "
        f"{span(likely)} times what the e-mails changed. With the men's e-mail to unlikely "
        "visitors and the women's to likely ones the order turns round: the trial says "
        f"{men} and {women}, they say {for_men} and {for_women}."
    )


def _times(means: Means, chance: dict[str, str]) -> list[str]:
    """Trials have no times; what models that need them make of invented ones."""
    within = {
        times: [label(model, times) for model in ("SelfControlled", "Incremental")]
        for times in TIMES
    }
    one, some = (span(means.of("ratio", within[times], **chance)) for times in TIMES)
    answer = [label("Incremental", times) for times in TIMES]
    (held, of), warned = means.held(answer), means.warned(answer)
    robust = [
        label(model, times)
        for times in TIMES
        for model in ("DoublyRobust", "DoublyRobust with covariates")
    ]
    robust_held, robust_of = means.held(robust)
    day = means.of("ratio", (label("Logistic", "one day"),), **chance)
    return [
        "**`SelfControlled` and `Incremental`** compare people with themselves on other days, and "
        f"here all other days are invented. With all conversions on one day they credit {one} "
        f"times the truth, with conversions on any day {some} times, when chance decides who is "
        f"reached. `Incremental` warns in {warned} of {of} cases, and its 90 % intervals hold the "
        f"trial's answer in {held}. Do not use them where every person has one touchpoint, at the "
        "start of observation.",
        f'**`DoublyRobust`** (`history="past"`) credits '
        f"{span(means.of('ratio', robust, **chance))} times the truth then, and its 90 % intervals "
        f"hold the answer in {robust_held} of {robust_of} cases: touchpoints are all on day 0, and "
        "few of the times that it compares them with are near that day.",
        "**`Logistic` takes invented times at their word.** With all conversions on day 7 its "
        f"credits are {span(day)} times the truth then, so negative: by day 7 a touchpoint has "
        "faded to less than its mean over 14 days, and looks harmful.",
    ]


def _holding(means: Means) -> str:
    adjusted = means.of("ratio", (ADJUSTED,), trial=VISITS)
    regression = means.of("ratio", REFERENCES[:1], trial=VISITS)
    return (
        "**What holds**: reading the covariates by which people were selected. `Logistic` with "
        f"them credits {span(adjusted)} times the truth in the three selections of visits, with "
        f"conversions on any day; a plain regression {span(regression)} times. A real log rarely "
        "has all of these covariates."
    )


def placebos(rows: pl.DataFrame) -> list[str]:
    """The trial of ads against placebos."""
    if rows.is_empty():
        return []

    def value(what: str, arm: str = "ad") -> float:
        return float(rows.filter(what=what, arm=arm)["value"][0])

    rates = rows.filter(what="rate")
    rise = {
        arm: of["value"][-1] / of["value"][0]
        for arm in ("ad", "placebo")
        for of in [rates.filter(arm=arm)]
    }
    by_dose = {arm: 100 * value("by dose", arm) / value("converted", arm) for arm in rise}
    effect = rows.filter(what="contrast").row(0, named=True)
    lines = [
        [in_words(ads)]
        + [
            f"{100 * rate:.2f} ± {196 * error:.2f}"
            for arm in rise
            for rate, error in rates.filter(ads=ads, arm=arm)
            .select("value", "standard_error")
            .iter_rows()
        ]
        for ads in rates["ads"].unique(maintain_order=True)
    ]
    return [
        "## Ads against placebos",
        f"{value('people'):,.0f} people were shown an ad, and {value('people', 'placebo'):,.0f} a "
        "public service announcement in its place. In both groups people who saw more ads convert "
        f"more: {rise['ad']:.0f} times more often after more than 30 ads than after 1 to 4, and "
        f"{rise['placebo']:.0f} times among people who saw none of these ads at all, only "
        "placebos. Most of the rise is not an effect: people who are often online see many ads, "
        "and they buy.",
        "![Conversion by number of ads, and counts of the effect]"
        "(../benchmarks/results/placebo.svg)",
        table(["ads seen", "shown the ad, % convert", "shown a placebo, % convert"], lines),
        f"Last touch credits the ad with all {value('last touch'):,.0f} conversions of the people "
        "who saw it. What they would have done without it is estimated from the others: the "
        f"ad caused {effect['value']:,.0f} ± {1.96 * effect['standard_error']:,.0f} (95 %), "
        f"{value('last touch') / effect['value']:.1f} times less. Comparing people by the number "
        f"of ads, as if it were chance, credits {value('by dose'):,.0f}, {by_dose['ad']:.0f} % of "
        f"all; by the same count placebos would have caused {by_dose['placebo']:.0f} % of the "
        "conversions of those who saw them. The contrast has a reservation of its own: how people "
        "were assigned is not documented, and days and hours of the ads differ between the groups.",
    ]


def names(models: Sequence[str], *, bare: bool = False) -> str:
    """Models as code; what follows their names, and references, as they are."""
    said = []
    for name in models:
        model, _, times = name.partition(", ")
        model, with_, what = model.partition(" with ")
        code = model if name in REFERENCES else f"`{model}`"
        said.append(code + with_ + what + (f" ({times})" if times and not bare else ""))
    return ", ".join(said)


def span(values: Sequence[float], digits: int = 1) -> str:
    """The smallest and the largest."""
    least, most = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return least if least == most else f"{least} to {most}"
