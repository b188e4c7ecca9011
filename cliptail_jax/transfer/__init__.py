"""Transfer: what features of a trained image tower are worth on other data sets. Features in, numbers out."""
