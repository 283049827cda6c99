"""Entrances: guessed from names, and their touchpoints treated, against a loop over users."""

from __future__ import annotations

import numpy as np
import pytest

import mta_models as mta
from mta_models.models.incremental.one_answer.entrances import (
    guessed_entrances,
    is_entrance_name,
    treat,
)

ENTRANCES = """
Direct|direct|DIRECT|(direct)|(direct) / (none)|(none)|direct_traffic|Direct Traffic|Direct Visit
Direkt|Direktzugriff|Direkteingabe|Accès direct|Directo|Tráfico directo|Diretto|Direto
Typed/Bookmarked
Brand|Branded|Brand Search|brand_search|BrandSearch|Search Brand|SEM - Brand|Paid Search (Brand)
Paid Search - Brand Terms|google / cpc / brand|PPC_Brand|Branded Keywords|Brand Shopping|Paid Brand
SEA Marke|Markensuche|Recherche marque|Búsqueda de marca|Ricerca marchio|Google Ads Brand
Organic|organic|Organic Search|organic_search|OrganicSearch|google / organic|Organic Traffic|SEO
Natural Search|Référencement naturel|Recherche organique|Organische Suche|Búsqueda orgánica
Ricerca organica|Busca orgânica|Organic Shopping
Coupon|Coupon Site|coupons|Coupon/Deal Sites|Voucher|Voucher Codes|Cashback|Cash Back
CashBack Portal
Gutschein|Gutscheine|Gutscheinportal|Rabattcode|Code promo|Codes promo|Bons plans|Cupón|Cupones
Cupom|Código promocional|Código descuento|Codice sconto|Kortingscode|Promo Code|Discount Codes
Affiliate|Affiliates|affiliate_network|Affiliation|Affiliazione|Afiliados
Price Comparison|Comparison Shopping|Preisvergleich|Preisvergleichsportale|Comparateur de prix
Referral|Referrals|google.com / referral|Referring Domains|AI Referrals|TopCashback|Idealo|awin_uk
ダイレクト|自然検索|优惠券|Купоны
""".replace("\n", "|").split("|")
OTHERS = """
Display|Brand Video|Display Brand|Brand Display|Paid Brand Social|Brand Awareness|Branded Content
Brand Campaign|Brand TV|YouTube Brand|Brand Ambassadors|Brand Partnerships
Search|Paid Search|Generic Search
Non-Brand Search|NonBrand Search|non_brand|Nonbranded|SEM Non Brand
Unbranded Search|Competitor Brand Search|Paid Search Generic
SEA nicht Marke|Hors marque SEA
Organic Social|Organic Video|organic_instagram|Organic Food Fair|Natural Cosmetics
Direct Mail|Direct Marketing|Direct Response TV|Direct Buys|direct_email|Directory|Director
Email|E-Mail Coupons|Coupon SMS|Coupon Newsletter|Facebook Coupons|Affiliate Blog|Affiliate Display
Refer a Friend|Referral Program|Social|Paid Social|Retargeting|Push|Shopping Ads|Online Video|TV
Podcast|Radio|Influencer|Indirect|Redirect|Brandenburg|Couponing Display|none of these|a|1
""".replace("\n", "|").split("|")


@pytest.mark.parametrize("name", [each for each in ENTRANCES if each])
def test_names_of_entrances(name: str) -> None:
    assert is_entrance_name(name)


@pytest.mark.parametrize("name", [each for each in OTHERS if each])
def test_names_of_other_channels(name: str) -> None:
    assert not is_entrance_name(name)


def test_a_mask_in_the_channels_order() -> None:
    assert guessed_entrances(("Email", "Direct", "TV")).tolist() == [False, True, False]
    assert guessed_entrances(()).tolist() == []


def test_treatment_against_a_loop() -> None:
    """Users by hand: dropped before conversions, later elsewhere, in order, ties kept."""
    journeys = mta.worlds.make("visits_repeat", n_users=400, seed=2).simulate().journeys
    histories = journeys.histories
    entrances = guessed_entrances(journeys.channels)
    treated = treat(histories, entrances)
    assert 0 < len(treated.time) < len(histories.time)
    assert histories.repeats
    for user in range(histories.n_users):
        own = slice(histories.offsets[user], histories.offsets[user + 1])
        when = histories.event_time[histories.event_user == user]
        expected = []
        for index, time, code in zip(
            range(own.start, own.stop), histories.time[own], histories.codes[own], strict=True
        ):
            if not entrances[code]:
                expected.append((time, code, index))
            elif not ((when >= time) & (when - time <= 0.5)).any():
                expected.append((time + 0.5, code, index))
        expected.sort(key=lambda each: each[0])
        mine = slice(treated.offsets[user], treated.offsets[user + 1])
        np.testing.assert_array_equal(treated.time[mine], [each[0] for each in expected])
        np.testing.assert_array_equal(treated.codes[mine], [each[1] for each in expected])
        assert treated.touchpoint is not None
        np.testing.assert_array_equal(treated.touchpoint[mine], [each[2] for each in expected])
        for event in np.flatnonzero(histories.event_user == user):
            count = treated.event_stop[event] - treated.offsets[user]
            at = histories.event_time[event]
            before = [
                each
                for each in expected
                if each[0] < at or (each[0] == at and each[2] < histories.event_stop[event])
            ]
            assert count == len(before)


def test_what_comes_after_a_conversion_at_its_instant_stays_after_it() -> None:
    import polars as pl

    log = pl.DataFrame(
        {
            "user": [1, 1, 1, 1],
            "day": [1.0, 5.0, 5.0, 5.0],
            "channel": ["Direct", "Email", None, "Email"],
            "bought": [0, 0, 1, 0],
        }
    )
    journeys = mta.read_events(
        log, user="user", time="day", channel="channel", conversion="bought",
        observed=pl.DataFrame({"user": [1], "start": [0.0], "end": [9.0]}),
    )  # fmt: skip
    treated = treat(journeys.histories, np.array([True, False]))
    assert treated.time.tolist() == [0.5, 4.0, 4.0]
    assert treated.event_stop.tolist() == [2]


def test_without_entrances_nothing_changes() -> None:
    histories = mta.worlds.make("randomised", n_users=200).simulate().journeys.histories
    assert treat(histories, np.zeros(6, dtype=bool)) is histories
    none = mta.Journeys.from_paths([[]], [40], [7])._with(given_at_risk=np.array([9.0])).histories
    assert treat(none, np.zeros(0, dtype=bool)) is none
