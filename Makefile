# Every target sets up what it needs by itself: .venv, the pinned packages, and, where it may,
# the system libraries that a real napari window needs on a screenless machine.
PYTHON ?= python3
PY := .venv/bin/python
SYSTEM_PACKAGES := xvfb xauth libegl1 libgl1 libopengl0 libgl1-mesa-dri libxkbcommon-x11-0 \
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-render-util0 \
  libxcb-xinerama0 libxcb-image0 libdbus-1-3 libfontconfig1
SCREEN := xvfb-run -a -s "-screen 0 1600x1200x24"

.PHONY: help demo test test-lowest lint types bench bench-peers docs clean system

help:
	@echo "make demo    the main job end to end; writes demo-output/report.png"
	@echo "make test    lint, types and all tests (GUI tests under Xvfb)"
	@echo "make test-lowest   the tests without GUI on the lowest versions that pyproject.toml allows"
	@echo "make bench   the benchmarks (long)"
	@echo "make bench-peers   restoration and training beside CAREamics, MONAI and a bare loop"
	@echo "make docs    the documentation as a website, in site/"

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(PY) -m pip install --quiet --disable-pip-version-check \
	  -e ".[all,test,dev]"
	touch $@

system:
	@sh scripts/install-system-libraries.sh $(SYSTEM_PACKAGES)

demo: .venv/.installed
	$(PY) -m napari_aeanet demo --output demo-output

lint: .venv/.installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: .venv/.installed
	$(PY) -m mypy

# The tests start hundreds of processes, which need not compile the program anew.
test: .venv/.installed system lint types
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(SCREEN) $(PY) -m pytest -n 2 --dist worksteal

# Not part of `make test`. torch stays at the pinned version: older ones are gigabytes.
LOWEST := .venv-lowest/bin/python
.venv-lowest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST) -m pip install --quiet --disable-pip-version-check uv torch==2.13.0
	echo "torch; python_version < '3'" > .venv-lowest/without-torch.txt
	.venv-lowest/bin/uv pip compile --quiet --resolution lowest-direct --extra all --extra test \
	  --override .venv-lowest/without-torch.txt pyproject.toml -o .venv-lowest/lowest.txt
	$(LOWEST) -m pip install --quiet --disable-pip-version-check -r .venv-lowest/lowest.txt
	$(LOWEST) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

test-lowest: .venv-lowest/.installed
	$(LOWEST) -m pytest --ignore tests/gui

bench: .venv/.installed system
	for file in benchmarks/*.py; do $(SCREEN) $(PY) "$$file" || exit 1; done

PEERS := .venv-peers/bin/python
.venv-peers/.installed: benchmarks/peers.txt constraints.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS) -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	-$(PEERS) -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	touch $@

bench-peers: .venv/.installed .venv-peers/.installed
	$(PY) benchmarks/peers.py --peers $(PEERS) --write

docs: .venv/.installed
	PIP_CONSTRAINT=constraints.txt $(PY) -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

clean:
	rm -rf .venv .venv-lowest .venv-peers demo-output site dist
