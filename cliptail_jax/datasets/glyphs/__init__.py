"""The embedded data set: characters drawn from the DejaVu fonts that matplotlib ships."""
