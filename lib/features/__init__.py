"""What is computed from faces and sound for a network: mel spectrograms, features of a backbone."""
