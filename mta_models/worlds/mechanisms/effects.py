"""Worlds in which effects do not just add up."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Ints, Numbers
from mta_models.worlds.state import Noise, State
from mta_models.worlds.world import World


class Synergy(World):
    """Channels that do more together: search after display, e-mail after social.

        h_ut = … + strength · 0.12 (1 − 2^(−1/4)) (a_Search a_Display + a_Social a_Email)

    **Strength** dials what pairs add to the sum of their parts.

    **Who wins.** Models with interactions, and exact Shapley values of them. Removal effects of
    partners both count what they do together, so they sum to more than all channels cause;
    additive models spread it over the parts.
    """

    name = "synergy"
    pairs = (("Search", "Display"), ("Social", "Email"))

    def response(self, now: State) -> Numbers:
        """Adds the pairs."""
        pressure = self.pressure(now)
        first, second = zip(*self.pairs, strict=True)
        together = (pressure[:, self.at(*first)] * pressure[:, self.at(*second)]).sum(axis=1)
        weight = np.float32(0.12 * self.dial * (1 - 2 ** (-1 / 4)))
        response: Numbers = super().response(now) + weight * together
        return response


class Substitution(World):
    """One reminder is enough: channels replace each other.

        r_c = effect_c (1 − 2^(−1/H_c)) a_uct
        h_ut = base + (1 − strength) Σ_c r_c + strength · max_c r_c

    **Strength** dials from adding up to only the strongest counting.

    **Who wins.** Shapley values of a good model, whose parts share what either would do. Removals
    sum to far less than what all channels cause together.
    """

    name = "substitution"

    def response(self, now: State) -> Numbers:
        """From the sum to the maximum."""
        effect = self.effects * (1 - np.exp2(-1 / self.half_lives)) * self.dial
        strongest = (self.pressure(now) * effect.astype(np.float32)[:, None]).max(axis=1)
        response: Numbers = np.float32(1 - self.dial) * super().response(now) + strongest
        return response


class Saturation(World):
    """Each further touchpoint of a channel does less than the one before.

        h_ut = base + Σ_c effect_c (1 − 2^(−1/H_c)) log(1 + k a_uct) / log(1 + k),   k = 20 strength
        rate_c = (1 + 2 strength) times as high, so that touchpoints pile up

    One touchpoint alone does, on its day, what it does elsewhere.

    **Strength** dials the bend k and the volume.

    **Who wins.** Models with a saturating response. Linear ones overrate channels that hit the
    same people often (Display). Marginal effects are far below a tenth of the removal effects,
    and it is these that a budget moves by.
    """

    name = "saturation"

    def tune(self) -> None:
        """More of everything."""
        super().tune()
        self.rates = self.rates * (1 + 2 * self.dial)

    def pressure(self, now: State) -> Numbers:
        """Bent."""
        k = np.float32(20 * self.dial)
        pressure = super().pressure(now)
        return np.log1p(k * pressure) / np.log1p(k) if k else pressure


class CarryOver(World):
    """Channels differ in how long they last: search a day, display for weeks.

        H_c = 4 · 4^(2 strength · u_c) days
        u = −1 Search, −0.6 Retargeting, −0.2 Social, 0.2 Email, 0.6 Affiliate, 1 Display

    A touchpoint causes as much in all as it does elsewhere, but for what falls behind the end.

    **Strength** dials the spread; at ½ half-lives run from 1 to 16 days.

    **Who wins.** Models that estimate a half-life per channel. Last touch and short lookbacks
    rob Display; one common half-life is wrong at both ends.
    """

    name = "carry_over"

    def tune(self) -> None:
        """Half-lives that differ."""
        super().tune()
        spread = np.array([-1.0, -0.2, 1.0, -0.6, 0.2, 0.6])
        self.half_lives = self.half_lives * 4 ** (2 * self.dial * spread)


class Delay(World):
    """Decisions become conversions days later, or after the log has ended.

        a decision falls with h_ut; its conversion is logged ⌊L⌋ days later, L exponential with mean
        20 · strength days, and never if that is after the last day

    Touchpoints go on in between; a decision is final. Truth counts the conversions logged.

    **Strength** dials the delay.

    **Who wins.** Rules with long memories lose less. Touchpoints of the days before the conversion
    are credited by last touch and time decay though they came too late; models of the time of
    conversion estimate smeared effects and wrong half-lives.
    """

    name = "delay"

    @property
    def mean_lag(self) -> float:
        """Mean of L, in days."""
        return 20 * self.dial

    def lag(self, now: State) -> Ints | None:
        """Exponential, rounded down."""
        if not self.mean_lag:
            return None
        days = now.noise.on("lag", now.day).exponential(self.mean_lag, now.n)
        return days.astype(np.int64)

    def logged_share(self, day: int) -> float:
        """P(L < days left)."""
        return 1 - float(np.exp(-(self.days - day) / self.mean_lag)) if self.mean_lag else 1.0


class HarmfulChannel(World):
    """E-mail has a negative effect: it drives away people who would have bought.

        effect_Email = 0
        h_ut = (base + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct) / (1 + 4 strength · a_Email)

    **Strength** dials the harm.

    **Who wins.** Models whose effects may be negative. Rules, Markov and models with non-negative
    effects credit e-mail for every buyer whom it did not drive away.
    """

    name = "harmful_channel"

    def tune(self) -> None:
        """E-mail helps nobody."""
        super().tune()
        self.effects[self.at("Email")] = 0.0

    def hazard(self, now: State) -> Numbers:
        """Driven away."""
        harm = np.float32(4 * self.dial) * now.adstock[:, self.at("Email")]
        hazard: Numbers = super().hazard(now) / (1 + harm)
        return hazard


class Heterogeneous(World):
    """Effects differ between people: a fifth respond, the others hardly or not at all.

        w_u = (1 − strength) + 5 strength · 1[u persuadable],  P(persuadable) = 0.2
        h_ut = base + w_u Σ_c effect_c (1 − 2^(−1/H_c)) a_uct

    The average effect is that of `randomised`.

    **Strength** dials how unequal people are.

    **Who wins.** Models that compare the exposed with the unexposed get the average right; those
    who were persuaded leave the risk set, so that effects seem to fade over time.
    """

    name = "heterogeneous"

    def traits(self, noise: Noise, n: int) -> dict[str, Numbers]:
        """Adds `responds`, w."""
        persuadable = noise.on("persuadable").random(n) < 0.2
        weight = (1 - self.dial) + 5 * self.dial * persuadable
        return super().traits(noise, n) | {"responds": weight.astype(np.float32)}

    def response(self, now: State) -> Numbers:
        """Weighed by person."""
        response: Numbers = super().response(now) * now.people["responds"]
        return response


class Repeat(World):
    """People buy again and again: conversions are a Poisson process, at most one a day.

        h_ut = (1 + 2 strength) (base + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct), for converters too

    Expected conversions are linear in what people meet, so removal = Shapley, exactly.

    **Strength** dials how often people buy.

    **Who wins.** Models of repeated events. Those that end a user's observation at the first
    conversion lose data; rules still credit the baseline to channels.
    """

    name = "repeat"
    repeatable = True

    def hazard(self, now: State) -> Numbers:
        """More often."""
        hazard: Numbers = super().hazard(now) * np.float32(1 + 2 * self.dial)
        return hazard
