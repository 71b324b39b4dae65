# Two commands set a fresh machine up: `make demo` and `make test`. Each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# llama-cpp-python is compiled for this machine (GGML_NATIVE); its image part is not used.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgekit needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install -c constraints.txt -e '.[all,dev]'
	@# A wheel that was cached on another machine can hold instructions this CPU lacks: build it anew.
	$(BIN)/python -c 'import llama_cpp; llama_cpp.llama_backend_init()' || \
	  $(BIN)/pip install -c constraints.txt --no-cache-dir --force-reinstall --no-deps llama-cpp-python
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/demo.py

# What an editor's loop can live with: everything that starts no process, in under two minutes.
check: $(VENV)/installed lint
	$(BIN)/python -m pytest -m "not slow and not processes" -n 2 --dist loadfile

lint: $(VENV)/installed links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.links $(BIN)/lint-imports

test: $(VENV)/installed lint
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

# Lines and branches, those of child processes among them; what is not covered is named.
coverage: $(VENV)/installed links
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -m "not slow" -n 2 --dist loadfile
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-slow: $(VENV)/installed links
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

# Type checkers cannot follow setuptools' package-dir, so they read links laid out like the wheel.
links:
	rm -rf .links && mkdir -p .links/edgekit
	ln -s $(addprefix ../../,edge profiles quantize release targets $(wildcard src/edgekit/*)) .links/edgekit/

clean:
	rm -rf .links .demo .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*

.PHONY: check coverage demo lint test test-slow links clean
