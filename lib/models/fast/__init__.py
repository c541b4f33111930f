"""The same networks for prediction, faster and with the same outputs."""
