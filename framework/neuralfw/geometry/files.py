"""Finding a file that the user named, and writing one so that a reader never sees half of it."""

import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neuralfw.errors import UserError


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
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {nearest[0]}?" if nearest else ""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same ending; it replaces `path` when the block ends well.

    Raises:
        UserError: the folder cannot be written, or the disk is full. `path` is then as it was.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
