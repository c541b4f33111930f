import google.colab  # noqa: F401  a kernel of Colab has it imported before the first cell
