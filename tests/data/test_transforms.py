"""Path transforms against list comprehensions, with whatever a touchpoint carries."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mta_models as mta
from mta_models.data.timeline import Timeline

Path = list[str]


def kept_by(step: Any, path: Path) -> list[int]:
    """Which places of one path a step keeps: the slow and obvious meaning of each transform."""
    name, *arguments = (step,) if isinstance(step, str) else step
    places = range(len(path))
    if name == "exposure":
        return [i for i in places if i == 0 or path[i] != path[i - 1]]
    if name in ("first", "frequency"):
        return [i for i in places if path[i] not in path[:i]]
    if name == "trim":
        return list(places)[-arguments[0] :]  # [-0:] is all, as it should be
    if name == "remove_if_not_all":
        return [i for i in places if path[i] not in arguments] or list(places)
    if name == "remove_if_last_and_not_all":
        rest = list(places)
        while rest and path[rest[-1]] in arguments:
            rest.pop()
        return rest or list(places)
    return list(places)


paths = st.lists(st.text("ABCD", max_size=7).map(list), min_size=1, max_size=6)
steps = st.sampled_from(
    [
        "exposure",
        "first",
        "unique",
        ("remove_if_not_all", "A"),
        ("remove_if_not_all", "A", "B"),
        ("remove_if_not_all", "absent"),
        ("remove_if_last_and_not_all", "A"),
        ("remove_if_last_and_not_all", "A", "B"),
        ("trim", 0),
        ("trim", 1),
        ("trim", 3),
    ]
)


def shown(journeys: mta.Journeys) -> list[str]:
    return [path.replace("|", "") for path in journeys.to_polars(separator="|")["path"]]


def apply(path: str, *steps: Any) -> str:
    return shown(mta.Journeys.from_paths([list(path)], [1]).transform(*steps))[0]


# Path, step, result: what the SQL packages show for `D A B B C D C C`, and for the trailing run
# of `A B A A`.
EXAMPLES: list[tuple[str, Any, str]] = [
    ("DABBCDCC", "exposure", "DABCDC"),
    ("DABBCDCC", "first", "DABC"),
    ("DABBCDCC", "unique", "DABBCDCC"),
    ("DABBCDCC", "frequency", "D(2)A(1)B(2)C(3)"),
    ("DABBCDCC", ("remove_if_not_all", "C"), "DABBD"),
    ("CC", ("remove_if_not_all", "C"), "CC"),
    ("ABAA", ("remove_if_last_and_not_all", "A"), "AB"),
    ("AA", ("remove_if_last_and_not_all", "A"), "AA"),
    ("DABBCDCC", ("trim", 3), "DCC"),
    ("DABBCDCC", ("trim", 0), "DABBCDCC"),
    ("DABBCDCC", ("trim", 99), "DABBCDCC"),
    ("", "exposure", ""),
]


@pytest.mark.parametrize(("path", "step", "result"), EXAMPLES)
def test_shown_examples(path: str, step: Any, result: str) -> None:
    assert apply(path, step) == result


@given(paths=paths, step=steps, data=st.data())
def test_every_transform_is_its_oracle(paths: list[Path], step: Any, data: st.DataObject) -> None:
    """Paths, ages, source rows and milestones; outcomes stay as they were."""
    sizes = [len(path) for path in paths]
    n, n_touchpoints = len(paths), sum(sizes)
    stage = [data.draw(st.integers(-1, size - 1)) for size in sizes]
    ages = [float(size - i) for size in sizes for i in range(size)]
    plain = mta.Journeys.from_paths(paths, range(n), range(n), channels=["D", "C", "B", "A"])
    journeys = mta.Journeys.from_arrays(
        plain.channels,
        plain.codes,
        plain.offsets,
        plain.conversions,
        plain.nulls,
        age=ages,
        keys=[f"row {i}" for i in range(n_touchpoints)],
        milestones={"lead": stage},
    )
    got = journeys.transform(step)
    kept = [kept_by(step, path) for path in paths]
    starts = np.cumsum([0, *sizes]).tolist()
    flat = [starts[row] + i for row, places in enumerate(kept) for i in places]
    assert got.channels == journeys.channels
    assert shown(got) == [
        "".join(path[i] for i in places) for path, places in zip(paths, kept, strict=True)
    ]
    assert got.age is not None
    assert got.keys is not None
    assert got.milestones is not None
    assert got.age.tolist() == [ages[i] for i in flat]
    assert got.keys.tolist() == [f"row {i}" for i in flat]
    # A milestone goes to the latest touchpoint kept at or before the one it was credited to.
    assert got.milestones["lead"].tolist() == [
        sum(i <= at for i in places) - 1 for places, at in zip(kept, stage, strict=True)
    ]
    assert got.conversions.tolist() == got.nulls.tolist() == list(range(n))
    assert not any(array.flags.writeable for array in (got.codes, got.offsets, got.age, got.keys))


@given(paths=paths)
def test_frequency_is_its_oracle(paths: list[Path]) -> None:
    journeys = mta.Journeys.from_paths(paths, [1] * len(paths)).transform("frequency")
    names = [[f"{name}({path.count(name)})" for name in dict.fromkeys(path)] for path in paths]
    assert shown(journeys) == ["".join(each) for each in names]
    met = {(path[0], path) for each in names for path in each}
    assert list(journeys.channels) == sorted(name for _, name in met)


@given(paths=paths, chain=st.lists(steps, max_size=4))
def test_steps_apply_left_to_right(paths: list[Path], chain: list[Any]) -> None:
    journeys = mta.Journeys.from_paths(paths, [1] * len(paths))
    for step in chain:
        paths = [[path[i] for i in kept_by(step, path)] for path in paths]
    assert shown(journeys.transform(*chain)) == ["".join(path) for path in paths]


@given(paths=paths)
def test_identities(paths: list[Path]) -> None:
    journeys = mta.Journeys.from_paths(paths, [1] * len(paths))
    once = journeys.transform("exposure")
    assert shown(once) == ["".join(name for name, _ in groupby(path)) for path in paths]
    assert shown(once.transform("exposure")) == shown(once)
    assert shown(journeys.transform("exposure", "first")) == shown(journeys.transform("first"))
    assert shown(journeys.transform()) == shown(journeys)


def test_many_channels_in_frequency_keep_their_counts() -> None:
    path = [name for i in range(12) for name in [f"c{i:02d}"] * (i + 1)]
    journeys = mta.Journeys.from_paths([path, ["c00"]], [1, 1]).transform("frequency")
    assert journeys.channels == tuple(f"c{i:02d}({i + 1})" for i in range(12))
    assert journeys.codes.tolist() == [*range(12), 0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("exposures", "one of exposure, first"),
        (("trim", -1), "whole number n >= 0"),
        (("trim", 1.5), "whole number n >= 0"),
        (("trim", True), "whole number n >= 0"),
        (("remove_if_not_all",), "must name channels to drop"),
        (("remove_if_last_and_not_all", 3), "must name channels to drop"),
    ],
)
def test_bad_steps_are_refused(step: Any, message: str) -> None:
    with pytest.raises(mta.ParameterError, match=message):
        apply("AB", step)


@pytest.mark.parametrize("step", ["trim", ("trim", 1, 2), ("first", "A"), (), ("exposure", 3)])
def test_a_wrong_number_of_arguments_is_refused(step: Any) -> None:
    with pytest.raises(mta.ParameterError, match="path transform"):
        apply("AB", step)


def test_a_transform_leaves_the_timeline_out_and_keeps_users() -> None:
    one, zero = np.ones(1), np.zeros(1)
    codes, offsets = np.array([0, 1, 1]), np.array([0, 3])
    time, keys = np.array([1.0, 2.0, 3.0]), np.array([4, 5, 6])
    journeys = mta.Journeys(
        channels=("A", "B"),
        codes=codes,
        offsets=offsets,
        conversions=one,
        nulls=zero,
        time=time,
        keys=keys,
        users=np.zeros(1, dtype=np.int64),
        end=np.array([4.0]),
        timeline=Timeline(offsets, time, codes, keys, zero, 4 * one, np.array(["u"])),
    )
    assert journeys.age is not None
    assert journeys.age.tolist() == [3, 2, 1]
    for step, age in (("exposure", [3, 2]), ("unique", [3, 2, 1]), (("trim", 1), [1])):
        got = journeys.transform(step)
        assert got.timeline is None
        assert got.users is journeys.users
        assert got.age is not None
        assert got.age.tolist() == age
    assert journeys.timeline is not None
    assert journeys.timeline.n_users == 1
