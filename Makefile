# Every target is one command of scripts/dev.py, which makes .venv and installs what it needs.
# Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
export SEEDS ?= 2000
export MINUTES ?= 1
TARGETS := demo test lab lint bench bench-core simulate chaos fuzz prove screenshots clean

.PHONY: help $(TARGETS)

help:
	@echo "make demo         run the demonstration notebook on a cluster, through a Jupyter server"
	@echo "make test         every check and every test"
	@echo "make lint         the checks alone"
	@echo "make lab          JupyterLab here"
	@echo "make bench        benchmarks of this package and its peers; bench-core: of the scheduler's core alone"
	@echo "make simulate     the simulator, SEEDS=2000 of them"
	@echo "make chaos        a real cluster whose processes are killed at random, MINUTES=1 of it"
	@echo "make fuzz         hostile bytes by atheris, SECONDS=60 a target; make prove: samples made whole, minutes of it"
	@echo "make screenshots  the documentation's pictures; make clean: remove all that was made"

$(TARGETS):
	@$(PYTHON) -m scripts.dev $@
