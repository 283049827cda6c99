# %% [markdown]
# # Why counting touchpoints lies
#
# Count the touchpoints of those who bought and of those who did not, and ads seem to keep people
# from buying. This notebook shows why, in a simulated world where every effect is known, what
# changes once time is modelled, and what a model of time still gets wrong. The answer comes first:
# `Incremental`, the default model, beside the truth. The rest explains why it reads the times of
# all users and counts nothing.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import mta_models as mta
from mta_models.reporting.styles import model_styles

fast = "MTA_FAST" in os.environ
n_users, truth_users = (3_000, 4_096) if fast else (20_000, 20_480)
plt.rcParams |= {"figure.figsize": (9, 3.8), "axes.titlelocation": "left", "axes.titlesize": 11}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
blue, orange = mta.plot.COLOURS[:2]
# A model has the same colour in every picture.
models = ("LastTouch", "Linear", "Markov", "Shapley", "Hazard", "Logistic", "Incremental")
colour_of = {name: style["color"] for name, style in model_styles(models).items()}
world = mta.worlds.make("randomised", n_users=n_users, seed=1)
journeys = world.simulate().journeys
truth = world.truth(users=truth_users)
true = dict(zip(truth.channels, truth.shapley, strict=True))
print(journeys)
answer = mta.Incremental().fit_attribute(journeys)
frame = answer.to_frame(prob=0.9).drop(columns="share").set_index("channel")
frame["truth"] = truth.to_frame().set_index("channel")["shapley"]
frame.loc["(baseline)", "truth"] = truth.baseline
frame["truth, removal"] = truth.to_frame().set_index("channel")["removal"]
frame.round(1)

# %% [markdown]
# In the world `randomised` exposure is random. No channel does harm; the Affiliate has no effect.
# The truth above is Shapley values, which add up with the baseline, the conversions that come
# without any channel; and the conversions lost without each channel alone (`removal`). Intervals
# are at 90%.
#
# ## A buyer's journey ends when it succeeds
#
# Each dot is a user's first journey: how long it was observed, and its touchpoints.

# %%
timeline = journeys.timeline
first = np.unique(journeys.users, return_index=True)[1]
bought = journeys.conversions[first] > 0
days = journeys.end[first] - timeline.start
met = journeys.lengths[first]
shown = np.random.default_rng(0).permutation(len(first))[:6_000]
fig, (left, right) = plt.subplots(1, 2, gridspec_kw={"width_ratios": [3, 2]})
for group, colour, label in ((~bought, "#999999", "did not buy"), (bought, orange, "bought")):
    some = shown[group[shown]]
    jitter = np.random.default_rng(1).uniform(-0.4, 0.4, (2, len(some)))
    left.plot(days[some] + 3 * jitter[0], met[some] + jitter[1], ".", ms=2, color=colour)
    left.plot([], [], "o", color=colour, label=label)
left.set_xlabel("days until the journey ends")
left.set_ylabel("touchpoints in it")
left.legend(frameon=False, loc="upper left")
left.set_title(f"Buyers met {met[bought].mean():.1f}, the others {met[~bought].mean():.1f}")
pace = [met[group].sum() / days[group].sum() for group in (~bought, bought)]
bars = right.barh(["did not buy", "bought"], pace, color=["#999999", orange])
right.bar_label(bars, fmt="{:.3f}", padding=3)
right.set_xticks([])
right.spines["bottom"].set_visible(False)
right.set_title("Touchpoints per day observed")
fig.tight_layout()
plt.show()

# %% [markdown]
# Buyers' journeys hold fewer touchpoints because they are shorter: they stop at the purchase. Per
# day observed, buyers met *more*. A table of counts does not have the days, so it cannot show this.
#
# ## A regression on counts
#
# The usual table: one row per journey, a column of counts per channel, bought or not. Then a
# logistic regression. `LogisticCounts` is that model, and it warns against its use.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    counted = mta.LogisticCounts().fit_attribute(journeys)
print(*(each.message for each in said))
place = np.arange(journeys.n_channels)
fig, ax = plt.subplots(figsize=(9, 3.4))
actual = [true[name] for name in journeys.channels]
ax.bar(place - 0.2, actual, 0.4, color="#444444", label="truth")
bars = ax.bar(place + 0.2, counted.credit, 0.4, color=orange, label="LogisticCounts")
ax.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
ax.axhline(0, color="#444444", linewidth=0.8)
ax.set_xticks(place, journeys.channels)
ax.set_ylabel("purchases credited")
ax.yaxis.set_major_formatter("{x:,.0f}")
ax.margins(y=0.12)
ax.legend(frameon=False, loc="lower right", ncols=2)
ax.set_title(
    f"It says that without ads {counted.baseline:,.0f} would have bought instead of "
    f"{counted.total:,.0f}; in truth {truth.baseline:,.0f}"
)
plt.show()

# %% [markdown]
# ## Person-time
#
# The remedy is old: do not ask who bought, ask *when*, among those at risk. Every user gives one
# row per day until the purchase, with the *adstock* of that day: each touchpoint counts 1 when it
# is fresh and half as much every four days.

# %%
n_days = int(np.ceil(timeline.end.max()))
owner = np.repeat(np.arange(timeline.n_users), np.diff(timeline.offsets))
met_on = np.zeros((timeline.n_users, n_days))
np.add.at(met_on, (owner, timeline.time.astype(int)), 1)
adstock = np.zeros_like(met_on)
for day in range(n_days):
    adstock[:, day] = met_on[:, day] + (adstock[:, day - 1] * 2 ** (-1 / 4) if day else 0)
last = np.where(bought, days, n_days).astype(int)
at_risk = np.arange(n_days) <= last[:, None]
buys_on = bought[:, None] & (np.arange(n_days) == last[:, None])
cuts = np.array([0, 0.001, 0.25, 0.5, 1, 1.5, 2, 3])
place = np.digitize(adstock, cuts) - 1
carried, exposed, sales = (
    np.bincount(place[at_risk], each[at_risk]) for each in (adstock, at_risk, buys_on)
)
fig, (left, right) = plt.subplots(1, 2)
steps = np.array([0, 3, 5, 7, 9, 11, 13, 16, 40])
group = np.digitize(met, steps) - 1
middle = np.bincount(group, met) / np.bincount(group)
part = np.bincount(group, bought) / np.bincount(group)
left.plot(middle, part, "o-", color="#999999")
left.yaxis.set_major_formatter("{x:.0%}")
left.set_xlabel("touchpoints in the journey")
left.set_ylim(bottom=0)
left.set_title("Users who buy, by count: it falls")
rate = 1_000 * sales / exposed
right.errorbar(
    carried / exposed, rate, 2_000 * np.sqrt(sales) / exposed, fmt="o-", color=blue, capsize=2
)
right.axhline(1_000 * world.base_rate, color="#444444", linestyle="--", linewidth=1)
right.text(3.2, 1_000 * world.base_rate, "true base rate", ha="right", va="bottom")
right.set_xlabel("adstock of the day")
right.set_ylim(bottom=0)
right.set_title("Purchases per 1,000 user-days: it rises")
fig.tight_layout()
plt.show()

# %% [markdown]
# These are the same users and touchpoints. Per day at risk the rate rises with the adstock, about
# in a straight line, from the rate of users without adstock. That line is the next model.
#
# ## Hazard: a baseline, an effect per channel, and how it fades
#
# `Hazard` assumes that a user's rate of buying is a baseline plus what each touchpoint adds, which
# halves every half-life. EM maximises its likelihood: it splits every purchase among the baseline
# and the touchpoints before it, and the likelihood never falls; Newton's method does the last
# steps. Half-lives are chosen by the largest likelihood: one for all channels, and a channel's own
# where that improves the likelihood enough.

# %%
hazard = mta.Hazard().fit(journeys)
grid = [1, 2, 3, 5, 8, 13, 21]
profile = np.array([mta.Hazard(half_life=each).fit(journeys).log_likelihood_ for each in grid])
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.6), gridspec_kw={"width_ratios": [3, 3, 4]})
short = hazard.log_likelihood_ - hazard.log_likelihood_path_
axes[0].semilogy(short[short > 1e-6], ".-", color=colour_of["Hazard"])
axes[0].set_xlabel("step")
axes[0].set_ylabel("log-likelihood still to gain")
axes[0].set_title(f"{hazard.n_iterations_} steps, never down")
axes[1].semilogx(grid, profile - profile.max(), "o-", color=colour_of["Hazard"])
axes[1].set_xticks(grid, grid)
axes[1].minorticks_off()
axes[1].set_xlabel("half-life of all channels, days")
axes[1].set_title("Log-likelihood below the best")
order = np.argsort(hazard.beta_)
names = [journeys.channels[row] for row in order]
effects = dict(zip(world.channels, 1_000 * world.effects, strict=True))
error = 2_000 * np.nan_to_num(hazard.standard_error_[order])
axes[2].errorbar(
    1_000 * hazard.beta_[order],
    names,
    xerr=error,
    fmt="o",
    color=colour_of["Hazard"],
    label="Hazard",
)
axes[2].plot([effects[name] for name in names], names, "x", color="black", label="truth")
axes[2].set_xlabel("purchases per 1,000 touchpoints")
axes[2].set_title("β, ± 2 standard errors")
axes[2].legend(frameon=False, loc="lower right")
fig.tight_layout()
plt.show()
print("half-lives:", dict(zip(journeys.channels, hazard.half_life_.tolist(), strict=True)))

# %% [markdown]
# ## Credit with intervals
#
# Credit is the Shapley value of "purchases by the end with only these channels' touchpoints"; the
# baseline is the purchases that needed no touchpoint. Bars are 95% bootstrap intervals: users are
# resampled and half-lives chosen again for each draw. They include chance in who was observed, not
# bias.

# %%
drawn = mta.bootstrap(hazard, journeys, n_draws=15 if fast else 100, random_state=0)
order = np.argsort(-drawn.credit, kind="stable")
fig, ax = plt.subplots()
mta.plot.intervals({"Hazard": drawn}, ax)
marks = [*(true[journeys.channels[row]] for row in order), truth.baseline]
ax.plot(marks, range(len(marks)), "kx", label="truth")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
held = mta.metrics.covered(drawn, truth)
ax.set_title(f"{held.sum()} of {len(held)} 95% intervals (sampling only) hold the truth")
plt.show()

# %% [markdown]
# ## Beside the rules
#
# The share error is the part of the credit that is on the wrong channels. The baseline of rules is
# the conversions without a touchpoint, which are few here. `Logistic` is explained below. Where
# exposure is random, as here, the three models of when users buy are about as good. `Incremental`
# compares buyers with themselves, which matters further down.

# %%
models = {
    "LastTouch": mta.LastTouch(),
    "Linear": mta.Linear(),
    "Markov": mta.Markov(),
    "Shapley": mta.Shapley(),
    "Hazard": hazard,
    "Logistic": mta.Logistic(),
    "Incremental": mta.Incremental(),
}
credited = {name: model.fit_attribute(journeys) for name, model in models.items()}
errors = [mta.metrics.total_variation(each, truth) for each in credited.values()]
baselines = [each.baseline for each in credited.values()]
colours = [colour_of[name] for name in models]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True)
left.bar_label(left.barh(list(models), errors, color=colours), fmt="{:.0%}", padding=3)
left.set_title("Share error")
labels = right.bar_label(
    right.barh(list(models), baselines, color=colours), fmt="{:,.0f}", padding=6
)
right.axvline(truth.baseline, color="black", linestyle="--", linewidth=1)
for label in labels:  # the line must not cross a number
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
right.set_xlim(right=1.25 * truth.baseline)
right.set_title(f"Baseline; the dashed line is the truth, {truth.baseline:,.0f}")
left.invert_yaxis()
for ax in (left, right):
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
fig.tight_layout()
plt.show()

# %% [markdown]
# ## Logistic: the same question, any learner
#
# `Logistic` fits a classifier to person-time: every purchase, with its user's adstock at that time,
# against sampled times of users at risk. It learns how effects saturate and combine instead of
# assuming that they add up, and it is scored on users who were held out. Calibration: sampled times
# in ten groups of rising predicted rate, each with the same number of predicted purchases.

# %%
learners = {
    "logistic regression": mta.Logistic(counterfactual="moment").fit(journeys),
    "boosted trees": mta.Logistic(
        learner=HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.05, max_leaf_nodes=8, random_state=0
        )
    ).fit(journeys),
}
n_sampled = max(20 * journeys.total, 20_000)
part = journeys.total / (journeys.total + n_sampled)
one_rate = -part * np.log(part) - (1 - part) * np.log(1 - part)
print(f"held-out log-loss of one rate for all: {one_rate:.4f}")
fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharex=True, sharey=True)
for ax, (name, model), colour in zip(
    axes, learners.items(), (colour_of["Logistic"], "#444444"), strict=True
):
    table = model.calibration_
    ax.axline((1, 1), slope=1, color="#BBBBBB", linewidth=1)
    error = 2_000 * np.sqrt(table.conversions) / table.person_days
    ax.errorbar(1_000 * table.predicted, 1_000 * table.observed, error, fmt="o", color=colour)
    ax.set_title(f"{name}: log-loss {model.log_loss_:.4f}, AUC {model.auc_:.2f}")
    ax.set_xlabel("predicted")
axes[0].set_xscale("log")
axes[0].set_yscale("log")
ticks = [0.5, 1, 2, 5]
axes[0].set_xticks(ticks, ticks)
axes[0].set_yticks(ticks, ticks)
axes[0].minorticks_off()
axes[0].set_ylabel("observed, per 1,000 user-days")
fig.tight_layout()
plt.show()

# %% [markdown]
# Most of the regression's points lie near the line; in the top group it predicts 4.9 and 3.8 ± 0.6
# are observed, since it multiplies effects that add up here. Trees fit no better; with fewer than
# 3,000 purchases a flexible learner also fits chance. And the log-loss is little below that of one
# rate for all: who buys on which day is mostly chance. It is still enough to credit channels.
#
# ## One purchase, explained
#
# SHAP values are each channel's addition to the fitted log rate at one purchase, compared with the
# same time without touchpoints. Converted to parts of the purchase, they have exactly the same sum
# as the credit with `counterfactual="moment"`. Parts of single channels differ: SHAP shares out the
# logarithm of the rate, credit shares out the rate itself.

# %%
model = learners["logistic regression"]
explained = model.explain(journeys)
size = journeys.lengths[explained.rows]
third = np.sort(explained.parts, axis=1)[:, -3]
one = int(np.argmax(np.where((size >= 5) & (size <= 9), third, -1)))
row = explained.rows[one]
span = slice(journeys.offsets[row], journeys.offsets[row + 1])
code, age = journeys.codes[span], journeys.end[row] - journeys.time[span]
credit = np.bincount(code, model.touchpoint_credit(journeys)[span], journeys.n_channels)
place = np.arange(journeys.n_channels)
fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
axes[0].plot(age, code, "o", color="#444444")
axes[0].axvline(0, color=orange)
axes[0].set_xlim(age.max() + 3, -3)
axes[0].set_xlabel("days before the purchase")
axes[0].set_title("Touchpoints")
axes[1].barh(place, explained.channel_values[one], 0.6, color=blue)
axes[1].set_xlabel("SHAP value, log rate")
log_ratio = explained.channel_values[one].sum()
axes[1].set_title(f"Rate {np.exp(log_ratio):.1f} times as high")
axes[2].barh(place - 0.2, explained.parts[one], 0.36, color=blue, label="SHAP")
axes[2].barh(place + 0.2, credit, 0.36, color="#56B4E9", label="credit")
axes[2].set_yticks(place, journeys.channels)
axes[2].set_xlabel("part of this purchase")
axes[2].set_title(f"Sums: {explained.parts[one].sum():.4f} and {credit.sum():.4f}")
axes[2].legend(frameon=False, fontsize=8)
fig.tight_layout()
plt.show()
gap = explained.parts.sum() - model.attribute(journeys).credit.sum()
print(f"over all {len(explained.rows):,} purchases the two sums differ by {abs(gap):.0e}")

# %% [markdown]
# ## Acceleration is not incrementality
#
# Two questions sound similar. *Moment*: what caused this purchase on this day? *Horizon*: how many
# purchases would be missing at the end? Where many would have bought later anyway, an ad that only
# makes them buy sooner gets credit by the first question and none by the second. In `organic` the
# base rate is high.

# %%
brand = mta.worlds.make("organic", n_users=n_users, strength=0.5, seed=1)
loyal = brand.simulate().journeys
brand_truth = brand.truth(users=truth_users)
asked = {
    counterfactual: mta.Hazard(counterfactual=counterfactual).fit_attribute(loyal)
    for counterfactual in ("moment", "horizon")
}
caused = {name: each.credit.sum() for name, each in asked.items()}
caused["truth"] = brand_truth.total - brand_truth.baseline
fig, ax = plt.subplots(figsize=(8, 2.2))
bars = ax.barh(list(caused), caused.values(), color=[colour_of["Hazard"]] * 2 + ["#444444"])
ax.bar_label(bars, fmt="{:,.0f}", padding=3)
ax.invert_yaxis()
ax.set_xticks([])
ax.spines["bottom"].set_visible(False)
ax.set_title(
    f"{loyal.total / n_users:.0%} of users buy. Credit to channels: by the moment "
    f"{caused['moment'] / caused['horizon'] - 1:.0%} more than over the horizon"
)
plt.show()

# %% [markdown]
# ## What Hazard cannot see
#
# So far exposure was random: users who met a channel were no more likely to buy anyway than others.
# In `intent` they are: users of high intent search more, are retargeted more, and buy more anyway.

# %%
targeted = mta.worlds.make("intent", n_users=n_users, strength=1.0, seed=1)
targeted_journeys = targeted.simulate().journeys
targeted_truth = targeted.truth(users=truth_users)
biased = mta.Hazard().fit_attribute(targeted_journeys)
answer = mta.Incremental().fit_attribute(targeted_journeys)
right = mta.metrics.total_variation(answer, targeted_truth)
wrong = mta.metrics.total_variation(biased, targeted_truth)
names = list(biased.channels)
actual = dict(zip(targeted_truth.channels, targeted_truth.shapley, strict=True))
fig, ax = plt.subplots()
place = np.arange(len(names) + 1)
in_truth = [*(actual[name] for name in names), targeted_truth.baseline]
ax.bar(place - 0.27, in_truth, 0.25, color="#444444", label="truth")
for i, (name, each) in enumerate({"Hazard": biased, "Incremental": answer}.items()):
    bars = [*each.credit, each.baseline]
    ax.bar(place + 0.27 * i, bars, 0.25, color=colour_of[name], label=name)
ax.set_xticks(place, [*names, "(baseline)"])
ax.set_ylabel("conversions")
ax.yaxis.set_major_formatter("{x:,.0f}")
ax.legend(frameon=False, loc="upper left")
ax.set_title(
    f"intent, share error: Hazard {wrong:.0%}, Incremental {right:.0%}; baseline "
    f"{biased.baseline:,.0f} and {answer.baseline:,.0f} instead of {targeted_truth.baseline:,.0f}"
)
plt.show()

# %% [markdown]
# No warning comes from the fit of `Hazard`. Here are forecasts in both worlds: models are fitted on
# the first two thirds of the log and predict who converts in the last third. `gain` is the held-out
# log-likelihood per conversion above one rate for everybody; `auc` is the chance that a buyer had a
# higher rate than another user on the same day; `ratio` is predicted over observed purchases.

# %%
forward = {
    "randomised": mta.validate_forward([mta.Hazard(), mta.Logistic()], journeys).to_frame(),
    "intent": mta.validate_forward([mta.Hazard(), mta.Logistic()], targeted_journeys).to_frame(),
}
error = {"randomised": mta.metrics.total_variation(credited["Hazard"], truth), "intent": wrong}
pd.concat(
    {
        f"{name} (share error {error[name]:.0%})": frame.set_index("model")[
            ["gain", "gain_error", "auc", "ratio"]
        ]
        for name, frame in forward.items()
    }
).round(2)

# %% [markdown]
# `Hazard` predicts far better in the world in which its credit is wrong. Intent predicts a purchase
# best, and the touchpoints that users of high intent meet show it to the model. A good forecast
# does not show a cause. The ratio is a hint (users of high intent have bought and left the risk
# set), but a rate without any channel has a wrong ratio too, and the ratio does not show which
# channel's credit is wrong.
#
# ## What to take home
#
# - Never regress purchases on counts of touchpoints: a purchase ends the counting.
# - Compare days, not people's totals: `Hazard` needs the days of all users who were observed,
#   buyers or not. It leaves organic sales in the baseline, which no rule here does.
# - Decide which question you ask: by the moment or over the horizon. Where few users buy, the
#   answers agree.
# - `Hazard` assumes that exposure is random. No forecast can show whether that holds. `Incremental`
#   compares people with themselves, so that stable intent cancels, and leaves out entrances on the
#   way to a purchase. Notebook 05 shows how, and uses experiments.
