# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
# Where this is set, every process compiles every module that it imports: a server then takes 13 s of processor time to import, not 6.
export PYTHONDONTWRITEBYTECODE :=
VENV   ?= .venv
PYTHONS ?= python3.11 python3.12 python3.13
BIN    := $(VENV)/bin
SLIDE  ?=
MPP    ?=

OPENSEADRAGON := 6.1.1
TUS           := 4.3.1
VENDOR        := serving/viewer/vendor
# An environment of its own: the developers' holds training and tools, too.
SERVING       ?= .venv-serving
LOCKED        := deploy/requirements.txt
VERSION       := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' serving/__init__.py)
SBOM          ?= mitoserve-$(VERSION).cdx.json

.PHONY: help environment dev demo test test-unit test-pythons coverage docs lint schemas access settings bench bench-gpu bench-peers bench-small faults attack fuzz vendor browser clean lock sbom

help:
	@echo "make demo               set up, score a generated slide, draw its mitosis map (demo/)"
	@echo "make demo SLIDE=a.svs   the same for your own slide; MPP=0.25 where the file states no resolution"
	@echo "make test               set up with training and developer tools, lint, run all tests"
	@echo "make dev                the environment with training and developer tools"
	@echo "make test-unit          unit and property tests alone, with fewer examples of each property"
	@echo "make test-pythons       the same on Python 3.11, 3.12 and 3.13, each with an environment of its own; one that is missing is named"
	@echo "make coverage           unit and property tests with the lines that they run"
	@echo "make docs               build the documentation site, strictly and offline, into site/"
	@echo "make lint               ruff, mypy --strict, import-linter; ESLint and TypeScript over the viewer's scripts"
	@echo "make bench              score generated and real slides beside reading and models alone; write speed/"
	@echo "make bench-gpu          what one GPU makes of the models, of reading and of a large slide; write gpu/"
	@echo "make bench-peers        screen the same slides with other tools too, in environments of their own; write peers/"
	@echo "make bench-small        count what scoring reads, copies and asks; fail where structure was lost"
	@echo "make faults             kill, fill, cut, lock and set back what a server rests on; print what was counted"
	@echo "make attack             attack servers of its own on loopback for at most 12 minutes; print tries, survived, lost"
	@echo "make fuzz               damaged slides, and whatever the OpenAPI document allows and forbids; print what was counted"
	@echo "make schemas            write the JSON Schemas again after a change of their classes"
	@echo "make vendor             fetch the viewer's libraries again from npm, at the pinned versions"
	@echo "make browser            run the viewer's tests in a Chromium"
	@echo "make environment        only check Python and make the environment; nothing is installed"
	@echo "make settings           write docs/settings.md again after a change of settings"
	@echo "make lock               write $(LOCKED) again after a change of constraints.txt or of what serving depends on"
	@echo "make sbom               install what serves, by its hashes, into $(SERVING), and list it in a CycloneDX SBOM"
	@echo "make access             write the table of docs/access.md again after a change of routes"

demo: $(VENV)/.serving
	$(BIN)/python -m serving.demo --out demo $(if $(SLIDE),--slide "$(SLIDE)") $(if $(MPP),--mpp $(MPP))

# Two processes of one thread each: training's results then do not depend on how many cores there are; three took longer on two
# cores. In the order of their names, servers and browsers come first: what is quick fills the end. mypy takes a minute of one
# core; it runs beside the tests and speaks after them.
test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@said=$$(mktemp); $(BIN)/mypy > $$said 2>&1 & types=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types; typed=$$?; echo "mypy:"; cat $$said; rm $$said; exit $$((tests > typed ? tests : typed))

dev: $(VENV)/.dev

test-unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --hypothesis-profile quick tests/unit tests/property

# A name may be there and lead nowhere, as those of pyenv do: each Python is asked.
test-pythons:
	@failed=; for python in $(PYTHONS); do \
		if ! $$python -c "" 2> /dev/null; then echo "$$python is not on this machine: nothing was tested on it"; continue; fi; \
		echo "$$python:"; $(MAKE) test-unit PYTHON=$$python VENV=.venv-$${python##*python} || failed="$$failed $$python"; \
	done; test -z "$$failed" || { echo "tests failed on$$failed"; exit 1; }

coverage: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -q tests/unit tests/property
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.viewer_tools

schemas: $(VENV)/.dev
	$(BIN)/python -m serving.exports.schemas
	$(BIN)/python -m training.recipes.schemas

settings: $(VENV)/.dev
	$(BIN)/python -m tests.unit.serving.settings_page

access: $(VENV)/.dev
	$(BIN)/python -m tests.integration.access_matrix

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.speed

bench-gpu: $(VENV)/.dev
	$(BIN)/python -m benchmarks.gpu

bench-peers: $(VENV)/.dev
	$(BIN)/python -m benchmarks.peers

bench-small: $(VENV)/.dev
	$(BIN)/python -m benchmarks.speed --small

faults: $(VENV)/.dev
	$(BIN)/python -m benchmarks.faults

attack: $(VENV)/.dev
	$(BIN)/python -m benchmarks.attack

vendor:
	set -e; folder=$$(mktemp -d); cd $$folder; npm pack --silent openseadragon@$(OPENSEADRAGON) tus-js-client@$(TUS); \
	for name in *.tgz; do mkdir $${name%.tgz}; tar xzf $$name -C $${name%.tgz}; done; cd $(CURDIR); \
	cp $$folder/openseadragon-*/package/build/openseadragon/openseadragon.min.js $(VENDOR)/; \
	cp $$folder/openseadragon-*/package/LICENSE.txt $(VENDOR)/openseadragon.LICENSE.txt; \
	cp $$folder/tus-js-client-*/package/dist/tus.min.js $(VENDOR)/; \
	cp $$folder/tus-js-client-*/package/LICENSE $(VENDOR)/tus-js-client.LICENSE.txt; rm -r $$folder

browser: $(VENV)/.dev
	@$(BIN)/python -m tests.browser.chromium
	$(BIN)/python -m pytest tests/browser

fuzz: $(VENV)/.dev
	$(BIN)/python -m benchmarks.mutants
	$(BIN)/python -m benchmarks.requests

# The index is whatever uv is set to; none is written into the file.
lock: $(VENV)/.dev
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --extra s3 --constraint constraints.txt \
		--python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-annotate --quiet --output-file $(LOCKED)

sbom: $(VENV)/.dev $(SERVING)/.locked
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-format JSON --output-file $(SBOM) $(SERVING)

clean:
	rm -rf $(VENV) $(SERVING) node_modules demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Before anything is written. In words that every Python reads, so that an old one gives no syntax error.
check_python := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and \
	"$(PYTHON) is Python %d.%d; Mitoserve needs Python 3.11, 3.12 or 3.13, such as: make PYTHON=python3.11" % sys.version_info[:2])
# An environment that another Python version made is replaced: packages of both would lie side by side.
same_python := import sys; sys.exit("python%d.%d" % sys.version_info[:2] not in sys.argv[1].split())

define environment
@$(PYTHON) -c '$(check_python)'
@$(PYTHON) -c '$(same_python)' "$$(ls $(VENV)/lib 2>/dev/null)" || $(PYTHON) -m venv --clear $(VENV)
endef

environment:
	$(environment)

# Nobody imports most of what is installed: Python compiles a module when it is first imported.
$(VENV)/.serving: pyproject.toml constraints.txt
	$(environment)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e .
	@touch $@

$(SERVING)/.locked: $(LOCKED)
	@$(PYTHON) -c '$(check_python)'
	$(PYTHON) -m venv --clear $(SERVING)
	$(SERVING)/bin/python -m pip install -q --no-compile --require-hashes -r $(LOCKED)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt package-lock.json
	$(environment)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e ".[train,dev]"
	$(BIN)/python -m tests.viewer_tools install
	@touch $@ $(VENV)/.serving
