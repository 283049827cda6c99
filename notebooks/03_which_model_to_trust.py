# %% [markdown]
# # Which model to trust, and where
#
# On a real log nobody knows the truth, so nobody can say which model is right. In a simulated world
# every channel can be switched off and the world run again. This notebook reads the committed rows
# of that benchmark (`benchmarks/results`, made by `python -m benchmarks.truth.run`) aloud.
#
# The truth here is interventional: a channel's Shapley value of "expected conversions with only
# these channels running", and the **baseline**, what would have come with all of them off.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import mta_models as mta

fast = "MTA_FAST" in os.environ
plt.rcParams |= {"figure.figsize": (9, 3.8), "axes.titlelocation": "left", "axes.titlesize": 11}
main = pl.read_csv("../benchmarks/results/main.csv", infer_schema_length=None)
main = main.with_columns(
    model=pl.col("model").str.replace("characteristic_function=", "").str.replace_all("'", "")
)
print(
    f"{main.height:,} rows: {main['world'].n_unique()} worlds, "
    f"up to {main['seed'].n_unique()} logs each"
)
main.filter(pl.col("error").is_not_null()).group_by("model", "error").agg(pl.col("world").unique())

# %% [markdown]
# The rows above are the models that refused a world, with the reason. A refusal is a result: a
# Shapley value over 30 channels has a billion coalitions, and who is compared with themselves on
# other days must have been observed on them.
#
# ## A world, its log and its truth
#
# `intent` is the confounder of this field: keen people see more targeted ads *and* buy more.

# %%
world = mta.worlds.make("intent", n_users=2_000 if fast else 10_000, strength=1.0, seed=1)
simulation = world.simulate()
truth = simulation.truth
linear = mta.Linear().fit_attribute(simulation.journeys)
place = np.arange(len(truth.channels) + 1)
names = [*truth.channels, "(baseline)"]
fig, ax = plt.subplots()
ax.bar(place - 0.2, [*truth.shapley, truth.baseline], 0.4, color="#444444", label="truth")
credited = dict(zip(linear.channels, linear.credit, strict=True))
given = [credited.get(channel, 0.0) for channel in truth.channels]
ax.bar(place + 0.2, [*given, linear.baseline], 0.4, color="#0072B2", label="Linear")
ax.set_xticks(place, names)
ax.set_ylabel("conversions")
ax.set_title(
    f"intent: {truth.baseline / truth.total:.0%} of conversions would come anyway; "
    f"Linear leaves {linear.baseline / linear.total:.0%}"
)
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## Share of credit on the wrong channels
#
# Total variation between credited and true shares: 0 is right, 1 is all of it on the wrong
# channels. `Uniform` (equal credit to every channel) knows nothing: a model that does worse than
# that is worse than not looking.

# %%
order = (
    main.filter(pl.col("model") != "Oracle")
    .group_by("model")
    .agg(pl.col("total_variation").mean())
    .sort("total_variation")["model"]
    .to_list()
)
cells = main.group_by("world", "model").agg(pl.col("total_variation").mean())
grid = cells.pivot(on="model", index="world", values="total_variation").select("world", *order)
grid = grid.with_columns(mean=pl.mean_horizontal(pl.col(pl.Float64))).sort("mean").drop("mean")
values = grid.drop("world").to_numpy().astype(float)
fig, ax = plt.subplots(figsize=(10, 8.5))
ax.imshow(values, cmap="YlOrRd", vmin=0, vmax=0.6, aspect="auto")
for (row, column), error in np.ndenumerate(values):
    colour = "white" if error > 0.4 else "black"
    text = f"{error:.0%}" if np.isfinite(error) else "refused"
    ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
ax.set_xticks(range(len(order)), order, rotation=40, ha="right")
ax.set_yticks(range(grid.height), grid["world"])
ax.set_title("Share of credit on the wrong channels, mean over logs")
plt.show()

# %% [markdown]
# Read it by rows: no model is best everywhere. Read it by columns: rules, Markov chains and Shapley
# values rarely beat `Uniform`; the models of *when* users convert (`Hazard`, `Logistic`,
# `SelfControlled`, notebooks 04 and 05) do nearly everywhere, and fail where a channel is met on
# the way to a purchase already decided (`null_channel`), unless told to count touchpoints only
# after a `lag`. Three things to know first. The channels of these worlds do not differ wildly, so
# equal shares are a strong guess here; with channels a hundredfold apart (`rare`) they are the
# worst. In `micro_intent` no channel does anything, so any credit is all wrong. And Shapley of
# rates compares those who met few channels with those who met many: converters' journeys stop, the
# others' go on, so exposure looks harmful and its credits are negative.

# %%
uniform = cells.filter(pl.col("model") == "Uniform").select("world", uniform="total_variation")
beats = (
    cells.join(uniform, on="world")
    .filter(~pl.col("model").is_in(["Uniform", "Oracle", "ExposureShare"]))
    .drop_nulls()
    .group_by("model")
    .agg(
        better=(pl.col("total_variation") < pl.col("uniform")).sum(),
        worlds=pl.len(),
    )
    .sort("better")
)
fig, ax = plt.subplots(figsize=(8, 4))
bars = ax.barh(beats["model"], beats["better"], color="#0072B2")
ax.bar_label(
    bars, [f"{b} of {n}" for b, n in beats.select("better", "worlds").iter_rows()], padding=3
)
ax.set_title("Worlds in which a model's shares are nearer the truth than equal shares")
ax.set_xticks([])
ax.spines[["top", "right", "bottom"]].set_visible(False)
plt.show()

# %% [markdown]
# ## The baseline: rules give organic sales to ads
#
# The baseline of rules, Markov chains and Shapley values is the conversions without a touchpoint.
# It is far below the sales that would have come anyway, and the difference is credited to channels.
# A hazard estimates it, and is fooled where intent drives exposure; comparing users with themselves
# helps there.

# %%
each = main.group_by("world", "model").agg(
    true=pl.col("true_baseline_share").mean(), error=pl.col("baseline_error").mean()
)
rows = each.filter(model="Linear").sort("true")
place = np.arange(rows.height)
fig, ax = plt.subplots(figsize=(9, 6))
left = rows["true"] + rows["error"]
ax.hlines(place, left, rows["true"], color="#BBBBBB", zorder=0)
ax.plot(rows["true"], place, "o", color="#444444", label="would have come anyway")
ax.plot(left, place, "s", color="#D55E00", label="left to the baseline by every rule and Markov")
for model, mark, colour in (("Hazard", "^", "#0072B2"), ("SelfControlled", "x", "#009E73")):
    own = rows.select("world").join(each.filter(model=model), on="world", how="left")
    ax.plot(own["true"] + own["error"], place, mark, color=colour, label=f"by {model}")
ax.set_yticks(place, rows["world"])
ax.xaxis.set_major_formatter("{x:.0%}")
ax.set_xlabel("of all conversions")
ax.set_title("No rule knows the baseline; models of when users convert estimate it")
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What it costs
#
# Budget regret: move the budget by a model's credit, under one fixed policy, and run the world
# again. It is the conversions lost against moving it by the truth, as a part of all conversions.

# %%
regret = (
    main.filter(~pl.col("model").is_in(["Oracle"]))
    .group_by("model")
    .agg(pl.col("budget_regret").mean(), pl.col("total_variation").mean())
    .drop_nulls()
    .sort("budget_regret", descending=True)
)
fig, ax = plt.subplots(figsize=(8, 4.6))
bars = ax.barh(regret["model"], regret["budget_regret"], color="#0072B2")
wrong = [f"{error:.0%} of credit wrong" for error in regret["total_variation"]]
ax.bar_label(bars, wrong, padding=4, fontsize=8)
ax.xaxis.set_major_formatter("{x:.0%}")
ax.set_xlim(0, 0.2)
ax.set_xlabel("conversions lost by following it, mean over worlds")
ax.set_title("What it costs to move a budget by each model")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## The dial: more of what misleads
#
# In `null_channel` (a busy channel that comes late and does nothing) and in `everything` last touch
# gets worse as the dial turns. Elsewhere the lines are nearly flat, or fall: these models are wrong
# already where nothing misleads, because they give the baseline away.

# %%
strength = pl.read_csv("../benchmarks/results/strength.csv", infer_schema_length=None)
strength = strength.with_columns(
    model=pl.col("model").str.replace("characteristic_function=", "").str.replace_all("'", "")
)
lines = strength.group_by("world", "model", "strength").agg(pl.col("total_variation").mean())
worlds = sorted(strength["world"].unique())
fig, axes = plt.subplots(2, 3, figsize=(10, 5.4), sharex=True, sharey=True)
shown = [
    name for name in strength["model"].unique().sort() if name not in ("Oracle", "ExposureShare")
]
colours = dict(zip(shown, plt.get_cmap("tab10").colors, strict=False))
for ax, name in zip(axes.flat, worlds, strict=False):
    for model in shown:
        line = lines.filter(world=name, model=model).sort("strength")
        ax.plot(line["strength"], line["total_variation"], ".-", color=colours[model], label=model)
    ax.set_title(name)
    ax.spines[["top", "right"]].set_visible(False)
axes.flat[0].set_ylabel("wrong share")
fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False)
fig.tight_layout(rect=(0, 0.12, 1, 1))
plt.show()

# %% [markdown]
# ## More data does not help
#
# A bias is not a variance: with fifty times the users the error of these stays, only more surely.

# %%
size = pl.read_csv("../benchmarks/results/size.csv", infer_schema_length=None)
size = size.with_columns(
    model=pl.col("model").str.replace("characteristic_function=", "").str.replace_all("'", "")
)
lines = size.group_by("world", "model", "n_users").agg(pl.col("total_variation").mean())
worlds = sorted(size["world"].unique())
fig, axes = plt.subplots(1, len(worlds), figsize=(10, 3.6), sharey=True)
for ax, name in zip(axes, worlds, strict=True):
    for model in shown:
        line = lines.filter(world=name, model=model).sort("n_users")
        ax.semilogx(
            line["n_users"], line["total_variation"], ".-", color=colours[model], label=model
        )
    ax.set_title(name)
    ax.set_xlabel("users")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("wrong share")
fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=3, frameon=False)
fig.tight_layout(rect=(0, 0.2, 1, 1))
plt.show()

# %% [markdown]
# ## Intervals that are sure of the wrong thing
#
# A bootstrap interval says how far chance moves a model. Against the truth, a 95% interval of a
# biased model holds it far less often than 95%, and ever less with more data. The mean here is over
# worlds that mislead and worlds that do not.

# %%
intervals = pl.read_csv("../benchmarks/results/intervals.csv", infer_schema_length=None)
held = intervals.drop_nulls("coverage_95").with_columns(
    model=pl.col("model").str.replace("characteristic_function=", "").str.replace_all("'", "")
)
held = held.filter(~pl.col("model").is_in(["Uniform", "ExposureShare", "Oracle"]))
held = held.group_by("model", "n_users").agg(pl.col("coverage_95").mean()).sort("model", "n_users")
fig, ax = plt.subplots(figsize=(8, 3.8))
sizes = sorted(held["n_users"].unique())
models = held["model"].unique().sort().to_list()
for i, n in enumerate(sizes):
    part = held.filter(n_users=n).sort("model")
    at = [models.index(model) + 0.35 * (i - 0.5) for model in part["model"]]
    bars = ax.barh(
        at, part["coverage_95"], 0.33, color=["#56B4E9", "#0072B2"][i], label=f"{n:,} users"
    )
    ax.bar_label(bars, fmt="{:.0%}", padding=3, fontsize=8)
ax.axvline(0.95, color="#444444", linestyle="--", linewidth=1)
ax.set_yticks(range(len(models)), models, fontsize=8)
ax.xaxis.set_major_formatter("{x:.0%}")
ax.set_title("How often a 95% interval holds the true effect")
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# ## What to take home
#
# - No rule, Markov chain or Shapley value here is incremental. Use them to book conversions
#   consistently, not to decide what would be lost.
# - With an event log and some hundreds of conversions, look at `Hazard` and `SelfControlled`, each
#   also with a `lag`, and at what `diagnose` and the lead test say. Where they part, an experiment
#   pays.
# - Look for the world most like yours in the heat map, and read its row; report the baseline as
#   "at least", since it is what no channel touched.
# - Believe no interval of a rule as an interval of an effect.
# - The benchmark cannot tell which of these worlds is yours. A randomised holdout can: every world
#   offers one (`world.simulate(lift_tests=...)`), and so does your ad platform.
