# make run    the whole system, from nothing but Python 3.11+: http://127.0.0.1:8000
# make test   the test suite without its long tests, on servers of its own
# make test-servers   the same system on the distribution's PostgreSQL, Redis, PgBouncer, nginx, Postfix, Exim and Dovecot
# make test-all       every test, the long ones too
# make lint   style, types, layers
# make bench  measurements
# make docs   the documents as a site: build/site/index.html
# make clean  remove what make made; data in .data stay

PYTHON ?= python3
BIN := .venv/bin
# What steers Python itself; of the rest of the caller's environment tests/environment.py keeps what is needed.
# Without byte code each process of pytest would compile all tests again.
FOREIGN := PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS PYTHONDONTWRITEBYTECODE PYTEST_ADDOPTS PYTEST_PLUGINS
# How many processes share the tests: more than there are processors, because most of what tests do is wait.
WORKERS ?= 6
# In the order of tests/conftest.py: pytest-xdist's own order is by the number of tests, and the files that take
# longest have few. Without restarts: after one, pytest-xdist may wait forever for a file that nobody has
# (its issue 1378), and a process that dies is a failure anyway.
PYTEST = exec env $(FOREIGN:%=-u %) $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-servers test-all lint bench docs clean
.DEFAULT_GOAL := run

# exec, so that a signal for this recipe reaches notify itself.
run: .venv/.installed-run
	@exec env DATA_DIR="$${DATA_DIR:-$(CURDIR)/.data}" $(BIN)/notify up

test: .venv/.installed-test
	@$(PYTEST) -m "not long" --ignore=tests/servers

# Wants the packages that .ci/install lists.
test-servers: .venv/.installed-test
	@$(PYTEST) tests/servers

test-all: .venv/.installed-test
	@$(PYTEST)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-test
	@exec $(BIN)/python -m benchmarks

# A warning, a link that leads nowhere among them, is an error.
docs: .venv/.installed-test
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env --write-all -d build/doctrees docs build/site
	@echo "build/site/index.html"

clean:
	rm -rf .venv .ruff_cache .mypy_cache .import_linter_cache *.egg-info build docs/reference
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed-run: setup.cfg pyproject.toml .venv/.made
	$(BIN)/python -m pip install --quiet -e ".[embedded]"
	@touch $@

# What the tests need includes what a run needs.
.venv/.installed-test: setup.cfg pyproject.toml clients/python/pyproject.toml .venv/.made
	$(BIN)/python -m pip install --quiet -e ".[embedded,test,docs,tracing,apprise,imap]" -e "clients/python[async,django]"
	@touch .venv/.installed-run $@

# A stamp instead of the directory: an environment that was not finished is made again.
.venv/.made:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
		echo "Python 3.11 or newer is needed and $(PYTHON) is not that: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
