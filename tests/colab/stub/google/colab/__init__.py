"""What stands in for Google's package in a kernel that plays Colab's."""
