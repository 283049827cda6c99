"""Worlds whose log lacks a channel, or splits or groups users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mta_models.core.ragged import Floats, Mask, Numbers
from mta_models.worlds import state
from mta_models.worlds.state import Noise, State
from mta_models.worlds.world import World

if TYPE_CHECKING:
    import polars as pl


class CookieLoss(World):
    """Identities split: a user whose cookie is deleted is another user from then on.

        each day, with chance 0.04 · strength, u's later events are logged as a new user's

    The world is `randomised`; only the log differs. `observed` has one row per identity with an
    event, and one for each user without any; a tracker cannot know when an identity ended, so all
    are observed throughout. There are then more users than `n_users`.

    **Strength** dials the losses.

    **Who wins.** Short effects survive, long ones are cut off. First touch and long memories lose
    most; baselines grow, since conversions lose the touchpoints that caused them.
    """

    name = "cookie_loss"

    def track(self, events: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """New ids after each loss."""
        import polars as pl

        from mta_models.worlds.simulation import START

        events, users = super().track(events, users)
        keep = 1 - 0.04 * self.dial
        lost = np.vstack(
            [
                Noise((state.SIMULATED, self.seed, day)).on("cookie").random(len(users)) >= keep
                for day in range(self.days)
            ]
        )
        # Identity 0 is the user's first; the others are numbered through after all first ones.
        identity = np.cumsum(lost, axis=0, dtype=np.int16)
        more = np.concatenate(([0], np.cumsum(identity[-1], dtype=np.int64)))[:-1] + len(users) - 1
        user = events["user"].to_numpy()
        day = (events["time"] - START).dt.total_days().to_numpy()
        epoch = identity[day, user]
        renamed = pl.Series("user", np.where(epoch > 0, more[user] + epoch, user))
        silent = users.filter(~pl.col("user").is_in(events["user"].unique().implode()))
        known = users.with_columns(pl.col("user").alias("person"))
        seen = pl.DataFrame({"user": renamed, "person": user}).unique(maintain_order=True)
        seen = seen.join(known.drop("user"), on="person", maintain_order="left").drop("person")
        observed = pl.concat([seen.select(users.columns), silent]).sort("user")
        return events.with_columns(renamed), observed


class WalledGarden(World):
    """One channel is not in the log: Social keeps its data to itself.

        effect_Social = 2 strength times as high; its touchpoints are never logged

    Its spend is known, and the truth has it: an attribution that lacks it credits it with 0.

    **Strength** dials how much is caused by the channel that is not logged.

    **Who wins.** Models with a baseline put there what Social causes, which is the best the log
    allows. Rules give it to the channels in the log. Only lift tests measure it.
    """

    name = "walled_garden"

    def tune(self) -> None:
        """The unlogged channel may cause much."""
        super().tune()
        self.effects[self.at("Social")] *= 2 * self.dial

    def track(self, events: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Without Social."""
        import polars as pl

        events, users = super().track(events, users)
        return events.filter(pl.col("channel").ne_missing("Social")), users


STAGES = ("lead", "opportunity", "won")


class B2B(World):
    """Accounts buy, not people: four people each, three stages, and a channel for every stage.

        A_act = Σ_{u in account a} a_uct
        an account that is in stage k moves on to k + 1 on day t with chance
        h_akt = start_k + Σ_c effect_c m_kc (1 − 2^(−1/H_c)) A_act

    m is 1 at strength 0; at strength 1 it is 3 in the channel's own stage and 0 in the others:
    Social and Display make leads, Retargeting and E-mail make opportunities of them, Search
    closes. A stage takes a day at least. The third is the conversion, once per account, logged with
    one of its people; `user` is a person, `account` the account, journeys are by account.
    `n_users` are people, filled up to whole accounts.

    **Strength** dials how specialised channels are.

    **Who wins.** Models of account journeys that know the stages. Early channels act long before
    the conversion, so that last touch credits only who closes; personal journeys lose the rest.
    """

    name = "b2b"
    group = 4
    unit = "account"
    starts = (0.006, 0.012, 0.012)
    own_stage = (2, 0, 0, 1, 1, 0)

    def tune(self) -> None:
        """Effects on stages, which are likelier than conversions."""
        super().tune()
        self.effects = np.array([0.05, 0.03, 0.01, 0.03, 0.025, 0.0])
        special = 3.0 * (np.arange(3)[:, None] == np.array(self.own_stage))
        stages = (1 - self.dial) + self.dial * special
        weight = stages * self.effects * (1 - np.exp2(-1 / self.half_lives))
        self.stage_weight = weight.astype(np.float32)

    def begin(self, now: State) -> None:
        """Every account is before its first stage."""
        super().begin(now)
        now.memory["chance"] = np.zeros((len(now.adstock), 3, now.n // self.group))
        now.memory["chance"][:, 0] = 1.0
        now.memory["stage"] = np.zeros(now.n // self.group, dtype=np.int64)

    def hazard(self, now: State) -> Numbers:
        """Of moving on from each stage, shape `(m, 3, n_accounts)`."""
        pressure = self.pressure(now)
        shape = (*pressure.shape[:2], -1, self.group)
        moves: Numbers = np.matmul(self.stage_weight, pressure.reshape(shape).sum(axis=3))
        return np.minimum(np.array(self.starts, dtype=np.float32)[:, None] + moves, 1)

    def expected_today(self, now: State) -> Floats:
        """The chances of the stages move on; what leaves the last one has converted."""
        moving: Floats = now.memory["chance"] * self.hazard(now)
        now.memory["chance"] -= moving
        now.memory["chance"][:, 1:] += moving[:, :-1]
        return moving[:, -1]

    def convert_today(self, now: State) -> Mask:
        """One of the people of each account that closes today."""
        stage, hazard = now.memory["stage"], self.hazard(now)[0]
        accounts = np.arange(len(stage))
        chance = np.where(stage < 3, hazard[np.minimum(stage, 2), accounts], 0)
        moves = now.uniform("conversion", len(stage)) < chance
        stage += moves
        won = moves & (stage == 3)
        buyer = (now.uniform("buyer", len(stage)) * self.group).astype(np.int64)
        converts = np.zeros(now.n, dtype=bool)
        converts[(accounts * self.group + buyer)[won]] = True
        now.converted[0] |= np.repeat(won, self.group)
        return converts

    def track(self, events: pl.DataFrame, users: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """With accounts."""
        import polars as pl

        events, users = super().track(events, users)
        account = (pl.col("user") // self.group).alias("account")
        accounts = users.select(account).unique(maintain_order=True)
        return events.with_columns(account), accounts
