"""The one kind of error that a user can act on."""


class StudyError(ValueError):
    """Something in the input, the configuration or the run that its user can put right; the message names it."""


class CheckpointError(StudyError):
    """A checkpoint that is missing or damaged; the message names the file."""
