# %% [markdown]
# # Rules, Markov and Shapley on one table
#
# Three families of models credit the same 19,785 conversions and disagree. They are computed here
# exactly, on a table of 10,000 paths that comes with the package `mta` (the extra `test` installs
# it). The notebook shows which question each of them answers, where they must agree, and which
# question none can answer.

# %%
import importlib.util
import os
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import mta_models as mta
from mta_models.reporting.styles import model_styles

fast = "MTA_FAST" in os.environ
n_draws = 20 if fast else 200
plt.rcParams |= {"figure.figsize": (8, 4.4), "axes.titlelocation": "left", "axes.titlesize": 11}
package = Path(importlib.util.find_spec("mta").origin).parent  # located, not imported
journeys = mta.read_paths(
    package / "data" / "data.csv.gz",
    path="path",
    conversions="total_conversions",
    nulls="total_null",
    value="total_conversion_value",
)
print(journeys)
print(f"{(journeys.lengths == 0).sum()} journeys without a touchpoint")

# %% [markdown]
# Each row is a path with the users who converted after it, those who did not (`nulls`), and the
# value of the conversions. There are no times, no stages of a sale, and no users without a
# touchpoint. The last matters most.
#
# ## Rules: bookkeeping
#
# A rule splits every conversion over its own journey's touchpoints. It does not use users who did
# not convert. Rules that need times or milestones refuse this table instead of guessing.

# %%
rules = [
    "FirstTouch",
    "InverseJShaped",
    "PositionBased",
    "Linear",
    "Linear(unique=True)",
    "JShaped",
    "LastTouch",
    "TimeDecay",
    "WShaped",
]
by_rule = mta.compare(rules, journeys, skip_refused=True)
for reason in by_rule.refusals.values():
    print(f"Refused: {reason.partition('.')[0]}.")
moved = np.abs(by_rule.share[:, 0] - by_rule.share[:, -1]).sum() / 2
fig, ax = plt.subplots(figsize=(8, 5))
mta.plot.credits(by_rule, ax)
ax.set_title(f"Between first and last touch {moved:.0%} of the credit changes channel")
plt.show()

# %% [markdown]
# `alpha` and `eta` come last in journeys; `iota`, `beta` and `theta` first. That explains most of
# the differences. The data cannot show which rule is right: a rule is a convention about who is
# paid.
#
# ## Markov: how much passes through a channel
#
# A Markov chain learns from all users which channel follows which, and how journeys end. Below is
# the chain that remembers one channel: circles are as large as their removal effect, arrows as wide
# as their probability (below 8% they are left out). The *removal effect* of a channel is the share
# of conversions that are lost if entering it always ends in null. It is computed exactly.

# %%
chain = mta.Markov(order=1).fit(journeys)
fig, ax = plt.subplots(figsize=(10, 6))
mta.plot.chain(chain.to_graph(), ax, at_least=0.08)
alpha = chain.removal_effect_[journeys.channels.index("alpha")]
ax.set_title(f"{alpha:.0%} of this chain's conversions pass through alpha")
plt.show()

# %% [markdown]
# ## The order: what a longer memory does
#
# A chain of order k remembers k channels. As k grows, the chain comes closer to the table itself,
# and the removal effect comes closer to a plain count: the share of conversions whose path holds
# the channel (*participation*). At the length of the longest path the two are equal. So a higher
# order is a more faithful count. It is not more causal.

# %%
longest = int(journeys.lengths.max())
orders = [1, 2, 4, longest] if fast else [1, 2, 3, 4, 6, 8, 12, 20, 40, longest]
effects = np.array([mta.Markov(order=order).fit(journeys).removal_effect_ for order in orders])
participation = mta.participation(journeys)["share"].to_numpy()
gap = np.abs(effects[-1] - participation).max()
common = np.argsort(-participation)[:6]
fig, ax = plt.subplots()
for row, colour in zip(common, mta.plot.COLOURS, strict=False):
    ax.plot(orders, effects[:, row] / participation[row], ".-", color=colour)
    name = journeys.channels[row]
    ax.text(0.94, effects[0, row] / participation[row], name, ha="right", va="center", color=colour)
ax.set_xscale("log")
ax.set_xlim(left=0.55)
ax.set_xticks(orders, orders)
ax.minorticks_off()
ax.set_xlabel("order of the chain")
ax.set_ylabel("removal effect ÷ participation")
ax.set_title(f"At order {longest} Markov is participation: the largest difference is {gap:.0e}")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Which order describes the paths best is a question that data can answer: the one that best
# predicts the next step of users it was not fitted on. Here that is order 7. For the credits it
# matters little: from order 2 on, one more channel of memory moves less than 1% of them.

# %%
selection = mta.Markov.select_order(journeys, max_order=4 if fast else 8, random_state=0)
table = selection.to_frame()
by_order = mta.compare([f"Markov(order={order})" for order in (1, 2, 3, 4)], journeys)
steps = np.abs(np.diff(by_order.share, axis=1)).sum(axis=0) / 2
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.errorbar(table.order, table.score, 2 * table.standard_error, fmt="o-", color="#0072B2")
left.set_xlabel("order")
left.set_ylabel("held-out log-likelihood of a step")
left.set_title(f"Order {selection.order} predicts the next step best")
right.bar(["1 to 2", "2 to 3", "3 to 4"], steps, color="#0072B2", width=0.6)
right.set_yticks([0, 0.005, 0.01, 0.015])
right.yaxis.set_major_formatter("{x:.1%}")
right.set_title("Credit that moves with the order")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
fig.tight_layout()
plt.show()

# %% [markdown]
# ## What "removed" means
#
# Three meanings are in use. `"to_null"`: users who would enter the channel are lost. `"fail"`:
# users with the channel anywhere in the path do not convert. `"detour"`: the channel is deleted
# from the paths and outcomes stay the same; users who met only that channel are not counted. The
# first two count presence. The third compares conversion rates, and here it is about 0: of the
# journeys with a channel, between 22% and 25% convert, for every channel that is not rare (right).

# %%
users = journeys.conversions + journeys.nulls
everybody = journeys.reweighted(users, np.zeros(journeys.n_journeys))
met = mta.participation(everybody)["participation"].to_numpy()
rate = mta.participation(journeys)["participation"].to_numpy() / met
order = np.argsort(participation)
names = [journeys.channels[row] for row in order]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.4), sharey=True)
marks = {"to_null": "o", "fail": "s", "detour": "D"}
for (removal, mark), colour in zip(marks.items(), mta.plot.COLOURS, strict=False):
    effect = mta.Markov(removal=removal).fit(journeys).removal_effect_[order]
    left.scatter(effect, names, 30, colour, marker=mark, label=removal)
left.axvline(0, color="#BBBBBB", linewidth=1, zorder=0)
left.legend(frameon=False, loc="lower right")
left.set_title("Removal effect, by what removal means")
error = 2 * np.sqrt(rate * (1 - rate) / met)[order]
right.errorbar(rate[order], names, xerr=error, fmt="o", color="#0072B2")
right.axvline(journeys.total / users.sum(), color="#BBBBBB", linewidth=1, zorder=0)
right.set_xlim(left=0)
right.xaxis.set_major_formatter("{x:.0%}")
right.set_title("Conversion rate of journeys with the channel")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
fig.tight_layout()
plt.show()

# %% [markdown]
# ## Shapley: a fair split of a stated game
#
# The Shapley value is the amount that a channel adds to v(S), the value of a set S of channels,
# averaged over all orders in which channels could arrive. The result depends on v; three are shown:
#
# - **conversions** that happened within S. This has a closed form, which is a rule: each conversion
#   splits equally over the distinct channels of its path.
# - the **rate** at which users whose channels all lie in S convert.
# - the conversions of the **Markov chain** if entering any channel outside S ends in null.

# %%
games = {
    "Markov": mta.Markov(),
    "Shapley": mta.Shapley(),
    "Shapley('model', model=Markov())": mta.Shapley("model", model=mta.Markov()),
    "Shapley('rate')": mta.Shapley("rate"),
}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    played = {label: model.fit_attribute(journeys) for label, model in games.items()}
print(*(each.message for each in said))
row = by_rule.attributions["Linear(unique=True)"]
gap = np.abs(played["Shapley"].credit - row.credit).max()
print(f"Largest difference between Shapley of conversions and Linear(unique=True): {gap:.0e}")
mi = played["Shapley('rate')"].share[journeys.channels.index("mi")]
fig, ax = plt.subplots(figsize=(8, 5))
mta.plot.credits(mta.Comparison(played), ax)
ax.set_title(
    f"Shapley of rates gives {mi:.0%} of the credit to mi, "
    f"met by {met[journeys.channels.index('mi')]:.0f} of {users.sum():,.0f} users"
)
plt.show()

# %% [markdown]
# The warning explains the rates. The table has no users without a channel, so the value of the
# empty set is unknown and taken as 0. Then *having any touchpoint at all* raises the rate from 0 to
# 22%. Every channel that some users met alone does that, so all of these get about the same credit,
# `mi` included. `zeta` and `delta`, which no users met alone, get nothing.
#
# ## Chance: intervals
#
# The bootstrap resamples users. Bars are 95% intervals: chance in who was observed, nothing else.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the unseen sets, in every draw
    drawn = {
        label: mta.bootstrap(model, journeys, n_draws=n_draws, random_state=0)
        for label, model in {"LastTouch": mta.LastTouch(), **games}.items()
        if label != "Shapley('model', model=Markov())"
    }
fig, ax = plt.subplots(figsize=(8, 6.4))
mta.plot.intervals(drawn, ax)
ax.set_title("95% intervals, sampling only: the model matters more than chance")
plt.show()

# %% [markdown]
# A narrow interval can still be wrong: it shows how much other users of the same kind would change
# the number, not whether the number answers your question. The wide intervals come from rates
# within small sets of channels, which have few users.
#
# ## Revenue
#
# `of="value"` credits the value of conversions instead of their number. For Markov the chain is
# then solved for expected value. Below, value per conversion credited, for channels that took part
# in at least 100 conversions.

# %%
models = ["FirstTouch", "LastTouch", "Linear", "Markov"]
in_value = mta.compare(models, journeys, of="value")
in_conversions = mta.compare(models, journeys)
enough = participation * journeys.total >= 100
order = [row for row in np.argsort(participation) if enough[row]]
worth = in_value.credit[order] / in_conversions.credit[order]
mean = journeys.total_value / journeys.total
fig, ax = plt.subplots(figsize=(8, 4))
for column, (label, style) in enumerate(model_styles(models).items()):
    ax.scatter(worth[:, column], range(len(order)), label=label, **style)
ax.axvline(mean, color="#BBBBBB", linewidth=1, zorder=0)
ax.set_yticks(range(len(order)), [journeys.channels[row] for row in order])
ax.set_xlabel("value per conversion credited")
low, high = worth[-1].min(), worth[-1].max()
ax.set_title(f"A conversion of alpha is worth {low:.1f} to {high:.1f}; the average is {mean:.1f}")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## The question that none of them can answer
#
# How many of these conversions would have come without any marketing? Suppose the table also had
# 100,000 users who met no channel and converted just as often as all others. If they are users of
# the same kind, marketing caused nothing. Rules, Markov and two of the three Shapley values credit
# the channels with exactly what they credited before.

# %%
n_more = 100_000
buyers = round(n_more * journeys.total / users.sum())
with_untouched = mta.Journeys.from_arrays(
    journeys.channels,
    journeys.codes,
    np.append(journeys.offsets, journeys.offsets[-1]),
    np.append(journeys.conversions, buyers),
    np.append(journeys.nulls, n_more - buyers),
)
then = {label: each.fit_attribute(with_untouched) for label, each in games.items()}
then = {"LastTouch": mta.LastTouch().fit_attribute(with_untouched)} | then
before = {"LastTouch": by_rule.attributions["LastTouch"]} | played
place = np.arange(len(then))
fig, ax = plt.subplots(figsize=(8, 3.6))
ax.barh(
    place - 0.2,
    [each.credit.sum() for each in before.values()],
    0.38,
    color="#0072B2",
    label="as read",
)
ax.barh(
    place + 0.2,
    [each.credit.sum() for each in then.values()],
    0.38,
    color="#E69F00",
    label="with untouched users who convert as often",
)
for at, each in zip(place, then.values(), strict=True):
    if each.credit.sum() < 1:
        ax.text(100, at + 0.2, "0", va="center", color="#8A5A00")
ax.set_yticks(place, list(then))
ax.invert_yaxis()
ax.xaxis.set_major_formatter("{x:,.0f}")
ax.set_xlabel("conversions credited to channels")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)
moved = max(np.abs(before[name].credit - then[name].credit).max() for name in list(then)[:-1])
ax.set_xlim(left=0)
ax.set_title("Channels without effect: only Shapley of rates falls to 0")
ax.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"Largest change of a credit, Shapley of rates aside: {moved:.0e} conversions")

# %% [markdown]
# ## In short
#
# | model | estimand | the question it answers |
# |---|---|---|
# | rules, Shapley of conversions | `rule` | where does this convention book conversions? |
# | Markov | `removal_effect` | what share of conversions passes through the channel? |
# | Shapley of the Markov game | `shapley` | the same, in parts that add up |
# | Shapley of rates | `shapley` | how much more often do people with these channels convert? |
#
# The first does not use users who did not convert. The next two use them, but do not estimate how
# many buyers would have come anyway. The last compares users, and those who meet more channels may
# have more intent.
#
# They differ because they answer different questions, and more data will not make them agree. None
# of them measures incrementality: how many conversions the channel caused. That needs users who
# were not reached, times, and an assumption or an experiment about who is reached.
