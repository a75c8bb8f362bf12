"""Training of patch classifiers: labels, augmentation, generated negatives, the loop and its reports."""
