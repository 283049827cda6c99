"""Which mechanisms a world of visits has, and how strong they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mechanisms:
    """What misleads in a world; the defaults are a world in which only entrances do.

    Attributes:
        intent: standard deviation of the log of a user's stable intent (mean 1). Intent multiplies
            the hazard of deciding, visits, and in part what ads a user is shown.
        need: how many times more a user in need decides; needs last days and end with a purchase.
            Visits and targeted ads rise with them.
        slow: mean days from a decision to the purchase, with visits on the way.
        at_once: part of the effect of clicked channels that works within minutes.
        multiplies: part of the at-once effect that multiplies the base hazard and does not add.
        stops: part of paid contacts that stop for 30 days after a purchase.
        messages: e-mails a day for two weeks after a purchase.
        promotions: how much a promotion of five days raises both paid contacts and the base hazard.
        retargeted: retargeting contacts a day within a week of a visit.
        returns: the chance that a paid contact is followed, next day, by a visit through Direct or
            Brand Search.
        cap: paid contacts of one channel in seven days after which no more are shown; 0: no cap.
        logged: part of the purchases in whose visit the entrance is logged; None: drawn.
        closes: the chance that somebody who looks for a coupon and finds none does not buy.
        brand_works: conversions that a browsing visit through Brand Search causes.
        repeat: whether users buy again.
        trend: how many times the base hazard and paid volumes grow over the log, minus 1.
        lost_consent: the largest part of a channel's touchpoints that are not logged.
        lost_identity: the chance that a visit is logged under a new identity of the user.
        late: mean days from a purchase to its record.
        thin: whether there are twelve channels, and few conversions.
        bought: part of decided visits that begin with a paid ad in place of an entrance.
        views: how many times more contacts of display and video there are, which are views then;
            their clicks are channels of their own. 0: contacts as of other channels.
        bots: part of users that are machines.
        devices: part of users whose two devices are logged as two people.
        rivals: s.d. of the log of what rivals bid, day by day.
        renews: the chance that a purchase is renewed after 30 days, and so on.
        renamed: whether channels are called as in one of several real styles.
    """

    intent: float = 0.0
    need: float = 0.0
    slow: float = 0.0
    at_once: float = 0.0
    multiplies: float = 0.0
    stops: float = 0.0
    messages: float = 0.0
    promotions: float = 0.0
    retargeted: float = 0.0
    returns: float = 0.0
    cap: int = 0
    logged: float | None = None
    closes: float = 0.0
    brand_works: float = 0.0
    repeat: bool = False
    trend: float = 0.0
    lost_consent: float = 0.0
    lost_identity: float = 0.0
    late: float = 0.0
    thin: bool = False
    bought: float = 0.0
    views: float = 0.0
    bots: float = 0.0
    devices: float = 0.0
    rivals: float = 0.0
    renews: float = 0.0
    renamed: bool = False
