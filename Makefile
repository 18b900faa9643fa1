# Everything sets itself up from nothing but Python >= 3.11; `make demo` and `make test` are the two commands to know.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo app test soak lint bench docs setup component wheel clean licences lock

setup: $(VENV)/.ready component

$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

component: $(VENV)/.ready
	$(BIN)/python -m app.components.latent_map.build

# One file to install elsewhere (docs/install.md): dist/lightbox-*.whl.
wheel: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .

demo: setup
	$(BIN)/lightbox demo

app: setup
	$(BIN)/lightbox app

# Four groups of tests at a time (tests/conftest.py), since much of a test's time is waiting, with a thread each, since threads that share a
# processor spin; those of children wait asleep. Trap: numba's first parallel loop gives torch as many threads as numba has. What numba compiles is kept in the checkout.
# A worker that dies is not replaced: with groups handed out as a whole, xdist 3 waits for ever for the tests of the one that died.
# Tests pass in any order: `make test ORDER=--random-order`. At the end it says what took most processor time.
PYTEST := OMP_WAIT_POLICY=passive OPENBLAS_THREAD_TIMEOUT=4 OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 NUMBA_CACHE_DIR=$(CURDIR)/.numba_cache $(BIN)/python -m pytest
test: setup
	$(PYTEST) -n 4 --max-worker-restart 0 --dist loadscope --no-loadscope-reorder --costs $(ORDER)

# The long hunts, before a release: what they found is kept in tests/soak.json.
soak: setup
	LIGHTBOX_SOAK=1 $(PYTEST) -n 2 --dist load -m soak

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m tests.benchmarks

# The generated pages of docs/: references, benchmarks, the list of decisions.
docs: setup
	$(BIN)/python -m tests.write_docs

licences: setup
	$(BIN)/python -m tests.licences

# Versions and hashes of all files of what the base and the extra `train` bring, but torch (docs/install.md).
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m tests.licences --pins | $(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header - -o requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info
