"""Points as a table of numbers: text (.pts .xyz .txt .csv) and arrays (.npy); what the columns after x, y, z mean."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from neuralfw.errors import UserError
from neuralfw.geometry.point_cloud import PointCloud

_COMMENTS = ("#", "//", "%")
_NAMES = {
    "points": (("x", "y", "z"), ("px", "py", "pz"), ("point_x", "point_y", "point_z")),
    "normals": (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z")),
    "colors": (("r", "g", "b"), ("red", "green", "blue")),
}

Table = Float64[np.ndarray, "n k"]


def read_text(path: Path) -> PointCloud:
    """Read one point per line, numbers apart by blanks, tabs, commas or semicolons.

    Comment lines (`#`, `//`, `%`), a leading line with the number of points and a line of column names are understood.

    Raises:
        UserError: no points, a line that is not numeric or has another number of columns, or columns that
            `from_table` does not know.
    """
    text = path.read_bytes().decode("utf-8-sig", "replace")
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    rows = [(number, line) for number, line in numbered if line and not line.startswith(_COMMENTS)]
    notes: list[str] = []
    if len(rows) > 1 and rows[0][1].isdigit() and len(_split(rows[1][1])) > 1:
        promised = int(rows.pop(0)[1][:18])
        if promised != len(rows):
            notes.append(f"the first line promises {promised:,} points, {len(rows):,} were found")
    names: list[str] = []
    if rows and _are_names(words := _split(rows[0][1].lower())):
        names = words
        rows.pop(0)
    if not rows:
        raise UserError(f"{path} holds no points.")
    table = _numbers(path, rows)
    cloud = _named(path, table, names) if names else from_table(table, str(path))
    return cloud.note(*notes)


def from_table(table: Table, source: str) -> PointCloud:
    """Interpret 3, 4, 6, 7, 9 or 10 columns: x y z, then normals and colours in any order, with or without intensity.

    Three columns are colours where all are whole numbers in 0..255 and some exceed 1; else normals where nine of ten
    rows have length 1 or some value is negative; else colours in [0, 1]. What was decided becomes a note.

    Raises:
        UserError: another number of columns.
    """
    extra = table.shape[1] - 3
    if extra not in (0, 1, 3, 4, 6, 7):
        raise UserError(
            f"{source} has {table.shape[1]} columns; expected x y z, then optionally intensity, nx ny nz, r g b "
            "(3, 4, 6, 7, 9 or 10 columns)."
        )
    start = 3
    notes: list[str] = []
    if extra % 3 == 1:  # intensity stands first (Leica), unless unit normals follow x y z at once
        after = extra > 1 and _are_unit(table[:, 3:6])
        start = 3 if after else 4
        notes.append(f"column {table.shape[1] if after else 4} was not used")
    normals = colors = None
    for column in range(start, start + extra - extra % 3, 3):
        triple = table[:, column : column + 3]
        if colors is None and _are_colors(triple):
            colors, meaning = full_scale(triple), "colours"
        elif normals is None:
            normals, meaning = triple, "normals"
        else:
            raise UserError(f"{source}: two of the column triples after x y z look like normals, none like colours.")
        notes.append(f"columns {column + 1} to {column + 3} were read as {meaning}")
    return PointCloud(table[:, :3], normals, colors, notes=tuple(notes))


def _numbers(path: Path, rows: list[tuple[int, str]]) -> Table:
    delimiter = next((d for d in ",;" if d in rows[0][1]), None)
    try:
        return np.loadtxt([line for _, line in rows], delimiter=delimiter, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise UserError(_fault(path, rows) or f"{path}: {error}.") from error


def _fault(path: Path, rows: list[tuple[int, str]]) -> str | None:
    width = len(_split(rows[0][1]))
    for number, line in rows:
        words = _split(line.split("#")[0])
        for word in words:
            if not _is_number(word):
                return f"{path}, line {number}: {word[:40]!r} is not a number."
        if len(words) != width:
            return f"{path}, line {number}: {len(words)} columns, but the first line of data has {width}."
    return None


def _split(line: str) -> list[str]:
    for delimiter in ",;":
        if delimiter in line:
            return [word.strip() for word in line.split(delimiter)]
    return line.split()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _are_names(words: list[str]) -> bool:
    return any(set(names) <= set(words) for names in _NAMES["points"])


def _named(path: Path, table: Table, names: list[str]) -> PointCloud:
    if len(names) != table.shape[1]:
        raise UserError(f"{path} names {len(names)} columns, but its rows have {table.shape[1]}.")
    columns: dict[str, Table] = {}
    for what, spellings in _NAMES.items():
        for spelling in spellings:
            if what not in columns and set(spelling) <= set(names):
                columns[what] = table[:, [names.index(name) for name in spelling]]
    colors = columns.get("colors")
    return PointCloud(columns["points"], columns.get("normals"), None if colors is None else full_scale(colors))


def _are_unit(triple: Float64[np.ndarray, "n 3"]) -> bool:
    return bool((np.abs(np.linalg.norm(triple, axis=1) - 1.0) < 0.05).mean() > 0.9)


def _are_colors(triple: Float64[np.ndarray, "n 3"]) -> bool:
    inside: Bool[np.ndarray, "n 3"] = (triple >= 0.0) & (triple <= 255.0)
    if not inside.all():
        return False
    return _are_bytes(triple) or (not _are_unit(triple) and bool(triple.max() <= 1.0))


def _are_bytes(triple: Float64[np.ndarray, "n 3"]) -> bool:
    return bool((triple == np.floor(triple)).all() and triple.max() > 1.0)


def full_scale(colors: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Colours in [0, 1], whether they are so already or whole numbers up to 255."""
    return colors / 255.0 if _are_bytes(colors) else colors
