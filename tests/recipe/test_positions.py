"""The position index against a writer that knows where it put each key."""

import random
import string
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralfw.recipe.positions import MAX_DEPTH, KeyPath, Span, TomlError, index, parse

KEYS = st.sampled_from(["a", "b-c", "type", "x.y", "", 'q"t', "with space", "é", "3", "a#b", "[k]", "k]", "\\", "="])
SCALARS = st.sampled_from(
    [
        "1", "0x1F", "1_000", "1e-3", "inf", "nan", "true", "1979-05-27", "1979-05-27 07:32:00Z", "07:32:00.5",
        '"plain"', '"# no comment"', r'"esc \" \\ \u00e9"', "'lit # \"'", "''", '""', '""""""', "''''''",
        '"""one\ntwo "quoted" # x\n\\""" \\\n  three"""', '"""ends with quotes"""""', "'''a\nb = 1\n[c] ''d'''''",
        '"]}"',
    ]
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=5)


class Writer:
    """Writes a tree, of which the leaves are TOML text, in randomly chosen styles and notes where each path went."""

    def __init__(self, style: random.Random) -> None:
        self.style = style
        self.text = ""
        self.keys: dict[KeyPath, tuple[int, int, int]] = {}  # line, column, end column
        self.values: dict[KeyPath, tuple[int, int]] = {}

    def here(self) -> tuple[int, int]:
        return self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")

    def blank(self, lines: bool = False) -> None:
        self.text += self.style.choice(["", "", " ", "\t", *(["\n", " # ], } = [x]\n"] if lines else [])])

    def name(self, name: str) -> tuple[int, int, int]:
        styles = ['"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"', f"'{name}'"]
        if name and set(name) <= set(string.ascii_letters + string.digits + "-_"):
            styles += [name] * 4
        line, column = self.here()
        token = self.style.choice(styles)
        self.text += token
        return line, column, column + len(token)

    def value(self, path: KeyPath, tree: Any) -> None:
        line, column = self.values[path] = self.here()
        if isinstance(tree, str):
            self.text += tree
        elif isinstance(tree, list):
            self.text += "["
            for position, item in enumerate(tree):
                self.blank(lines=True)
                self.value((*path, position), item)
                self.blank(lines=True)
                self.text += "," if position + 1 < len(tree) or self.style.random() < 0.3 else ""
            self.blank(lines=True)
            self.text += "]"
        else:
            self.text += "{"
            for position, name in enumerate(tree):
                self.text += "," if position else ""
                self.assignment((*path, name), tree[name])
            self.text += "}"
        if isinstance(path[-1], int):  # an item is its own key, up to the end of its first line
            self.keys[path] = (line, column, column + len(self.text.split("\n")[line - 1][column - 1 :]))

    def assignment(self, path: KeyPath, tree: Any) -> None:
        self.blank()
        self.keys[path] = self.name(str(path[-1]))
        self.blank()
        while isinstance(tree, dict) and len(tree) == 1 and self.style.random() < 0.5:
            ((name, tree),) = tree.items()
            path = (*path, name)
            self.text += "."
            self.blank()
            self.keys[path] = self.name(name)
            self.blank()
        self.text += "="
        self.blank()
        self.value(path, tree)
        self.blank()

    def table(self, path: KeyPath, tree: dict[str, Any], brackets: str = "") -> None:
        below = {name: child for name, child in tree.items() if is_table_like(child) and self.style.random() < 0.7}
        header_last = brackets == "[]" and below and self.style.random() < 0.3
        if header_last:
            self.below(path, below)
        if brackets and (header_last or brackets == "[[]]" or len(below) < len(tree) or not tree):
            self.header(path, brackets)
        for name in tree.keys() - below.keys():
            self.blank(lines=True)
            self.assignment((*path, name), tree[name])
            self.text += self.style.choice(["\n", "# comment = [1]\n"])
        if not header_last:
            self.below(path, below)

    def below(self, path: KeyPath, tables: dict[str, Any]) -> None:
        for name, child in tables.items():
            if isinstance(child, dict):
                self.table((*path, name), child, "[]")
            else:
                for position, item in enumerate(child):
                    self.table((*path, name, position), item, "[[]]")

    def header(self, path: KeyPath, brackets: str) -> None:
        half = len(brackets) // 2
        self.text += brackets[:half]
        ends = [end for end, name in enumerate(path, 1) if isinstance(name, str)]
        for end in ends:
            self.blank()
            place = self.name(str(path[end - 1]))
            self.keys.setdefault(path[:end], place)
            self.blank()
            self.text += "." if end < ends[-1] else ""
        self.keys[path] = place
        self.text += brackets[half:] + "\n"


def is_table_like(tree: Any) -> bool:
    return isinstance(tree, dict) or (isinstance(tree, list) and tree != [] and all(isinstance(t, dict) for t in tree))


def paths(tree: Any, path: KeyPath = ()) -> set[KeyPath]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return {path}.union(*(paths(child, (*path, name)) for name, child in children))


def at(tree: Any, path: KeyPath) -> Any:
    for name in path:
        tree = tree[name]
    return tree


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, st.randoms(use_true_random=False), st.booleans())
def test_every_path_is_found_where_it_was_written(document: dict[str, Any], style: random.Random, dos: bool) -> None:
    writer = Writer(style)
    writer.table((), document)
    places = index(writer.text.replace("\n", "\r\n") if dos else writer.text)
    assert set(places) == paths(tomllib.loads(writer.text)) - {()}
    assert {
        path: (span.line, span.column) for path, (_, span) in places.items() if path in writer.values
    } == writer.values
    for path, place in places.items():
        line, column, end_column = writer.keys[path]
        assert place.key[:2] == (line, column)
        if isinstance(path[-1], str):
            assert place.key.end_column == end_column
            token = writer.text.split("\n")[line - 1][column - 1 : end_column - 1]
            assert tomllib.loads(f"{token} = 0") == {path[-1]: 0}


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_the_span_of_a_value_on_one_line_is_the_value(document: dict[str, Any], style: random.Random) -> None:
    writer = Writer(style)
    writer.table((), document)
    tree, places = parse(writer.text)
    lines = writer.text.split("\n")
    for path in writer.values:
        span = places[path].value
        text = lines[span.line - 1][span.column - 1 : span.end_column - 1]
        rest = "\n".join(lines[span.line - 1 :])[span.column - 1 :]
        try:
            read = tomllib.loads("value = " + text)["value"]
        except tomllib.TOMLDecodeError:  # only where the value goes on below
            assert rest.startswith(text + "\n")
        else:
            assert repr(read) == repr(at(tree, path)) or rest.startswith(text + "\n")


def test_an_explicit_header_is_the_place_of_its_table() -> None:
    places = index("[a.b]\nx = 1\n\n  [ a ]\ny = 2\n")
    assert places["a",].key == Span(4, 5, 6)
    assert places["a", "b"].key == Span(1, 4, 5)


def test_entries_of_arrays_of_tables_take_what_follows() -> None:
    places = index('[[stages]]\n[stages.passes]\np.data = "d"\n[[stages]]\nlosses = [{ type = "l1" },\n  { w = 1 }]\n')
    assert places["stages", 0, "passes", "p", "data"].key == Span(3, 3, 7)
    assert places["stages", 0, "passes", "p", "data"].value == Span(3, 10, 13)
    assert places["stages",].key == Span(1, 3, 9)
    assert places["stages", 1].key == Span(4, 3, 9)
    assert places["stages", 1, "losses", 1, "w"] == (Span(6, 5, 6), Span(6, 9, 10))


def test_a_value_of_several_lines_is_marked_to_the_end_of_the_first() -> None:
    assert index('k = """one\ntwo"""')["k",].value == Span(1, 5, 11)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = ~2\n", 2, 5),
        ('a = "open\nb = 1', 1, 10),
        ("a = [1, 2", 1, 10),
        ("[a]\n\n[a]\n", 3, 3),
        ("a.b = 1\n=", 2, 1),
        ("x = " + "[" * (MAX_DEPTH + 1), 1, 5 + MAX_DEPTH),
        ("x = 1\n" + "a." * 400_000 + "a = 1", 2, 2 * MAX_DEPTH + 2),
        ("x = " + "{a = " * 10_000, 1, None),
        ("[" + "a." * 10_000 + "a]", 1, None),
    ],
)
def test_broken_text_is_refused_at_its_place(text: str, line: int, column: int | None) -> None:
    with pytest.raises(TomlError) as caught:
        parse(text)
    assert caught.value.line == line
    assert column is None or caught.value.column == column


def test_a_number_too_long_for_python_is_refused() -> None:
    with pytest.raises(TomlError, match="digits"):
        parse("a = " + "9" * 5000)


@given(st.text(alphabet="ab.=[]{}\"'\\#\n ,1", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree, places = parse(text)
    except TomlError as error:
        assert error.line <= text.count("\n") + 1
    else:
        assert set(places) == paths(tree) - {()}
