"""Making LAIONet: the rows of a caption corpus that name one ImageNet class, mean it, and are safe to show."""
