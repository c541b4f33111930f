# make run — set up, check, four sample experiments, one table.   make test, lab, lint, clean, research, uv,
# test-slow, test-browser, test-colab, test-lowest, test-slurm, test-docs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Threads that wait for work sleep early: on a busy machine PyTorch is ten times faster, NumPy up to seven; alone it costs little.
export GOMP_SPINCOUNT ?= 1000
export OPENBLAS_THREAD_TIMEOUT ?= 14
SAMPLES := sample_tsav sample_jca sample_jca_audio sample_jca_video

.PHONY: run uv test test-slow lint lab clean test-browser test-colab test-lowest test-slurm test-docs research
.DEFAULT_GOAL := run

# Any command that follows an installed environment sees it as up to date until the requirements change.
$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1): make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "no virtual environment could be made: on Debian or Ubuntu, apt install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# The same environment by uv, faster: uv.lock has the versions of requirements.txt. --seed: with pip, for the other targets.
uv:
	uv venv --seed --allow-existing --python $(PYTHON) $(VENV)
	uv sync --frozen --inexact --extra cluster --extra encoders --extra export --extra test
	@touch $(INSTALLED)

run: $(INSTALLED)
	@$(BIN)/python -m lib check $(SAMPLES:%=params/%.yaml)
	@# Status 3: finished, but something was lost and named; the others can still be compared.
	@for name in $(SAMPLES); do \
	  $(BIN)/python -m lib run params/$$name.yaml || { status=$$?; test $$status = 3 || exit $$status; }; done
	@$(BIN)/python -m lib compare $(SAMPLES:%=runs/%)
	@echo "Look at runs/comparison.html, then at the executed notebooks, for example runs/sample_tsav/06_inference.ipynb"

# Compiled files and code digests are kept for the many processes of the tests, whatever the shell says of the first.
# As many workers as processors share these: a second thread of each would only wait.
test: export OMP_NUM_THREADS ?= 1
test: $(INSTALLED)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

# make lab PARAMS=params/x.yaml: all six notebooks read this file, where a cell names no other one.
# The whole repository is the server's folder, so that links to runs/ open; a video of 10 MiB and
# more can be uploaded only where a message may be longer than that.
LAB := --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks
LAB += --ServerApp.tornado_settings='{"websocket_max_message_size": 2147483648}'
lab: $(INSTALLED)
	@$(if $(PARAMS),$(BIN)/python -m lib check $(PARAMS))
	$(if $(PARAMS),NOTEBOOKS_PARAMS_FILE=$(PARAMS) )$(BIN)/python -m jupyter lab $(LAB)

test-browser: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[browser]"
	$(BIN)/python -m pytest tests/browser

# Hours: every command of README, data_README and docs/ in a fresh clone.
test-docs: $(INSTALLED)
	$(BIN)/python -m pytest tests/docs

# As root, on a machine with Debian's slurm-wlm and munge: a scheduler of one node is set up for the test and taken down.
test-slurm: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[cluster]"
	$(BIN)/python -m pytest tests/cluster

# openSMILE, for eGeMAPS: its licence is for research only, so nothing installs it unasked.
research: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[opensmile]"

# COLAB_PYTHONS=/path/to/python3.12:/path/to/python3.13 names the interpreters
test-colab: $(INSTALLED)
	$(BIN)/python -m pytest tests/colab

# The lowest versions that pyproject.toml allows, which other people's machines have, in an environment of their own.
LOWEST := .venv-lowest
test-lowest:
	uv venv --allow-existing --python $(PYTHON) $(LOWEST)
	uv pip install --python $(LOWEST)/bin/python --resolution lowest-direct -e ".[cluster,encoders,excel,test]"
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Environment and caches only: data/, weights/ and runs/ are a person's to remove.
clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
