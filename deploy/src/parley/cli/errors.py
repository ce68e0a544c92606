"""The error of the command."""


class CommandError(Exception):
    """The command could not be carried out; the text is one sentence that says why, and what to do."""
