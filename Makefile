# make demo   the main job on a simulated radar collection; writes demo_out/report.html
# make test   every check: style, types, tests
# Both make $(VENV) when it is absent and reuse it until pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test clean

help:
	@sed -n 's/^# //p' Makefile

demo: $(VENV)/demo.stamp
	@$(BIN)/echoform demo --out demo_out
	@echo "Open $(CURDIR)/demo_out/report.html in a browser; it needs no network."

test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	    f"echoform needs Python 3.11 to 3.13, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(INSTALL) -e .
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/made.stamp
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/demo.stamp

clean:
	rm -rf demo_out $(VENV)
