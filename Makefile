# Everything sets itself up: a fresh machine needs Python 3.11 or newer, with venv, and make.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo teaching notebook docs test test-slow faults fuzz check format clean

demo: $(INSTALLED)          ## train a summarizer from nothing, with a report (about ten minutes on two cores)
	$(BIN)/rot5 demo --overwrite true

teaching: $(INSTALLED)      ## every step of a language model on a small task, printed (a few minutes)
	MPLBACKEND=Agg $(BIN)/python examples/teaching/teaching.py

notebook: $(INSTALLED)      ## the same as a notebook, made from the script and run
	$(BIN)/python scripts/make_notebook.py

docs: $(INSTALLED)          ## the documentation as a site, in dist/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: $(INSTALLED)          ## the fast tests, no network
	$(BIN)/pytest -n 2 --dist loadgroup

test-slow: $(INSTALLED)     ## the long ones: full-size claims, all crossed cases, exporters
	$(BIN)/pytest -m slow

faults: $(INSTALLED)        ## hundreds of killed commands and damaged files; writes docs/reliability.md
	$(BIN)/python scripts/faults.py --out docs/reliability.md

fuzz: $(INSTALLED)          ## half an hour of input from strangers; writes docs/results/fuzz.json
	cd tests && ../$(BIN)/python -m faults.fuzz --minutes 30 --out ../docs/results/fuzz.json

check: $(INSTALLED)         ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf .venv runs
