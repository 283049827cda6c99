# %% [markdown]
# # Within-user attribution and lift tests
#
# Notebook 04 ended where a model of time is biased: users who would buy anyway see more ads. There
# are two remedies. Compare each buyer with themselves on other days; or switch a channel off for a
# random group of users, and give the result to the model. `Incremental`, the default model, does
# both. `SelfControlled` is the plain comparison within users, on which it is built. Both are shown
# in simulated worlds, whose truth is known, so the notebook also shows where they fail.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import mta_models as mta
from mta_models.reporting.styles import model_styles

fast = "MTA_FAST" in os.environ
n_users, truth_users = (3_000, 4_096) if fast else (40_000, 20_480)
plt.rcParams |= {"figure.figsize": (9, 3.8), "axes.titlelocation": "left", "axes.titlesize": 11}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
blue, orange = mta.plot.COLOURS[:2]
# A model has the same colour in every picture.
names = ("LastTouch", "Linear", "Hazard", "SelfControlled", "SelfControlled(intent=False)")
names = (*names, "Incremental")
colour_of = {name: style["color"] for name, style in model_styles(names).items()}
grey, dark = "#999999", "#444444"
targeted = mta.worlds.make("intent", n_users=n_users, strength=1.0, seed=1)
tested = ("Affiliate", "Search")
simulated = targeted.simulate(lift_tests=tested)
journeys, truth = simulated.journeys, targeted.truth(users=truth_users)
print(journeys)

# %% [markdown]
# In `intent` every user has an intent that stays. It multiplies how often they buy *and* how often
# Search, Retargeting and the Affiliate meet them. The Affiliate has no effect. The answer first,
# with 90% intervals, beside the truth:

# %%
answer = mta.Incremental().fit_attribute(journeys)
frame = answer.to_frame(prob=0.9).drop(columns="share").round()
true = dict(zip(truth.channels, truth.shapley, strict=True))
frame["truth"] = [round(true.get(name, truth.baseline)) for name in frame["channel"]]
frame
#
# ## The idea: a buyer's other days
#
# One buyer, and all their touchpoints. A user of twice the intent has it on every day, so intent
# cannot explain why they bought on *this* day and not on another. The adstock of the day can (each
# touchpoint counts 1 when fresh and half as much every four days). Days after the purchase are as
# good for comparison as days before it.

# %%
line = journeys.timeline
buys = np.flatnonzero(journeys.conversions > 0)
n_seen = np.diff(line.offsets)[journeys.users[buys]]
fits = (n_seen >= 12) & (n_seen <= 16) & (np.abs(journeys.end[buys] - 50) < 8)
owner = np.repeat(np.arange(journeys.n_journeys), journeys.lengths)
fresh = np.bincount(owner, journeys.end[owner] - journeys.time < 5, journeys.n_journeys)
row = buys[np.argmax(fits * fresh[buys])]
user, moment = journeys.users[row], journeys.end[row]
span = slice(line.offsets[user], line.offsets[user + 1])
time, code = line.time[span], line.codes[span]
day = np.arange(int(line.start[user]), int(line.end[user]))
age = day[:, None] + 1 - time
carried = np.where(age >= 0, 2.0 ** (-age / 4), 0).sum(axis=1)
fig, (top, bottom) = plt.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
top.plot(time, code, "o", color=dark)
top.set_yticks(range(journeys.n_channels), journeys.channels)
top.axvline(moment, color=orange)
top.set_title("One buyer: touchpoints, and the purchase (orange)")
colours = np.where(day == int(moment), orange, "#BBBBBB")
bottom.bar(day + 0.5, carried, color=colours, width=0.9)
bottom.set_xlabel("day")
bottom.set_ylabel("adstock")
here = carried[day == int(moment)][0]
bottom.set_title(
    f"Adstock on the day of the purchase: {here:.2f}; on a usual day of the same person: "
    f"{carried.mean():.2f}"
)
fig.tight_layout()
plt.show()

# %% [markdown]
# `SelfControlled` adds this up over all buyers: effects and half-lives are those with the largest
# conditional likelihood of the days of purchase, given each buyer's own days. Intent that stays
# cancels. Users who never bought are not needed.

# %%
models = {
    "LastTouch": mta.LastTouch(),
    "Linear": mta.Linear(),
    "Hazard": mta.Hazard(),
    "SelfControlled": mta.SelfControlled(),
}
credited = {name: model.fit_attribute(journeys) for name, model in models.items()}
credited["Incremental"] = answer
within = models["SelfControlled"]
print("half-lives:", dict(zip(journeys.channels, within.half_life_.tolist(), strict=True)))
names = [*journeys.channels, "(baseline)"]
in_truth = [*(true[name] for name in journeys.channels), truth.baseline]
place = np.arange(len(names))
fig, ax = plt.subplots()
ax.bar(place - 0.3, in_truth, 0.19, color=dark, label="truth")
for i, name in enumerate(("Hazard", "SelfControlled", "Incremental")):
    given = [*credited[name].credit, credited[name].baseline]
    ax.bar(place - 0.1 + 0.2 * i, given, 0.19, color=colour_of[name], label=name)
ax.set_xticks(place, names)
ax.set_ylabel("conversions")
ax.yaxis.set_major_formatter("{x:,.0f}")
ax.legend(frameon=False, loc="upper left")
error = {name: mta.metrics.total_variation(each, truth) for name, each in credited.items()}
ax.set_title(
    "intent, share error: " + ", ".join(f"{name} {each:.0%}" for name, each in error.items())
)
plt.show()

# %% [markdown]
# ## Intent that moves
#
# Intent does not only differ between people. It comes and goes. In `bursts` people want to buy for
# some days, and on the same days targeted ads reach them. Then a buyer's other days are no fair
# comparison either.
#
# But it can be detected. An ad can cause a purchase only if it came *before*. A burst raises
# touchpoints before *and after*. Below: touchpoints of buyers by day around the purchase, relative
# to what the same buyers meet on a usual day.

# %%
seeds = (1,) if fast else (1, 2, 3)
moving = [mta.worlds.make("bursts", n_users=n_users, strength=0.5, seed=seed) for seed in seeds]
logs = [world.simulate().journeys for world in moving]
burst_journeys, burst_truth = logs[0], moving[0].truth(users=truth_users)
fig, ax = plt.subplots(figsize=(9, 3.4))
for label, each, colour in (
    ("intent that stays (intent)", journeys, blue),
    ("intent that moves (bursts)", burst_journeys, orange),
):
    line, buys = each.timeline, np.flatnonzero(each.conversions > 0)
    when = np.full(line.n_users, np.nan)
    when[each.users[buys]] = each.end[buys]
    owner = np.repeat(np.arange(line.n_users), np.diff(line.offsets))
    away = np.floor(line.time) - np.floor(when[owner])
    days = np.arange(-20, 21)
    met = np.array([(away == day).sum() for day in days])
    # What the same buyers meet on a usual day; not everybody's log holds a day so far away.
    there = np.floor(when[:, None]) + days
    there = (there >= 0) & (there < np.floor(line.end.max()))
    usual = (np.diff(line.offsets) / line.end.max()) @ there
    ax.plot(days, met / usual, ".-", color=colour, label=label)
ax.axvline(0, color="#BBBBBB", linewidth=1, zorder=0)
ax.axhline(1, color="#BBBBBB", linewidth=1, zorder=0)
ax.set_ylim(bottom=0)
ax.set_xlabel("days from the purchase")
ax.set_ylabel("touchpoints, times the usual")
ax.legend(frameon=False, loc="upper left")
ax.set_title("Touchpoints after a purchase cannot have caused it")
plt.show()

# %% [markdown]
# ## The lead test
#
# `SelfControlled` tests this: given the fit, do touchpoints of the next seven days predict whether
# a day is the day of purchase? They must not. Where they do, it adds intent that moves, estimated
# from touchpoints on both sides of a day, and tests again. Left: without that correction. Right:
# the default.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    alone = mta.SelfControlled(intent=False).fit(burst_journeys)
    corrected = mta.SelfControlled().fit(burst_journeys)
print(*(each.message for each in said), sep="\n")
print(f"moving intent in the model: {corrected.moving_intent_.kept}")
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, sharex=True)
for ax, model, label in zip(axes, (alone, corrected), ("without", "with"), strict=True):
    test = model.lead_test_
    ax.axvspan(-2, 2, color="#EEEEEE", zorder=0)
    ax.barh(burst_journeys.channels, test.z, color=[orange if z > 2 else grey for z in test.z])
    ax.set_xlabel("z of the next seven days' touchpoints")
    ax.set_title(f"{label} the correction: p = {test.p_value:.1g}")
fig.tight_layout()
plt.show()

# %% [markdown]
# The test rejects for the channels that follow the bursts and not for Display, which does not.
# With the correction it does not reject, which does not prove that no bias is left: it has
# limited power, and it cannot detect causes that raise intent and later exposure but not earlier
# exposure. Three logs of this world (a mark each), beside other models:

# %%
asked = {
    "LastTouch": mta.LastTouch(),
    "Linear": mta.Linear(),
    "Hazard": mta.Hazard(),
    "SelfControlled(intent=False)": mta.SelfControlled(intent=False),
    "SelfControlled": mta.SelfControlled(),
    "Incremental": mta.Incremental(),
}
results = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the failing lead tests, shown above
    for name, model in asked.items():
        results[name] = [model.fit_attribute(each) for each in logs]
fig, axes = plt.subplots(1, 3, figsize=(10, 2.8), sharey=True)
affiliate = burst_journeys.channels.index("Affiliate")
for i, (name, credits) in enumerate(results.items()):
    look = {"color": colour_of[name], "marker": "o", "linestyle": ""}
    at = [i] * len(credits)
    axes[0].plot([mta.metrics.total_variation(each, burst_truth) for each in credits], at, **look)
    axes[1].plot([each.credit[affiliate] for each in credits], at, **look)
    axes[2].plot([each.baseline for each in credits], at, **look)
for ax, title, at in zip(
    axes,
    ("share error", "credit of the Affiliate", "baseline"),
    (0, 0, burst_truth.baseline),
    strict=True,
):
    ax.axvline(at, color="black", linestyle="--", linewidth=1)
    ax.set_title(title)
axes[0].xaxis.set_major_formatter("{x:.0%}")
for ax in axes[1:]:
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("conversions")
axes[0].set_yticks(range(len(results)), list(results))
axes[0].invert_yaxis()
fig.suptitle("bursts (dashed: truth)", x=0.01, ha="left", fontsize=11)
fig.tight_layout()
plt.show()

# %% [markdown]
# ## Intervals
#
# `Incremental` has draws without `bootstrap`: of effects, cut off at 0, of half-lives, and of how
# far models were off beyond chance where the truth is known. `interval(holds="sampling")` leaves
# the last out. A bootstrap of `SelfControlled` holds chance only: on twelve other logs of `intent`
# at strength ½ its 95% intervals held the truth in 92%, and in 75% for the channel without effect.

# %%
drawn = {"intent": answer, "bursts": results["Incremental"][0]}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.4))
for ax, (name, each), about in zip(axes, drawn.items(), (truth, burst_truth), strict=True):
    mta.plot.intervals(each, ax)
    caused = dict(zip(about.channels, about.shapley, strict=True))
    order = np.argsort(-each.credit, kind="stable")
    marks = [*(caused[each.channels[row]] for row in order), about.baseline]
    ax.plot(marks, range(len(marks)), "kx")
    held = mta.metrics.covered(each, about)
    ax.set_title(f"{name}: {held.sum()} of {len(held)} 95% intervals hold the truth (x)")
fig.tight_layout()
plt.show()

# %% [markdown]
# ## Where the plain comparison loses, and what the answer adds
#
# In `null_channel` people who have already decided to buy fetch a coupon from the Affiliate first.
# The coupon comes before the purchase, on the same day, and a purchase always follows. In logs this
# is the rule: people come to buy through Direct, brand search, a coupon site. `Incremental` takes
# such channels for *entrances*, by their names, and leaves out their touchpoints within 12 hours
# before a purchase. `bought=["Affiliate"]` forbids it.

# %%
coupons = mta.worlds.make("null_channel", n_users=n_users // 2, strength=0.5, seed=1)
coupon_journeys, coupon_truth = coupons.simulate().journeys, coupons.truth(users=truth_users)
misled = mta.SelfControlled().fit(coupon_journeys)
biased = {
    "Linear": mta.Linear().fit_attribute(coupon_journeys),
    "Hazard": mta.Hazard().fit_attribute(coupon_journeys),
    "SelfControlled": misled.attribute(coupon_journeys),
    "Incremental": mta.Incremental().fit_attribute(coupon_journeys),
}
forbidden = mta.Incremental(bought=["Affiliate"]).fit_attribute(coupon_journeys)
caused = dict(zip(coupon_truth.channels, coupon_truth.shapley, strict=True))
fig, ax = plt.subplots()
marks = [*(caused[name] for name in coupon_journeys.channels), coupon_truth.baseline]
ax.bar(place - 0.36, marks, 0.17, color=dark, label="truth")
for i, (name, each) in enumerate(biased.items()):
    off = mta.metrics.total_variation(each, coupon_truth)
    ax.bar(
        place - 0.18 + 0.18 * i,
        [*each.credit, each.baseline],
        0.17,
        color=colour_of[name],
        label=f"{name}: share error {off:.0%}",
    )
ax.set_xticks(place, [*coupon_journeys.channels, "(baseline)"])
ax.set_ylabel("conversions")
ax.yaxis.set_major_formatter("{x:,.0f}")
ax.legend(frameon=False, loc="upper center")
ax.set_title(
    f"null_channel: the lead test does not detect it (p = {misled.lead_test_.p_value:.2f})"
)
plt.show()
error = mta.metrics.total_variation(forbidden, coupon_truth)
print(f'Incremental(bought=["Affiliate"]): share error {error:.0%}')

# %% [markdown]
# Three models are wrong, and the one that compares single days has the largest error: the lead test
# looks at touchpoints *after* the purchase and cannot detect bias from the last step before it. The
# answer is right because of a name, and as wrong as the others where the name is not believed. The
# log cannot show which holds: a coupon that sells looks like one that is fetched. So `readings_`
# has the answer either way, `verdict_` says what each channel's number rests on, and an experiment
# tells.
#
# ## Lift tests
#
# A lift test withholds a channel from a random half of its users, and measures the conversions lost
# (`removal`), with a standard error. In `visits_closing_coupon` the coupon does sell: half of those
# who find none do not buy. One test of the Coupon Site:

# %%
coupon_world = mta.worlds.make(
    "visits_closing_coupon", n_users=2_000 if fast else 10_000, draw=2, seed=100
)
with_test = coupon_world.simulate(lift_tests=("Coupon Site",))
closing, closing_truth = with_test.journeys, coupon_world.truth(users=4_096 if fast else 10_240)
(test,) = with_test.lift_tests
print(f"lift of the Coupon Site: {test.lift:.0f} ± {test.standard_error:.0f} conversions")
untested = mta.Incremental()
answers = {
    "no test": untested.fit_attribute(closing),
    "Coupon Site tested": mta.Incremental([test]).fit_attribute(closing),
}
fig, ax = plt.subplots(figsize=(9, 5))
mta.plot.intervals(answers, ax, prob=0.9)
order = np.argsort(-answers["no test"].credit, kind="stable")
caused = dict(zip(closing_truth.channels, closing_truth.shapley, strict=True))
marks = [*(caused[closing.channels[row]] for row in order), closing_truth.baseline]
ax.plot(marks, range(len(marks)), "kx", label="truth")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), title="90% intervals")
off = {name: mta.metrics.total_variation(each, closing_truth) for name, each in answers.items()}
ax.set_title("Share error: " + ", ".join(f"{name} {each:.0%}" for name, each in off.items()))
plt.show()
verdict = {each.channel: each for each in untested.verdict_}["Coupon Site"]
print(f"without a test: {verdict.status}. {verdict.assumption}")
print(f"{verdict.credit:.0f}; if that is false, {verdict.other_reading:.0f}")

# %% [markdown]
# The test meets the removal that the model implies, of the people tested. What the tested channels
# show about bias moves the others too. `BayesianHazard` takes tests as well. It is a hazard that is
# the same for all users, so it has to learn all bias of intent from the tests. Here are both, in
# `intent`, where the log alone already gives `Incremental` the answer:

# %%
tests = {test.channel: test for test in simulated.lift_tests}
removal = dict(zip(truth.channels, truth.removal, strict=True))
given = [tests[channel] for channel in ("Affiliate", "Search")]
both = {
    "no test": mta.Incremental(),
    "both tested": mta.Incremental(given),
    "both tested, BayesianHazard": mta.BayesianHazard(
        given, random_state=1, n_draws=100 if fast else 400
    ),
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what BayesianHazard's tests meet, and few draws
    summary = [(name, model.fit_attribute(journeys)) for name, model in both.items()]
print({test.channel: f"{test.lift:.0f} ± {test.standard_error:.0f}" for test in given})
print({test.channel: f"truth {removal[test.channel]:.0f}" for test in given})
pl.DataFrame(
    {
        "Affiliate and Search": [name for name, _ in summary],
        "share error": [round(mta.metrics.total_variation(each, truth), 3) for _, each in summary],
        "of 90% intervals hold": [mta.metrics.coverage(each, truth, 0.9) for _, each in summary],
        "mean width, of all": [
            round(mta.metrics.width(each, truth, 0.9), 3) for _, each in summary
        ],
        "baseline": [round(each.baseline) for _, each in summary],
        "true baseline": round(truth.baseline),
    }
)

# %% [markdown]
# Both tests came out high by chance. Biases are taken to have a part in common, so the tests raise
# all channels: shares hardly change, and the baseline falls by a quarter of all conversions. Its
# interval still holds the truth. Rough tests of channels that the log identifies add noise. Test
# the channel whose number the verdict says rests on an assumption, and those with the largest
# spend; `mta.diagnose(journeys)` names one to begin with.
#
# ## What to take home
#
# - Begin with `Incremental`. Read which channels it takes as entrances, and correct it.
# - Read `verdict_` and `readings_`: touchpoints between decision and purchase (coupons, brand
#   search) may sell or only be met on the way, and no log shows which. Test them.
# - The comparison within users needs days after the purchase, and intent that stays or shows before
#   and after. `SelfControlled(...).lead_test_` tests the second. If it rejects even with the
#   correction, its credit is biased. If it does not reject, that is no proof: it can miss intent
#   that moves, above all in small logs, and an event that leads to both an ad and a purchase.
# - With lift tests the credit of channels that were not tested changes too.
