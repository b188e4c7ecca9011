"""From a model and an evaluation set to the numbers and files of one evaluation."""
