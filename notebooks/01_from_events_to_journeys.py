# %% [markdown]
# # From an event log to journeys
#
# Before any model is chosen, somebody decides how a log is cut into journeys: how long a touchpoint
# counts, when two count as one, who was observed and since when. This notebook reads one log in
# several ways and shows how each decision changes the credits.
#
# The log is of the simulated world `shop` (`help(mta.example_events)`), so the last picture can
# compare the credits with what the channels caused.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl

import mta_models as mta

fast = "MTA_FAST" in os.environ
plt.rcParams |= {"figure.figsize": (8, 3.8), "axes.titlelocation": "left", "axes.titlesize": 11}
shop = mta.worlds.make("shop", n_users=3_000 if fast else 20_000)
log = mta.example_events(n_users=shop.n_users)
log.head(5)

# %% [markdown]
# ## Reading it, and the account of the reading
#
# One row is one event. A row with a channel is a touchpoint, a row with `conversion` 1 is a
# conversion; one row may be both. `read_events` makes journeys and an account: everything that was
# read is either kept or set aside for a stated reason, to the last cent. Read this account first.
# If it does not match the numbers you know from the shop, all later numbers are wrong too.

# %%
columns = {
    "user": "user",
    "time": "time",
    "channel": "channel",
    "conversion": "conversion",
    "value": "value",
}
journeys = mta.read_events(log, lookback="30d", **columns)
print(journeys)
print(journeys.report)

# %% [markdown]
# ## What a journey is
#
# A conversion ends a journey; the touchpoints after it open the next one. So one user can have
# several. Touchpoints that no conversion follows are a *null journey*: the user was reached and did
# not buy. Null journeys are needed to see whether a channel's visitors buy more often than others.
# A conversion without a touchpoint is a journey too, an empty one.

# %%
converts, empty = journeys.conversions > 0, journeys.lengths == 0
n_bought = np.bincount(journeys.users, converts, journeys.timeline.n_users)
n_seen = np.diff(journeys.timeline.offsets)
n_kept = np.bincount(journeys.users, journeys.lengths, journeys.timeline.n_users)
kinds = [
    journeys.users[(journeys.nulls > 0) & (journeys.lengths == 6)],
    journeys.users[converts & (journeys.lengths == 5)],
    np.flatnonzero((n_bought == 1) & (n_seen == 6) & (n_kept == 3)),
    np.flatnonzero((n_bought == 2) & (n_seen > 4)),
    np.flatnonzero((n_bought == 1) & (n_seen == 0)),
]
users = [user for kind in kinds for user in kind[:1]]
fig, ax = plt.subplots(figsize=(9, 3.4))
mta.plot.timelines(journeys, users, ax)
ax.set_title("Blue: a journey that converts. Grey: one that does not. Hollow: beyond 30 days")
plt.show()

# %%
share_bare = (converts & empty).sum() / converts.sum()
longest = 15
bins = np.arange(longest + 2)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.hist(np.minimum(journeys.lengths[converts], longest), bins, color="#0072B2", rwidth=0.9)
left.set_title(f"{converts.sum():,} conversions: {share_bare:.0%} have no touchpoint")
right.hist(np.minimum(journeys.lengths[~converts], longest), bins, color="#BBBBBB", rwidth=0.9)
right.set_title(f"{(~converts).sum():,} null journeys")
for ax in (left, right):
    ax.set_xticks([0.5, 5.5, 10.5, 15.5], ["0", "5", "10", "15+"])
    ax.set_xlabel("touchpoints in the journey")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Lookback: how long a touchpoint counts
#
# No rule can credit a channel with a conversion whose touchpoints are all beyond the lookback. Such
# conversions are credited to no channel: they are the *baseline*, the dashed line. With a short
# lookback most conversions are in the baseline, and channels met just before the purchase (here the
# Coupon Site) gain. With a long lookback nearly all conversions are credited to channels, whether
# or not an ad two months ago had an effect.
#
# Decide it from the product: how long do people take to buy? Then report two settings, not one.

# %%
readings = mta.sensitivity(
    "Linear",
    log,
    lookbacks=["1d", "3d", "7d", "14d", "30d", "60d", None],
    sessions=[None],
    **columns,
)
short, long = readings.attributions["1d", None], readings.attributions[None, None]
fig, ax = plt.subplots(figsize=(8, 4.8))
mta.plot.sensitivity(readings, ax)
ax.set_title(
    f"Linear: {1 - short.baseline / short.total:.0%} of conversions are credited to a channel "
    f"with 1 day, {1 - long.baseline / long.total:.0%} without limit"
)
plt.show()

# %% [markdown]
# ## Lookbacks against models
#
# Teams discuss models and leave the lookback at its default. Below, blue is how far a channel's
# credit moves when only the lookback changes (7, 30 or 90 days, always Linear); orange is how far
# it moves when only the model changes (always 30 days), among five that share credit over the
# journey; grey compares the two extremes among the rules. The number in the legend is the largest
# part of all conversions that is credited differently. Most of what a lookback moves is the
# baseline, the conversions credited to no channel, which these models do not estimate.

# %%
shared = ["Linear", "PositionBased", "TimeDecay", "Shapley", "Markov"]
by_window = pd.concat(
    [
        mta.Linear().fit_attribute(mta.read_events(log, lookback=days, **columns)).to_frame().credit
        for days in ("7d", "30d", "90d")
    ],
    axis=1,
).to_numpy()
by_model = mta.compare(shared, journeys).to_frame()
extremes = mta.compare(["FirstTouch", "LastTouch"], journeys).to_frame()
fig, ax = plt.subplots(figsize=(8, 4.6))
settings = {
    "lookback 7, 30, 90 days": (by_window, "#0072B2", -0.22),
    "five models that share credit": (by_model.to_numpy(), "#E69F00", 0.0),
    "first touch, last touch": (extremes.to_numpy(), "#BBBBBB", 0.22),
}
for label, (credit, colour, shift) in settings.items():
    moved = max(np.abs(credit - one[:, None]).sum(axis=0).max() / 2 for one in credit.T)
    place = np.arange(len(credit)) + shift
    words = f"{label}: {moved / journeys.total:.0%} of conversions move"
    ax.hlines(place, credit.min(axis=1), credit.max(axis=1), colour, linewidth=5, label=words)
ax.set_yticks(range(len(by_model)), by_model.index)
ax.invert_yaxis()
ax.set_xlabel("conversions credited, from the lowest to the highest")
ax.set_title("The lookback moves more than the choice among models that share credit")
ax.legend(loc="upper left", bbox_to_anchor=(0, -0.15), frameon=False)
ax.spines[["top", "right", "left"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Sessions: when two touchpoints are one
#
# Some trackers write a row per visit, others a row per page view. A rule that counts touchpoints
# then credits a channel for how it is tracked. Below, every Organic Search visit is written three
# times, five minutes apart, as in a page-view log. `session="30min"` makes one touchpoint of a run
# of the same channel, and restores the credits exactly. Merge such runs before you compare channels
# that are tracked by different tools.

# %%
search = log.filter(pl.col("channel") == "Organic Search")
later = [search.with_columns(pl.col("time") + pl.duration(minutes=each)) for each in (5, 10)]
views = pl.concat([log, *later])
readings = {
    "a row per visit": journeys,
    "a row per page view of search": mta.read_events(views, lookback="30d", **columns),
    'the same, session="30min"': mta.read_events(views, lookback="30d", session="30min", **columns),
}
read_as = {name: mta.Linear().fit_attribute(each) for name, each in readings.items()}
visits, pages, merged = (
    each.credit[journeys.channels.index("Organic Search")] for each in read_as.values()
)
fig, ax = plt.subplots()
mta.plot.credits(mta.Comparison(read_as), ax)
ax.set_title(
    f"Page views lift Organic Search from {visits:.1f} to {pages:.1f} conversions; "
    f"sessions bring back {merged:.1f}"
)
plt.show()

# %% [markdown]
# ## Bounds of observation: what happened before the log
#
# A log begins on some day, and what people met before that day is not in it. So conversions of the
# first weeks seem to have no touchpoints. Below: the share of conversions without a touchpoint,
# week by week. The remedy is a run-in: touchpoints of the first 30 days are used, conversions of
# the first 30 days are not.

# %%
settled = journeys.end >= 30
run_in = journeys.reweighted(
    np.where(settled, journeys.conversions, 0), journeys.nulls, np.where(settled, journeys.value, 0)
)
week = (journeys.end[converts] // 7).astype(int)
bare_by_week = np.bincount(week, empty[converts]) / np.maximum(np.bincount(week), 1)
bare_later = run_in.conversions[empty].sum() / run_in.total
fig, ax = plt.subplots(figsize=(8, 3.2))
ax.bar(np.arange(len(bare_by_week)), bare_by_week, color="#0072B2")
ax.axvspan(-0.5, 30 / 7 - 0.5, color="#EEEEEE", zorder=0)
ax.text(1.6, 0.9, "first 30 days", transform=ax.get_xaxis_transform(), color="#555555")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.set_xlabel("week of the log")
ax.set_title(
    f"Conversions without a touchpoint: {share_bare:.0%} of all, {bare_later:.0%} after the run-in"
)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Who was observed
#
# Rules read converting journeys only, so it does not matter to them who else was observed. It does
# to every model that compares users. Users without events are not in the log; unless `observed=`
# names them, all users without a touchpoint seem to be buyers. And a user who is observed only from
# the first event on (`"first_event"`, common in practice) loses the time before it, so buying looks
# faster than it is. `at_risk` has the days.

# %%
everyone = pl.DataFrame({"user": range(3_000 if fast else 20_000)}).with_columns(
    start=pl.lit(log["time"].min()), end=pl.lit(log["time"].max())
)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    observations = {
        "users of the log (default)": mta.read_events(log, **columns),
        "a table of all users": mta.read_events(log, observed=everyone, **columns),
        "from the first event on": mta.read_events(log, observed="first_event", **columns),
    }
print(*(each.message for each in said))
untouched, pace = {}, {}
for name, each in observations.items():
    bare = each.lengths == 0
    untouched[name] = each.conversions[bare].sum() / (each.conversions + each.nulls)[bare].sum()
    pace[name] = 1000 * each.total / (each.timeline.end - each.timeline.start).sum()
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.4), sharey=True)
bars = left.barh(list(untouched), untouched.values(), color="#0072B2")
left.bar_label(bars, fmt="{:.0%}", padding=3)
left.set_title("Untouched journeys that convert")
right.bar_label(right.barh(list(pace), pace.values(), color="#D55E00"), fmt="%.2f", padding=3)
right.set_title("Conversions per 1,000 user-days")
left.invert_yaxis()
for ax in (left, right):
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Ties: two events at one time
#
# Rows of one user at one time keep the order of the source. That is harmless with clock times and
# decides a great deal with dates: the Coupon Site is visited minutes before the purchase, so with
# dates the two tie, and if the source lists the purchase first, the visit falls into the next
# journey. The account counts ties. If there are many, get clock times or name a column by `order=`.

# %%
dates = log.with_columns(pl.col("time").dt.date())
readings = {
    "clock times": log,
    "dates, rows in time order": dates,
    "dates, rows shuffled": dates.sample(fraction=1, shuffle=True, seed=0),
}
read_as = {
    name: mta.read_events(each, lookback="30d", **columns) for name, each in readings.items()
}
last_touch = {name: mta.LastTouch().fit_attribute(each) for name, each in read_as.items()}
ties = [
    each.report.noted.get("rows tied in time with the row before", 0) for each in read_as.values()
]
coupons = [each.credit[each.channels.index("Coupon Site")] for each in last_touch.values()]
fig, ax = plt.subplots()
mta.plot.credits(mta.Comparison(last_touch), ax)
ax.set_title(
    f"{ties[2]:,.0f} ties. Shuffled rows take the Coupon Site from {coupons[0]:.0f} "
    f"last touches to {coupons[2]:.0f}"
)
plt.show()

# %% [markdown]
# ## Transforms: what a rule reads
#
# A transform drops touchpoints from the paths and does not change outcomes. `"exposure"` collapses
# repeats in a row, `"first"` keeps the first of each channel, `("remove_if_not_all", "Direct")`
# drops Direct where a path has other channels. Each is a decision about who may be paid: dropping
# Direct gives its credit to the other channels of the journey.

# %%
steps = {
    "as read": [],
    "exposure": ["exposure"],
    "first": ["first"],
    "without Direct": [("remove_if_not_all", "Direct")],
}
transformed = {
    name: mta.Linear().fit_attribute(journeys.transform(*each)) for name, each in steps.items()
}
direct = [each.credit[each.channels.index("Direct")] for each in transformed.values()]
fig, ax = plt.subplots()
mta.plot.credits(mta.Comparison(transformed), ax)
ax.set_title(
    f"Linear: dropping Direct hands {direct[0] - direct[3]:.0f} of its {direct[0]:.0f} conversions "
    "to other channels"
)
plt.show()

# %% [markdown]
# ## Diagnose first
#
# `diagnose` says what these journeys can and cannot support, and what to do about it.

# %%
print(mta.diagnose(journeys))

# %% [markdown]
# ## What no reading decides
#
# The truth of this log is known: the grey bars are the conversions that each channel causes (its
# Shapley value, retargeting and e-mails that follow from it included). No lookback, session or
# transform brings the rules to the truth, since they credit conversions to channels that are
# present. Users of high intent visit by Organic Search, Direct and Brand Search, and fetch a coupon
# when they have decided. `SelfControlled` compares users with themselves: these three channels get
# nearly nothing. It still credits the Coupon Site, which comes between decision and purchase,
# unless a `lag` of an hour leaves such touchpoints out (notebook 05 says what that assumes). All
# models credit Retargeting for touchpoints that other channels started.
#
# | decision | ask | start with |
# |---|---|---|
# | lookback | how long do people take to buy? | two settings, side by side |
# | sessions | does every channel log visits in the same way? | `"30min"` for page views |
# | bounds, run-in | what happened before the log began? | a run-in as long as the lookback |
# | observed | who could have converted? | a table of all users |
# | ties | are times precise? | clock times, or `order=` |
# | transforms | who may be paid? | none |

# %%
truth = shop.truth(users=1_024 if fast else 20_480)
caused = dict(zip(truth.channels, truth.shapley, strict=True))
observed = mta.read_events(log, lookback="30d", observed=everyone, **columns)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", mta.MTAWarning)  # of the lead test; see notebook 05
    models = ["FirstTouch", "LastTouch", "Linear", "Markov", "SelfControlled"]
    models.append("SelfControlled(lag='1h')")
    comparison = mta.compare(models, observed)
order = np.argsort(-comparison.credit.mean(axis=1), kind="stable")
bars = [*(caused[comparison.channels[row]] for row in order), truth.baseline]
fig, ax = plt.subplots(figsize=(9, 4.4))
mta.plot.credits(comparison, ax)
ax.barh(range(len(bars)), bars, height=0.8, color="#E0E0E0", label="truth", zorder=0)
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
ax.set_title(
    f"{truth.baseline / truth.total:.0%} of conversions would have come anyway; "
    f"rules and Markov leave {journeys.conversions[empty].sum() / journeys.total:.0%}"
)
plt.show()
