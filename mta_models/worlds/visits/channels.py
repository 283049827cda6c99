"""The channels of a world of visits: which kinds a draw has, and what its log calls them."""

from __future__ import annotations

import numpy as np

from mta_models.worlds.visits.mechanisms import Mechanisms

MOST = 12
# Through these people come to the site when they want to; nobody buys contacts there.
ENTRANCES = ("Direct", "Brand Search", "Organic Search", "Referral", "Coupon Site")
# Contacts that somebody pays for. A click of the first five opens a visit of the site.
CLICKED = ("Generic Search", "Shopping Ads", "Paid Social", "Affiliate Blog", "Email")
SHOWN = ("Display", "Online Video", "Podcast")
RETARGETING = "Retargeting"
# Paid for, but clicked by people who search for the shop by its name.
BRAND_ADS = "Brand Ads"
# Clicks that follow views, where they are channels of their own.
CLICKS_OF = {"Display": "Display Clicks", "Online Video": "Video Clicks"}
OPENS_VISIT = frozenset({*ENTRANCES, *CLICKED, BRAND_ADS, *CLICKS_OF.values()})
# Of which a budget is set and bids are made in auctions.
AUCTIONED = frozenset({"Generic Search", "Shopping Ads", "Paid Social", "Display", "Online Video"})

# What logs call a channel, in three styles: source and medium, English words, agencies' short ones.
_NAMES = {
    "Direct": ("(direct) / (none)", "Direct Traffic", "Type-in / Direct"),
    "Brand Search": ("google / organic brand", "Brand Keywords", "Search Brand"),
    "Organic Search": ("google / organic", "Natural Search (Organic)", "SEO"),
    "Referral": ("press.example / referral", "Links from Other Sites", "Referrer"),
    "Coupon Site": ("codes.example / coupon", "Cashback & Vouchers", "Voucher"),
    "Generic Search": ("google / cpc", "Search Ads", "SEA Non-Brand"),
    "Shopping Ads": ("google / shopping", "Product Listing Ads", "PLA"),
    "Paid Social": ("social / paid", "Social Prospecting", "Social Ads"),
    "Affiliate Blog": ("blog.example / affiliate", "Content Partners", "Affiliates"),
    "Email": ("newsletter / email", "Newsletter", "CRM"),
    "Display": ("adserver / banner", "Banner Ads", "Programmatic"),
    "Online Video": ("video / instream", "Video Ads", "OLV"),
    "Podcast": ("podcast / audio", "Sponsored Podcasts", "Audio"),
    RETARGETING: ("adserver / retargeting", "Remarketing", "RTG"),
    BRAND_ADS: ("google / cpc brand", "Paid Brand Keywords", "SEA Brand"),
    "Display Clicks": ("adserver / banner click", "Banner Ads (Clicks)", "Programmatic Click"),
    "Video Clicks": ("video / instream click", "Video Ads (Clicks)", "OLV Click"),
}


def kinds_of(mechanisms: Mechanisms, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Entrances, and paid channels in a fixed order; what a mechanism needs is among them."""
    last = [BRAND_ADS] if mechanisms.bought else []
    last += CLICKS_OF.values() if mechanisms.views else []
    last += [RETARGETING]
    paid = [*_chosen(mechanisms, MOST - (len(ENTRANCES) - 1) - len(last), rng), *last]
    has_referral = rng.random() < 0.5 and len(paid) + len(ENTRANCES) <= MOST
    return [each for each in ENTRANCES if each != "Referral" or has_referral], paid


def names_of(kinds: tuple[str, ...], style: int) -> tuple[str, ...]:
    """What a log calls channels of these kinds, in one of three styles."""
    return tuple(_NAMES[kind][style] for kind in kinds)


def _chosen(mechanisms: Mechanisms, most: int, rng: np.random.Generator) -> list[str]:
    every = [*CLICKED, *SHOWN]
    needed = ["Email"] if mechanisms.messages else []
    needed += ["Shopping Ads"] if mechanisms.bought else []
    needed += CLICKS_OF if mechanisms.views else []
    others = [name for name in every if name not in needed]
    n = 7 if mechanisms.thin else min(int(rng.integers(4, 7)), most)
    chosen = {*needed, *rng.choice(others, n - len(needed), replace=False)}
    chosen |= {"Paid Social"} if not chosen & set(CLICKED) else set()
    return [name for name in every if name in chosen]
