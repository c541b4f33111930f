"""Training: trainer, losses, augmentation, release of frozen layers (notebook 05)."""
