"""The one exception for anything a user can cause and mend."""


class UserError(ValueError):
    """A mistake in a config, a path or the data. Its message is one line that names the thing and the remedy."""
