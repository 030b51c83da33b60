"""Errors that are the user's to mend: one clear message each, exit status 2, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where, what was expected and how to go on."""


@contextmanager
def saying(action: str, path: Path) -> Iterator[None]:
    """Turn a failure of the file system (full disk, no permission) into one message: "cannot ACTION PATH: reason"."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot {action} {path}: {error.strerror or error}") from error
