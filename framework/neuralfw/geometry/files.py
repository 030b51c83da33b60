"""Finding a file that the user named, and writing one so that a reader never sees half of it."""

import os
from collections.abc import Iterable
from pathlib import Path

from neuralfw.errors import UserError, saying
from neuralfw.suggest import nearest


def existing_file(path: str | Path) -> Path:
    """Return `path` as a Path.

    Raises:
        UserError: nothing lies there (the nearest name in that folder is offered), or it is no regular file.
    """
    path = Path(path)
    if path.is_file():
        return path
    if path.exists():
        raise UserError(f"{path} is not a file. Name one file inside it.")
    if not path.parent.is_dir():
        raise UserError(f"{path} does not exist: there is no folder {path.parent}.")
    raise UserError(f"{path} does not exist.{did_you_mean(path.name, (p.name for p in path.parent.iterdir()))}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean x?' with the known name nearest to `name`, or '' where none is near."""
    near = nearest(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def new_folder(folder: Path) -> None:
    """Make sure that a folder to be written is absent or empty.

    Raises:
        UserError: it holds something, or cannot be read.
    """
    with saying("make the folder", folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not empty: name a folder that does not exist yet.")


def write_file(path: str | Path, data: bytes) -> None:
    """Write `data` beside `path` and put it in place when it is on the disk; missing folders are made.

    Raises:
        UserError: the folder cannot be written, or the disk is full. `path` is then as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
