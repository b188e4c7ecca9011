"""From a variant to batches: decode, augment, tokenise, batch, shard."""
