"""Labels: official files, tables of any rate, annotators, folds (notebook 04)."""
