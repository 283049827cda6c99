"""Worlds of visits about paid media and its tracking; the last mixes them."""

from __future__ import annotations

from mta_models.worlds.visits.mechanisms import Mechanisms
from mta_models.worlds.visits.world import VisitWorld


class PaidEntrances(VisitWorld):
    """Paid ads are met on the way to a purchase already decided, as free entrances are.

    Of the visits that belong to a decision, a part 0.6 · strength begins with an ad and not at the
    entrance: mostly a click on a brand ad, which somebody finds who searches for the shop by name,
    else on a shopping ad or a generic search ad. Purchases follow decisions by 2 · strength days on
    average, so that ads are clicked on the way too. Without the ad the visit begins at the
    entrance, and the purchase stays: these touchpoints vanish with the decision.

    `Brand Ads` cause nothing. Shopping and search ads do, where people meet them otherwise: the
    same channel both causes and accompanies.

    **Who wins.** Whoever notices what is met right before purchases only, though it is bought.
    """

    name = "visits_paid_entrances"

    def mechanisms(self) -> Mechanisms:
        """`bought`, `slow`."""
        return Mechanisms(bought=0.6 * self.strength, slow=2 * self.strength)


class Views(VisitWorld):
    """Views against clicks: display and video are seen often, do little each time, and are clicked.

    There are 1 + 30 · strength times as many contacts of display and video, which are views, and as
    much less effect of one. A click follows a view within two minutes with a chance of about 1.5 %
    that rises with the user's intent; clicks are channels of their own, and half of what any
    clicked channel does, it does at once. Without views there are no clicks of them.

    **Who wins.** Models that can tell many weak contacts from none, and do not take the few who
    click, and would buy anyway, for all that a channel does.
    """

    name = "visits_views"

    def mechanisms(self) -> Mechanisms:
        """`views`, `at_once`; some intent, which clicks follow."""
        return Mechanisms(views=1 + 30 * self.strength, at_once=0.5, intent=0.5)


class CappedViews(VisitWorld):
    """Views as in `visits_views`, with a frequency cap that is often reached.

    A channel is not shown to users who met it twice or so in the last week. Intent (standard
    deviation of the log 1.6 · strength) drives who meets it, until the cap.

    **Strength** dials intent and the number of views, 1 + 40 · strength times the usual.

    **Who wins.** As in `visits_views`; exposure depends on its own past here, and who meets ads
    most is not who has the highest intent.
    """

    name = "visits_capped_views"

    def mechanisms(self) -> Mechanisms:
        """`views`, `cap`, `intent`."""
        return Mechanisms(views=1 + 40 * self.strength, cap=2, intent=1.6 * self.strength)


class Auctions(VisitWorld):
    """Ads are bought in auctions, from budgets: when more is bought, rivals bid more.

    What rivals bid, by day, is a stationary process whose log has the standard deviation
    0.8 · strength; the base hazard rises with its power 0.7. Search, shopping, social, display,
    video and retargeting win in inverse proportion to it, and what a contact costs is what the next
    bidder bid: proportional to it, and heavy-tailed from contact to contact. The busier the day,
    the earlier its budget is spent; from then on the channel is not met. Bids follow intent
    (standard deviation of the log `strength`).

    **Who wins.** Models with a calendar that compare users with themselves. Without a calendar,
    effects look smaller than they are: ads are fewest when most is bought.
    """

    name = "visits_auctions"

    def mechanisms(self) -> Mechanisms:
        """`rivals`, `intent`."""
        return Mechanisms(rivals=0.8 * self.strength, intent=self.strength)


class Bots(VisitWorld):
    """A part 0.1 · strength of users are machines: many touchpoints, and never a purchase.

    They come in four waves; each is active for 14 days, day and night, and clicks ads, opens the
    site and is shown ads several times a day.

    **Who wins.** Models that leave out whoever behaves like no buyer, or do not use users who never
    convert. Rates per touchpoint are diluted; a calendar read off those who never convert shows
    the machines' waves.
    """

    name = "visits_bots"

    def mechanisms(self) -> Mechanisms:
        """`bots`."""
        return Mechanisms(bots=0.1 * self.strength)


class Devices(VisitWorld):
    """People have a phone and a computer, which are logged as two people where they do not log in.

    A part `strength` of users are two in the log. A visit is made on the phone with the chance of
    the channel that it begins with, between 0 and 1 and mostly near either: identity is lost with
    the channel.

    **Who wins.** Nobody quite, as in `visits_tracking`. Touchpoints of channels met on phones are
    missing before purchases on computers.
    """

    name = "visits_devices"

    def mechanisms(self) -> Mechanisms:
        """`devices`."""
        return Mechanisms(devices=self.strength)


class Names(VisitWorld):
    """Channels are called as in real logs: by source and medium, in words, or in abbreviations.

    As `visits_entrances` otherwise. The style is drawn; in the last, `SEO` and `Voucher` are
    entrances and `SEA Non-Brand` is none.

    **Who wins.** As in `visits_entrances`, whoever is not misled by names.
    """

    name = "visits_names"

    def mechanisms(self) -> Mechanisms:
        """`renamed`."""
        return Mechanisms(renamed=True, logged=self.strength)


class MixedMedia(VisitWorld):
    """Paid entrances, views and clicks, caps, auctions, bots, devices and intent; real names."""

    name = "visits_mixed_media"

    def mechanisms(self) -> Mechanisms:
        """A bit of each."""
        s = self.strength
        return Mechanisms(
            bought=0.4 * s,
            slow=s,
            views=1 + 30 * s,
            cap=2,
            at_once=0.6 * s,
            intent=s,
            rivals=0.5 * s,
            bots=0.05 * s,
            devices=0.3 * s,
            stops=0.4 * s,
            renamed=True,
        )
