"""The figures of the study, from run files alone."""
