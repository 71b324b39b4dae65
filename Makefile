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

test: $(VENV)/installed links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.links $(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/installed links
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

# Type checkers cannot follow setuptools' package-dir, so they read links laid out like the wheel.
links:
	rm -rf .links && mkdir -p .links/edgekit
	ln -s $(addprefix ../../,edge profiles quantize release targets $(wildcard src/edgekit/*)) .links/edgekit/

clean:
	rm -rf .links .demo .mypy_cache .pytest_cache .ruff_cache

.PHONY: demo test test-slow links clean
