"""Worlds in which exposure is not random."""

from __future__ import annotations

import numpy as np

from mta_models.core.ragged import Mask, Numbers
from mta_models.worlds.state import Noise, State
from mta_models.worlds.world import World


class Intent(World):
    """Targeting follows stable intent: those who would buy anyway see more ads.

        z_u log-normal with mean 1 and s.d. of its log σ = 2·strength
        P(x_uct = 1) = rate_c z_u^γ_c / E[z^γ_c]      γ = 1 for Search, Retargeting and Affiliate,
                                                      ½ for Social and Email, 0 for Display
        h_ut = z_u (base + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct)

    **Strength** dials the spread of intent. Channels keep their volume as long as no chance exceeds
    1, where it is cut: at strength 1 the Affiliate loses 10% of it and Retargeting 8%.

    The log has a column `engagement`, a noisy proxy: log z_u plus a standard normal error.

    **Who wins.** Comparisons within a user, in which z cancels; covariates help a little. Models
    that compare users with each other credit the channels that follow intent, the Affiliate (which
    does nothing) among them.
    """

    name = "intent"
    follows = (1.0, 0.5, 0.0, 1.0, 0.5, 1.0)

    @property
    def spread(self) -> float:
        """The standard deviation of log z."""
        return 2 * self.dial

    def traits(self, noise: Noise, n: int) -> dict[str, Numbers]:
        """Adds `intent`, z."""
        normal = noise.on("intent").standard_normal(n)
        z = np.exp(self.spread * normal - self.spread**2 / 2)
        return super().traits(noise, n) | {"intent": z.astype(np.float32)}

    def exposure(self, now: State) -> Numbers:
        """Targeted."""
        follows = np.array(self.follows)
        mean = np.exp(self.spread**2 / 2 * (follows**2 - follows))
        z = now.people["intent"]
        aimed = z ** follows[:, None].astype(np.float32) / mean[:, None].astype(np.float32)
        chance: Numbers = super().exposure(now) * aimed
        return chance

    def hazard(self, now: State) -> Numbers:
        """In proportion to intent."""
        return super().hazard(now) * now.people["intent"]

    def covariates(self, people: dict[str, Numbers], noise: Noise) -> dict[str, Numbers]:
        """Adds `engagement`."""
        z = people["intent"]
        error = noise.on("engagement").standard_normal(len(z))
        return super().covariates(people, noise) | {"engagement": np.log(z) + error}


class Bursts(World):
    """Intent that moves within a person: bursts of interest, which targeting follows.

        b_ut = 1 in a burst, which begins with chance 1/45 a day and ends with chance 1/4
        P(x_uct = 1) = rate_c (1 + k γ_c b_ut) / mean,    k = 20 strength,  γ as in `intent`
        h_ut = base (1 + k b_ut) / mean + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct

    Means are over time, so that volumes stay.

    **Strength** dials how much a burst raises both.

    **Who wins.** Models that look at exposure before *and* after a moment: a burst raises both, an
    effect only what comes after. Comparisons within a user do not help by themselves.
    """

    name = "bursts"
    follows = (1.0, 0.5, 0.0, 1.0, 0.5, 1.0)
    begins, ends = 1 / 45, 1 / 4

    def _raised(self, now: State, follows: Numbers) -> Numbers:
        """1 + k γ b over its mean, for each γ."""
        k = 20 * self.dial * follows
        mean = 1 + k * self.begins / (self.begins + self.ends)
        raised: Numbers = (1 + k.astype(np.float32) * now.memory["burst"]) / mean.astype(np.float32)
        return raised

    def begin(self, now: State) -> None:
        """Some are in a burst already."""
        super().begin(now)
        share = self.begins / (self.begins + self.ends)
        now.memory["burst"] = now.noise.on("burst").random(now.n) < share

    def move(self, now: State) -> None:
        """Bursts begin and end."""
        super().move(now)
        luck, burst = now.uniform("burst", now.n), now.memory["burst"]
        now.memory["burst"] = np.where(burst, luck >= self.ends, luck < self.begins)

    def exposure(self, now: State) -> Numbers:
        """More, in a burst."""
        chance: Numbers = super().exposure(now) * self._raised(now, np.array(self.follows)[:, None])
        return chance

    def base(self, now: State) -> Numbers:
        """More, in a burst."""
        base: Numbers = super().base(now) * self._raised(now, np.ones(1))
        return base


class Suppression(World):
    """Ads stop for those who have bought.

        P(x_uct = 1) = rate_c (1 − strength · 1[u has converted])

    **Strength** dials how strictly.

    **Who wins.** Models that look only at what comes before each moment. Counting touchpoints per
    user, or using exposure after the conversion as a control, makes ads look harmful.
    """

    name = "suppression"

    def exposure(self, now: State) -> Numbers:
        """Less for converters, who are met only where conversions are sampled."""
        chance = super().exposure(now)
        if not now.converted.any():
            return chance
        stopped: Numbers = chance * (1 - np.float32(self.dial) * now.converted[:, None, :])
        return stopped


class Retargeting(World):
    """Retargeting follows whoever visited the site, and visitors are about to buy anyway.

        P(visit_ut) = 0.02 + Σ_c click_c x_uct
        click = 0.5 for Search, 0.2 for Social and Email, 0.05 for Display
        g_ut = 2^(−1/3) g_u,t−1 + visit_ut
        P(x_u,Retargeting,t = 1) = (1 − strength) rate + strength · 0.06 · 1[visit within 7 days]
        h_ut = base (1 + 10 strength · g_ut) + Σ_c effect_c (1 − 2^(−1/H_c)) a_uct

    Visits are not in the log. What a channel causes by way of visits is its own, the retargeting
    too: with the channel they vanish.

    **Strength** dials the targeting, and how much a visit raises the rate.

    **Who wins.** Models that correct for exposure that rises before a conversion. Comparisons
    within a user are as biased as those between users: intent moves.
    """

    name = "retargeting"
    reactive = True
    clicks = (0.5, 0.2, 0.05, 0.0, 0.2, 0.0)

    def begin(self, now: State) -> None:
        """Nobody has visited yet."""
        super().begin(now)
        now.memory["visited"] = np.full(now.converted.shape, -np.inf, dtype=np.float32)
        now.memory["interest"] = np.zeros(now.converted.shape, dtype=np.float32)

    def exposure(self, now: State) -> Numbers:
        """Retargeting chases."""
        chance = super().exposure(now)
        chance = np.array(np.broadcast_to(chance, now.adstock.shape))
        recent = now.day - now.memory["visited"] <= 7
        at, s = self.at("Retargeting"), np.float32(self.dial)
        chance[:, at] = (1 - s) * chance[:, at] + s * np.float32(0.06) * recent
        return chance

    def remember(self, now: State, touched: Mask) -> None:
        """Visits, by themselves and by click."""
        super().remember(now, touched)
        clicked = np.matmul(np.array(self.clicks, dtype=np.float32), touched)
        visits = now.uniform("visit", now.n) < 0.02 + clicked
        now.memory["visited"][visits] = now.day
        now.memory["interest"] *= np.float32(2 ** (-1 / 3))
        now.memory["interest"] += visits

    def base(self, now: State) -> Numbers:
        """Visitors buy."""
        base: Numbers = super().base(now) * (1 + 10 * self.dial * now.memory["interest"])
        return base


class Upstream(World):
    """Display makes people search for the brand; by itself it sells nothing.

        P(x_u,Search,t = 1) = (1 − strength) rate + strength · 0.04 a_u,Display,t−1
        effect_Display = 0

    **Strength** dials how much of the searching Display causes; its volume stays.

    **Who wins.** Models of how one touchpoint leads to another, if they take the link for causal.
    Models that condition on the search give Display nothing, which is its direct effect; switching
    it off removes what it causes through Search.
    """

    name = "upstream"
    reactive = True

    def tune(self) -> None:
        """Display sells nothing itself."""
        super().tune()
        self.effects[self.at("Display")] = 0.0

    def exposure(self, now: State) -> Numbers:
        """Searches come from Display."""
        chance = np.array(np.broadcast_to(super().exposure(now), now.adstock.shape))
        search, display, s = self.at("Search"), self.at("Display"), np.float32(self.dial)
        caused = np.float32(0.04) * now.adstock[:, display]
        chance[:, search] = (1 - s) * chance[:, search] + s * caused
        return chance


class NullChannel(World):
    """A coupon site of great volume that comes last and does nothing: the Affiliate.

        rate_Affiliate = 0.02 + 0.1 strength
        of those who have decided to buy, a part `strength` fetches a coupon before they do

    **Strength** dials the volume and how often it is last.

    **Who wins.** Models that do not count what follows a decision, as by a `lag`; times of
    decisions are not in the log. Last touch gives it nearly everything.
    """

    name = "null_channel"

    def tune(self) -> None:
        """Great volume."""
        super().tune()
        self.rates[self.at("Affiliate")] += 0.1 * self.dial

    def close(self, now: State, converts: Mask) -> Mask | None:
        """Coupons."""
        fetched = super().close(now, converts)
        if fetched is None:
            fetched = np.zeros((len(self.channels), now.n), dtype=bool)
        fetched[self.at("Affiliate")] |= converts & (now.uniform("coupon", now.n) < self.dial)
        return fetched


class _InTime(World):
    """Spend and baseline that change with the calendar, for all users in the same way."""

    def curve(self, day: Numbers) -> tuple[Numbers, Numbers]:
        """By day, what rates, `(C, days)`, and the baseline, `(days,)`, are multiplied by."""
        return np.ones((len(self.rates), len(day))), np.ones(len(day))

    def tune(self) -> None:
        """Curves of mean 1, so that volumes stay."""
        super().tune()
        rates, base = self.curve(np.arange(self.days, dtype=np.float64))
        self.rate_curve = (rates / rates.mean(axis=1, keepdims=True)).astype(np.float32)
        self.base_curve = (base / base.mean()).astype(np.float32)

    def exposure(self, now: State) -> Numbers:
        """As the calendar has it."""
        chance: Numbers = super().exposure(now) * self.rate_curve[:, now.day, None]
        return chance

    def base(self, now: State) -> Numbers:
        """As the calendar has it."""
        base: Numbers = super().base(now) * self.base_curve[now.day]
        return base


class Trend(_InTime):
    """Spend and baseline drift: Social and Display grow, and so do sales, for another reason.

        rate_ct = rate_c (1 + 5 strength · t / T) / mean, for Social and Display; the others stay
        base_t = base (1 + 5 strength · t / T) / mean

    **Strength** dials the drift; means over time stay.

    **Who wins.** Models with a calendar factor. Without one, growth is credited to the channels
    that grew with it.
    """

    name = "trend"

    def curve(self, day: Numbers) -> tuple[Numbers, Numbers]:
        """Straight lines."""
        rates, base = super().curve(day)
        growth = 1 + 5 * self.dial * day / self.days
        rates[self.at("Social", "Display")] *= growth
        return rates, base * growth


class Season(_InTime):
    """Spend and baseline peak together: ads are bought for the weeks in which people buy.

        f_t = (1 + 8 strength · exp(−(t − 60)² / 50)) / mean
        rate_ct = rate_c f_t, but for E-mail and Search;  base_t = base f_t

    **Strength** dials the peak; means over time stay.

    **Who wins.** Models with a calendar factor as fine as the season; a straight line is none.
    """

    name = "season"

    def curve(self, day: Numbers) -> tuple[Numbers, Numbers]:
        """One peak."""
        rates, base = super().curve(day)
        peak = 1 + 8 * self.dial * np.exp(-((day - 60) ** 2) / 50)
        rates[self.at("Social", "Display", "Retargeting", "Affiliate")] *= peak
        return rates, base * peak
