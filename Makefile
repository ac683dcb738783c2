# Verbs for developers; the README's two commands need none of them.
.PHONY: lint format type test test-gl test-browser test-slurm test-ray test-envpool test-metaworld docs build smoke plugin same-results ci
PYTHON := .venv/bin/python

lint:    ## style and imports
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:  ## rewrite to the style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

type:    ## mypy --strict
	$(PYTHON) -m mypy

test:    ## what the README's test command runs
	$(PYTHON) -m pytest

test-gl: ## what needs OpenGL (libegl1 and libgl1, or libosmesa6)
	$(PYTHON) -m pytest -n 0 -m gl

test-browser: ## what needs Chromium (chromium and chromium-driver)
	$(PYTHON) -m pytest -n 0 -m browser

test-slurm: ## what needs Slurm (slurm-wlm and munge); it starts one of its own
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[slurm]'
	$(PYTHON) -m pytest -n 0 -m slurm

test-ray: ## what needs Ray; it starts one of its own
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[ray]'
	$(PYTHON) -m pytest -n 0 -m ray

test-envpool: ## what needs EnvPool, 750 MB
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[envpool]'
	$(PYTHON) -m pytest -n 0 -m envpool

test-metaworld: ## EnvPool's Meta-World beside Meta-World itself, which pins an old MuJoCo: in an environment of its own
	$(PYTHON) -m pip install -q -c constraints.txt -e '.[envpool]'
	$(PYTHON) -m venv .venv-metaworld
	.venv-metaworld/bin/pip install -q metaworld==3.1.1 packaging
	CLROBOT_METAWORLD=$(CURDIR)/.venv-metaworld/bin/python $(PYTHON) -m pytest -n 0 -m metaworld

docs:    ## the site into site/; nothing is fetched
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet

build:   ## sdist and wheel into dist/
	rm -rf dist
	$(PYTHON) -m build --outdir dist .

smoke: build  ## install the wheel alone and use it
	bash .ci/smoke dist/*.whl

plugin:  ## a user's own distribution beside the wheel that smoke has built
	bash .ci/plugin dist/*.whl

same-results:  ## that no bit differs from another commit's: make same-results OLD=REVISION
	rm -rf .same-results && git worktree add -q --force --detach .same-results $(OLD)
	cp .ci/same_results.py .same-results/.ci/
	cd .same-results && ../$(PYTHON) .ci/same_results.py record ../before.json
	$(PYTHON) .ci/same_results.py record after.json
	git worktree remove --force .same-results
	$(PYTHON) .ci/same_results.py compare before.json after.json .ci/renamed.json

ci:      ## all of it, as CI does
	bash .ci/run
