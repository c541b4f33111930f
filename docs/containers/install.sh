#!/usr/bin/env bash
# What an image of this project holds: Debian's Python, a compiler (for torch.compile), git (runs note their commit), and
# the packages of requirements.txt in /opt/lab. lab.def and Dockerfile run it as root in a fresh Debian 12 (bookworm):
#     bash install.sh requirements.txt
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends ca-certificates g++ git python3-dev python3-venv
rm -rf /var/lib/apt/lists/*
python3 -m venv /opt/lab
# The project itself is not in the image: it is the folder that is bound, so that editing it needs no new image.
grep --invert-match '^-e' "$1" > /opt/lab/requirements.txt
/opt/lab/bin/python -m pip install --no-cache-dir --disable-pip-version-check -r /opt/lab/requirements.txt
