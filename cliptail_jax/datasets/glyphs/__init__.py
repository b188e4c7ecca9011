"""The embedded data set: characters of the DejaVu fonts that matplotlib ships."""
