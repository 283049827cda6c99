"""Worlds of visits. Each adds one mechanism to entrances; the last two mix them.

Those of paid media, auctions and tracking are in `paid_media`.
"""

from __future__ import annotations

from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.world import VisitWorld


class Clicks(VisitWorld):
    """Clicks that work at once, and add.

    A part of a clicked channel's effect, 0.9 · strength, comes to a purchase within minutes of the
    click, in the visit that the click opened.

    **Who wins.** Whoever tells a click that causes the purchase after it from an entrance that
    only accompanies one. A lag or a lookback that drops the last hours drops the effect too.
    """

    name = "visits_clicks"

    def mechanisms(self) -> Mechanisms:
        """`at_once`."""
        return Mechanisms(at_once=0.9 * self.strength)


class MultiplyingClicks(VisitWorld):
    """Clicks that work at once, and multiply: a click makes those buy now who were close to it.

    As `visits_clicks`, but the at-once effect multiplies the base hazard of the day, so that it is
    large for users of high intent.

    **Who wins.** As in `visits_clicks`; here a click that works looks even more like an entrance,
    since both go with high intent.
    """

    name = "visits_multiply"

    def mechanisms(self) -> Mechanisms:
        """`at_once` and `multiplies`; some intent for it to multiply."""
        return Mechanisms(at_once=0.9 * self.strength, multiplies=1.0, intent=0.5)


class StableIntent(VisitWorld):
    """Ads and visits follow stable intent, whose log has the standard deviation 1.6 · strength.

    **Who wins.** Comparisons of users with themselves, once entrances are taken care of.
    """

    name = "visits_intent"

    def mechanisms(self) -> Mechanisms:
        """`intent`."""
        return Mechanisms(intent=1.6 * self.strength)


class Needs(VisitWorld):
    """Needs of some days raise decisions, visits and targeted ads, and end with the purchase.

    A need begins with chance 1/60 a day and ends with chance 1/10, or with a purchase. In need, a
    user decides 1 + 30 · strength times as often.

    **Who wins.** Hardly anybody: intent moves within the user, and what raises exposure before a
    purchase is gone after it, so that before and after do not mirror each other.
    """

    name = "visits_needs"

    def mechanisms(self) -> Mechanisms:
        """`need`."""
        return Mechanisms(need=30 * self.strength)


class SlowDecisions(VisitWorld):
    """Purchases follow decisions by days, with visits through entrances on the way.

    The delay is exponential with a mean of 5 · strength days. The touchpoints on the way vanish
    with the decision, not with their channel's budget.

    **Who wins.** Models that know which channels are entrances for longer than the last visit.
    """

    name = "visits_slow"

    def mechanisms(self) -> Mechanisms:
        """`slow`."""
        return Mechanisms(slow=5 * self.strength)


class StoppedAds(VisitWorld):
    """Paid contacts stop, in part, for 30 days after a purchase.

    Of each paid channel a part between 0.4 and 1 times `strength`.

    **Who wins.** Models that use nothing after a purchase, or notice that contacts stopped.
    """

    name = "visits_stops"

    def mechanisms(self) -> Mechanisms:
        """`stops`."""
        return Mechanisms(stops=self.strength)


class Messages(VisitWorld):
    """A purchase triggers e-mails: 0.3 · strength a day for two weeks; users buy again.

    **Who wins.** Models that look at what comes before each purchase. Days after a purchase are no
    fair control days for e-mail.
    """

    name = "visits_messages"

    def mechanisms(self) -> Mechanisms:
        """`messages`, `repeat`."""
        return Mechanisms(messages=0.3 * self.strength, repeat=True)


class Promotions(VisitWorld):
    """Promotions of five days raise paid volumes and the base hazard together, by 3 · strength.

    **Who wins.** Models with a calendar.
    """

    name = "visits_promotions"

    def mechanisms(self) -> Mechanisms:
        """`promotions`."""
        return Mechanisms(promotions=3 * self.strength)


class RetargetedVisits(VisitWorld):
    """Retargeting follows visits, and ads bring people back through Direct and Brand Search.

    Retargeting comes with chance 0.12 · strength a day within a week of a visit; a paid contact is
    followed next day, with chance 0.3 · strength, by a visit.

    **Who wins.** Models that pass credit of a touchpoint on to the channels that brought it about.
    """

    name = "visits_retargeting"

    def mechanisms(self) -> Mechanisms:
        """`retargeted` and `returns`."""
        return Mechanisms(retargeted=0.12 * self.strength, returns=0.3 * self.strength)


class FrequencyCaps(VisitWorld):
    """A channel is not shown to users who met it twice or so in the last week.

    Intent drives the rest. At these volumes the cap stops one contact in a thousand; it stops many
    in `visits_capped_views`.

    **Strength** dials intent (standard deviation of the log 1.6 · strength); the cap stays.

    **Who wins.** As in `visits_intent`; exposure depends on its own past here.
    """

    name = "visits_caps"

    def mechanisms(self) -> Mechanisms:
        """`cap`, `intent`."""
        return Mechanisms(cap=2, intent=1.6 * self.strength)


class LostTracks(VisitWorld):
    """Consent and identity are lost, more in some channels, and purchases are recorded late.

    Up to a part 0.8 · strength of a channel's touchpoints is not logged; with chance 0.1 · strength
    a touchpoint begins a new identity of its user; purchases are recorded `strength` days late on
    average.

    **Who wins.** Nobody quite: what is lost is lost. Intervals ought to be wide.
    """

    name = "visits_tracking"

    def mechanisms(self) -> Mechanisms:
        """`lost_consent`, `lost_identity`, `late`."""
        return Mechanisms(
            lost_consent=0.8 * self.strength,
            lost_identity=0.1 * self.strength,
            late=self.strength,
        )


class ClosingCoupon(VisitWorld):
    """A coupon that closes: who looks for one and finds none does not buy, with chance `strength`.

    **Who wins.** No log can tell this world from one in which the coupon is only fetched on the
    way: only an experiment shows whether those who fetched a code would have bought without it.
    """

    name = "visits_closing_coupon"

    def mechanisms(self) -> Mechanisms:
        """`closes`."""
        return Mechanisms(closes=self.strength)


class WorkingBrand(VisitWorld):
    """A brand search that works: a visit through it causes 0.06 · strength conversions later.

    **Who wins.** Models that drop an entrance's touchpoints only right before purchases. Where an
    entrance is declared to do nothing at all, it is credited nothing.
    """

    name = "visits_working_brand"

    def mechanisms(self) -> Mechanisms:
        """`brand_works`."""
        return Mechanisms(brand_works=0.06 * self.strength)


class RepeatPurchases(VisitWorld):
    """Users buy again, while base hazard and paid volumes grow by 1.6 · strength over the log.

    **Who wins.** Models with a calendar that can use several purchases of a user.
    """

    name = "visits_repeat"

    def mechanisms(self) -> Mechanisms:
        """`repeat`, `trend`."""
        return Mechanisms(repeat=True, trend=1.6 * self.strength)


class Renewals(VisitWorld):
    """Subscriptions: a purchase is renewed after 30 days, and so on, with chance `strength`.

    A renewal is a conversion, charged in the small hours, without a visit. It belongs to what
    caused the first purchase: without that, it is gone.

    **Who wins.** Models that let what brought the first purchase have its renewals. Ads that follow
    customers are met before renewals too, and cause none.
    """

    name = "visits_renewals"

    def mechanisms(self) -> Mechanisms:
        """`renews`."""
        return Mechanisms(renews=self.strength)


class Thin(VisitWorld):
    """Twelve channels and few conversions: three of a hundred users buy.

    **Strength** dials the part of purchases in whose visit the entrance is logged.

    **Who wins.** Models that shrink.
    """

    name = "visits_thin"

    def mechanisms(self) -> Mechanisms:
        """`thin`."""
        return Mechanisms(thin=True, logged=self.strength)


class Mixed(VisitWorld):
    """Intent, needs, clicks, slow decisions, stopped ads, retargeting and promotions at once."""

    name = "visits_mixed"

    def mechanisms(self) -> Mechanisms:
        """A bit of each."""
        s = self.strength
        return Mechanisms(
            intent=1.2 * s,
            need=10 * s,
            at_once=0.6 * s,
            slow=2 * s,
            stops=0.6 * s,
            retargeted=0.08 * s,
            returns=0.15 * s,
            promotions=1.0 * s,
        )


class MixedRepeat(VisitWorld):
    """Repeat purchases with messages, trend, intent, lost tracks, caps and multiplying clicks."""

    name = "visits_mixed_repeat"

    def mechanisms(self) -> Mechanisms:
        """A bit of each."""
        s = self.strength
        return Mechanisms(
            intent=1.0 * s,
            at_once=0.6 * s,
            multiplies=1.0,
            messages=0.1 * s,
            repeat=True,
            trend=0.8 * s,
            lost_consent=0.4 * s,
            lost_identity=0.03 * s,
            late=0.3 * s,
            cap=3,
        )
