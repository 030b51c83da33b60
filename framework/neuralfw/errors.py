"""Errors that are the user's to mend: one clear message each, exit status 2, no traceback."""


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where, what was expected and how to go on."""
