"""The generated data set: characters of the DejaVu fonts that matplotlib includes."""
