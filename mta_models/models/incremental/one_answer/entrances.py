"""Entrances: channels through which people come who have decided; their names and treatment."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mta_models.core.ragged import Floats, Ints, Mask, keep
from mta_models.data.histories import Histories

# Touchpoints of an entrance this close before a conversion are taken as the way to it; days.
WINDOW = 0.5


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words, without accents. A channel is an entrance, and may close sales, if its name has one of
# these words or beginnings ...
_CLOSING = _set(
    """
    coupon coupons couponing voucher vouchers cupon cupones cupom cupons kupon kupony kupongs
    promocode promocodes rabattcode rabattcodes rabattkod kortingscode kortingscodes cashback
    affiliate affiliates affiliation affiliazione affiliati afiliado afiliados afiliacion
    topcashback quidco igraal retailmenot awin tradedoubler shareasale
    referral referrals referring referrer referrers
    """
)
_CLOSING_BEGINNINGS = ("gutschein",)
# ... or two of these next to each other ...
_CLOSING_PAIRS = frozenset(
    {
        *("cash back", "promo code", "promo codes", "discount code", "discount codes"),
        *("code promo", "codes promo", "codigo promocional", "codigos promocionales"),
        *("codigo descuento", "codice sconto", "codici sconto", "bon plan", "bons plans"),
        *("deal site", "deal sites"),
    }
)
_CLOSING_TEXTS = ("クーポン", "アフィリエイト", "优惠券", "返利", "купон", "промокод", "кэшбэк")
# It is an entrance by one of these too ...
_ALWAYS = _CLOSING | _set(
    """
    direct direkt directo diretto direto bezposrednie direktzugriff direktzugriffe direkteingabe
    bookmark bookmarks bookmarked seo markensuche idealo kelkoo pricerunner
    prijsvergelijker comparateur comparateurs comparador comparadores comparatore comparatori
    """
)
_BEGINNINGS = (*_CLOSING_BEGINNINGS, "preisvergleich")
_PAIRS = _CLOSING_PAIRS | {
    *("price comparison", "price comparisons", "comparison shopping", "comparison site"),
    *("comparison sites", "comparison engine", "comparison engines"),
}
# ... or one of these, by itself or with a word of search.
_IN_SEARCH = _set(
    """
    brand branded brands marke marken marque marca marchio merk merknaam trademark varumarke
    organic organico organica organisch organische organique natural naturel naturelle
    """
)
_SEARCH = _set(
    """
    search sem sea ppc cpc keyword keywords kw kws term terms adwords google bing yahoo baidu
    yandex naver duckduckgo ecosia suche recherche referencement busqueda busca ricerca zoeken
    shopping
    """
)
_NEUTRAL = _set("traffic visit visits site website web channel the paid ads")
# Parts of names in languages that this file does not cut into words.
_TEXTS = (
    *_CLOSING_TEXTS,
    *("ダイレクト", "オーガニック", "自然検索", "指名検索"),
    *("直接", "自然搜索", "品牌词", "прямые", "органик"),
)
# Words of what is pushed to people, or read for its own sake: a name with one is no entrance.
_PUSHED = _set(
    """
    display banner banners video videos youtube tv ctv ott television radio audio podcast podcasts
    social socials sociaux soziale sociales facebook fb meta instagram tiktok snapchat pinterest
    linkedin twitter reddit influencer influencers creator creators blog blogs blogger bloggers
    programmatic retargeting remarketing prospecting email emails mail mails mailing mailer
    newsletter newsletters crm sms mms push notification notifications whatsapp messenger message
    messages messaging native print outdoor ooh dooh billboard catalog catalogue flyer sponsoring
    sponsorship sponsored content awareness response marketing buy buys sales insertion placement
    publisher install installs friend program programme
    """
)
# A brand that is not one's own, or no brand at all.
_NOT_OWN = _set(
    """
    non nonbrand nonbranded unbranded no not ex excl excluding hors sin senza ohne nicht generic
    generics generisch generique generico competitor competitors conquest conquesting rival
    wettbewerber
    """
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def is_entrance_name(name: str) -> bool:
    """Whether a channel's name says that it is an entrance.

    Direct, brand search, organic search, coupons, cashback, affiliates, price comparison and
    referrals, in several languages, whole words only. "Brand" and "organic" count by themselves or
    with a word of search, so that neither "Brand Video" nor "Organic Social" is an entrance.

    Example:
        >>> [is_entrance_name(each) for each in ("(direct) / (none)", "Brand Video", "Direct Mail")]
        [True, False, False]
    """
    words = _words(name)
    if words == ["none"] or any(text in name.lower() for text in _TEXTS):
        return True
    found = set(words)
    if found & _PUSHED:
        return False
    if found & _ALWAYS or any(each.startswith(_BEGINNINGS) for each in words):
        return True
    if any(" ".join(pair) in _PAIRS for pair in pairwise(words)):
        return True
    alone = found <= _IN_SEARCH | _NEUTRAL
    return bool(found & _IN_SEARCH and not found & _NOT_OWN and (alone or found & _SEARCH))


def may_close_sales(name: str) -> bool:
    """Whether a channel's name says that it may win a purchase at the last step.

    Coupons, promo codes, cashback, deals, affiliates and referrals: no log shows whether their
    buyers would have bought anyway.

    Example:
        >>> [may_close_sales(each) for each in ("Coupon Site", "Direct", "Coupon Newsletter")]
        [True, False, False]
    """
    words = _words(name)
    if any(text in name.lower() for text in _CLOSING_TEXTS):
        return True
    if set(words) & _PUSHED:
        return False
    return bool(
        set(words) & _CLOSING
        or any(each.startswith(_CLOSING_BEGINNINGS) for each in words)
        or any(" ".join(pair) in _CLOSING_PAIRS for pair in pairwise(words))
    )


def guessed_entrances(channels: tuple[str, ...]) -> Mask:
    """The channels whose names say that they are entrances, shape `(n_channels,)`."""
    return np.fromiter(
        (is_entrance_name(each) for each in channels), dtype=bool, count=len(channels)
    )


def treat(histories: Histories, entrances: Mask, window: float = WINDOW) -> Histories:
    """The histories without entrances' touchpoints shortly before conversions of their users.

    Such a touchpoint shows that its user had decided; counted as a cause, an entrance would get the
    credit for most conversions. Elsewhere an entrance's touchpoint counts from `window` days after
    it was met, so that times with a conversion and times without one are treated the same.

    Args:
        histories: any.
        entrances: shape `(n_channels,)`, the channels that are entrances.
        window: days.

    Returns:
        The same users, conversions and weights; touchpoints in time order, `touchpoint` as before.
    """
    entering = entrances[histories.codes] if histories.n_channels else np.zeros(0, dtype=bool)
    if not entering.any():
        return histories
    at = np.flatnonzero(entering)
    user, met = histories.owner[at], histories.time[at]
    far = _until_next_event(histories, user, met) > window
    at, user, later = at[far], user[far], met[far] + window
    # Two kinds that are in order each, merged: an entrance's place is after all others before it.
    others = np.concatenate(([0], np.cumsum(~entering)))
    before = others[histories.seen_by(user, np.nextafter(later, -np.inf))]
    moved = np.zeros(len(at) + int(others[-1]), dtype=bool)
    moved[np.arange(len(at)) + before] = True
    place = np.empty(len(moved), dtype=np.int64)
    place[moved], place[~moved] = at, np.flatnonzero(~entering)
    time = histories.time[place].astype(np.float64)
    time[moved] = later
    kept = ~entering
    kept[at] = True
    treated = replace(
        histories,
        offsets=keep(kept, histories.offsets),
        time=time,
        codes=histories.codes[place],
        touchpoint=place if histories.touchpoint is None else histories.touchpoint[place],
        event_stop=np.zeros(histories.n_events, dtype=np.int64),
    )
    # Touchpoints at the instant of a conversion that come after it in the log stay after it.
    at_once = histories.seen_by(histories.event_user, histories.event_time)
    after = others[at_once] - others[np.minimum(histories.event_stop, at_once)]
    stop = treated.seen_by(histories.event_user, histories.event_time) - after
    return replace(treated, event_stop=stop)


def until_next_event(histories: Histories) -> Floats:
    """Days from each touchpoint to its user's next conversion; infinite without one."""
    return _until_next_event(histories, histories.owner, histories.time)


def _until_next_event(histories: Histories, user: Ints, time: Floats) -> Floats:
    """Days from each time to its user's next conversion at or after it; infinite without one."""
    count = np.bincount(histories.event_user, minlength=histories.n_users)
    cuts = np.concatenate(([0], np.cumsum(count)))
    low, high = cuts[user], cuts[user + 1]
    stop = high.copy()
    last = max(histories.n_events - 1, 0)
    for _ in range(int((high - low).max(initial=0)).bit_length()):
        middle = (low + high) // 2
        open_ = low < high
        earlier = histories.event_time[np.minimum(middle, last)] < time
        low = np.where(open_ & earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    there = low < stop
    days: Floats = np.full(len(time), np.inf)
    days[there] = histories.event_time[low[there]] - time[there]
    return days


def _words(name: str) -> list[str]:
    """The words of a name: small letters, without accents, `BrandSearch` as two."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name))
    letters = "".join(each for each in plain if not unicodedata.combining(each)).lower()
    return re.findall(r"[^\W_]+", letters)
