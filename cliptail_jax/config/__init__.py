"""Config fields with their defaults, meaning and rules; command-line flags; user errors as one line."""
