"""What a trained model does, class by class: accuracy, its correlation with class frequency, neural collapse."""
