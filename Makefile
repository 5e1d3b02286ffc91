# `make demo` and `make test` build .venv from the pinned constraints.txt first; they do so once.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := results/digits

CHAOS ?= --seed 0 --faults 30

.PHONY: demo test test-cluster chaos check format browser machines perf clean

# A small study end to end on bundled data: five families, leaderboard, exported model.
demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/seqtune run examples/digits.toml

# Everything that must hold: formatting, lint, types, tests.
test: check browser
	$(BIN)/python -m pytest

# Several machines on one: a study through lost machines and a cut network, through eleven faults of
# as many kinds, and over SSH. Needs root on Linux that may make namespaces and small disks; for
# anybody else the tests are skipped, and a line at the end says why.
test-cluster: $(INSTALLED) machines
	$(BIN)/python -m pytest -m cluster tests/chaos tests/cluster

# Faults drawn at random befall a study over three machines, which must end as without them:
# `make chaos CHAOS="--seed 1 --faults 100"`.
chaos: $(INSTALLED)
	$(BIN)/python -m tests.chaos $(CHAOS)

# What machines on one are made with; root on Debian gets it.
machines:
	@if command -v ip && command -v pgrep && test -x /usr/sbin/sshd; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
	    apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends iproute2 procps openssh-server; \
	fi > /dev/null || true

# The report is looked at in a real browser. Where there is none, root on Debian gets one; for anybody
# else those tests are skipped, and say so.
browser:
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	fi > /dev/null || true
	@command -v chromium > /dev/null || echo "no chromium here: tests in a browser may be skipped"

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The speed scripts, each beside a rival or a limit; they renew docs/performance.md.
perf: $(INSTALLED)
	$(BIN)/python -m perf

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
