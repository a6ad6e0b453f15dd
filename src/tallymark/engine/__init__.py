"""From a study to a trained model and its numbers: configuration, batches, training, prediction, evaluation."""
