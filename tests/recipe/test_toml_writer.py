"""Trees written as TOML: tomllib reads the same back, and the text is one a person would write."""

import math
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralfw.recipe.toml_writer import dumps

SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([date(2024, 2, 29), time(7, 32, 0, 500), datetime(2024, 1, 1, 12, tzinfo=UTC)])
)
KEYS = st.text(max_size=8) | st.sampled_from(["type", "a.b", "name", ""])
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(st.dictionaries(KEYS, inner, max_size=3), min_size=1, max_size=3)
    ),
    max_leaves=25,
)


def identical(a: Any, b: Any) -> bool:
    """Equal, and of the same types: 1 is not 1.0, 0.0 not -0.0."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_tomllib_reads_the_same_tree(tree: dict[str, Any]) -> None:
    assert identical(tomllib.loads(dumps(tree)), tree)


def tables(tree: Any) -> Any:
    """Return the keys of the tables in every table, in order."""
    if isinstance(tree, list):
        return [tables(item) for item in tree]
    if not isinstance(tree, dict):
        return None
    return [(key, tables(value)) for key, value in tree.items() if isinstance(value, dict)]


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_the_order_of_tables_is_kept(tree: dict[str, Any]) -> None:
    assert tables(tomllib.loads(dumps(tree))) == tables(tree)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e-300, 0.1 + 0.2, 5e-324, 1e16, -0.0, 1e22])
def test_floats_come_back_exactly(value: float) -> None:
    assert identical(tomllib.loads(dumps({"a": value, "b": [value], "c": {"d": value}}))["a"], value)


def test_nan_comes_back() -> None:
    assert math.isnan(tomllib.loads(dumps({"a": math.nan}))["a"])


def test_none_is_left_out_paths_are_text_tuples_are_lists() -> None:
    tree = {
        "a": None,
        "t": {"path": Path("data/x"), "none": None, "skip": (4, 8)},
        "stages": [{"name": "s", "none": None}],
    }
    assert tomllib.loads(dumps(tree)) == {"t": {"path": "data/x", "skip": [4, 8]}, "stages": [{"name": "s"}]}


@pytest.mark.parametrize("value", [b"bytes", object(), [None], {1, 2}, 1j])
def test_what_toml_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="TOML has no form"):
        dumps({"a": value})


def test_a_recipe_reads_well() -> None:
    tree = {
        "name": "gs_pull",
        "seed": 0,
        "fields": {"sdf": {"type": "mlp_sdf", "skip": [4], "encoder": {"type": "frequency", "bands": 6}}},
        "renderers": {"main": {"type": "sphere_trace"}},
        "frame": {},
        "stages": [
            {
                "name": "fit",
                "passes": {"views": {"data": "images", "renderer": "splat"}},
                "losses": [
                    {"type": "l1", "on": "views", "weight": 0.8, "reduction": "all_rays"},
                    {"type": "dssim", "on": "views", "weight": 1e-05, "window": 11},
                ],
                "train": {"sdf": {"lr": {"type": "cosine", "start": 1e-3}}, "gaussians": {}},
            }
        ],
    }
    assert dumps(tree) == (
        """\
name = "gs_pull"
seed = 0

[fields.sdf]
type = "mlp_sdf"
skip = [4]
encoder = { type = "frequency", bands = 6 }

[renderers.main]
type = "sphere_trace"

[frame]

[[stages]]
name = "fit"
losses = [
  { type = "l1", on = "views", weight = 0.8, reduction = "all_rays" },
  { type = "dssim", on = "views", weight = 1e-05, window = 11 },
]

[stages.passes]
views = { data = "images", renderer = "splat" }

[stages.train]
sdf = { lr = { type = "cosine", start = 0.001 } }
gaussians = {}
"""
    )


def test_wide_tables_get_headers() -> None:
    wide = {f"option_{n}": "value" for n in range(8)}
    text = dumps({"stages": [{"losses": [{"type": "l1"}, wide], "update": {"a": wide, "b": {"c": 1}}}]})
    assert max(map(len, text.splitlines())) <= 100
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        "[[stages]]", "[stages.update.a]", "[stages.update.b]", "[[stages.losses]]", "[[stages.losses]]"
    ]  # fmt: skip
