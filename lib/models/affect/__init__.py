"""Networks of valence, arousal, expressions and action units."""
