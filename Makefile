# Parley: make help

PYTHON ?= python3
VENV := .venv/bin
PAGE := gateway/src/parley/gateway/web
ADMIN_PAGE := deploy/src/parley/cli/admin/page
SPEED ?= max
TTL ?= 24h
# Tests mostly wait, so three workers suit any machine; a selection runs without workers to print progress.
JOBS ?= $(if $(ARGS),0,3)
# Each service imports 800 modules: compiling them takes more than half of the processor time of a start.
unexport PYTHONDONTWRITEBYTECODE
SIZE = $(if $(GATEWAYS),--gateways $(GATEWAYS)) $(if $(WORKERS),--workers $(WORKERS))

.DEFAULT_GOAL := help
.PHONY: help up down status logs scale partitions token replay bench load edits overload soak scale-model search page reindex check test faults images test-images reload backup restore rabbitmqctl clean install named-log

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: install ## install missing packages, start everything, wait until it is ready: [CLUSTER=3] [OBSERVE=yes]
	@$(VENV)/python -m parley.stack up $(SIZE) $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(OBSERVE),--observe $(OBSERVE))

down: $(VENV)/python ## stop everything and keep the data
	@$(VENV)/python -m parley.stack down

status: $(VENV)/python ## print a table of the parts
	@$(VENV)/python -m parley.stack status

logs: $(VENV)/python ## follow all logs or one: [PART=gateway-1]
	@$(VENV)/python -m parley.stack logs $(PART)

scale: $(VENV)/python ## change the number of gateways and workers: GATEWAYS=4 WORKERS=3
	@$(VENV)/python -m parley.stack scale $(SIZE)

reload: $(VENV)/python ## have the services read JWT_SECRET_FILE and LOG_LEVEL_FILE again, without a restart
	@$(VENV)/python -m parley.stack reload

partitions: $(VENV)/python ## change the number of partitions while all runs: N=16 [ARGS=--status]
	@$(VENV)/python -m parley.stack exec $(VENV)/python -m parley.persistence_worker.partitions $(N) $(ARGS)

token: $(VENV)/python ## print a token for trying things out: USER=alice [NAME=Alice] [ROLE=admin] [TTL=24h]
	@$(VENV)/python -m parley.stack token "$(if $(filter command line,$(origin USER)),$(USER))" --name "$(NAME)" --role "$(ROLE)" --ttl "$(TTL)"

replay: named-log up ## send an IRC log through the stack and verify the result: LOG=file [SPEED=1|10|max]
	@PYTHONPATH=tests $(VENV)/python -m parley.stack exec $(VENV)/python -m load.replay "$(LOG)" --speed "$(SPEED)" \
		--url "$$($(VENV)/python -m parley.stack url)"

bench: ## compare Parley with the guides' own stack under the same load: [ARGS="--scenes closed,1000 --rounds 1"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load.bench $(ARGS)

load: ## thousands of websocket clients, a page with pictures: [ARGS="--groups 1000x10,1x1000@20 --rate 200 --kill gateway-1"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load $(ARGS)

edits: install ## measure edits per second, and what they cost other users of the partition: [ARGS="--editors 8"]
	@PYTHONPATH=tests $(VENV)/python -m load.edits $(ARGS)

overload: install ## offer more load than capacity and plot the throughput: [ARGS="--seconds 15 --slow rabbitmq --picture file.svg"]
	@PYTHONPATH=tests $(VENV)/python -m load.overload $(ARGS)

soak: install ## connect and drop clients for minutes, then check for leaks: [ARGS="--minutes 3"]
	@PYTHONPATH=tests $(VENV)/python -m load.soak $(ARGS)

scale-model: ## measure what users cost in each part, and calculate large systems: [ARGS="--check-sockets 3000"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load.scale_model $(ARGS)

search: ## measure searches in a million messages, and what their index costs: [ARGS="--messages 100000"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load.search $(ARGS)

bus: ## measure the bus on one Redis and on a Redis Cluster of three masters: [ARGS="--channels 100000"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load.bus $(ARGS)

page: ## measure the chat page with a long thread, and its load on a slow network: [ARGS="--messages 5000"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m load.chat_page $(ARGS)

backup: $(VENV)/python ## write the stored data to a file while all runs: TO=/backups/
	@$(VENV)/parley backup $(if $(TO),"$(TO)",.) $(ARGS)

restore: $(VENV)/python ## replace the stored data by a backup; the services stop meanwhile: FROM=file [ARGS=--replace]
	@test -n "$(FROM)" || { echo "parley: Name the backup: make restore FROM=file" >&2; exit 2; }
	@$(VENV)/python -m parley.stack restore "$(FROM)" $(ARGS)

rabbitmqctl: $(VENV)/python ## run rabbitmqctl on the stack's RabbitMQ: ARGS="list_queues name messages" [HOST=2]
	@$(VENV)/python -m parley.stack rabbitmqctl $(if $(HOST),--host $(HOST)) $(ARGS)

reindex: $(VENV)/python ## build the search index of the running stack anew
	@$(VENV)/python -m parley.stack exec $(VENV)/python -m parley.persistence_worker.search

check: ## run ruff, mypy (strict), import-linter, oxlint and the vulnerability audit
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/node $(PAGE)/node_modules/oxlint/bin/oxlint -c $(PAGE)/.oxlintrc.json $(PAGE) $(ADMIN_PAGE)
	$(VENV)/python -m parley.stack.audit

test: ## run the tests against real servers: [ARGS="-k word"] [JOBS=3]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	$(VENV)/pytest -n $(JOBS) $(ARGS)
	@echo "parley: make test-images tests the images in containers; no other test does."

faults: ## inject faults under load and print what users saw: [CLUSTER=3] [ALERTS=yes] [ARGS="--rows a,b --write"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m faults $(if $(filter 3,$(CLUSTER)),--cluster) $(if $(filter yes,$(ALERTS)),--alerts) $(ARGS)

images: install ## build the images of the gateway, the worker and nginx by docker or podman: [BASES=registry|debian]
	@$(VENV)/python -m parley.stack.images $(if $(BASES),--bases $(BASES))

test-images: ## build the images and test them as containers: [ARGS="-k word"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	$(VENV)/pytest -n 0 tests/images $(ARGS)

clean: $(VENV)/python ## delete the stack's data after confirmation: [CONFIRM=yes]
	@$(VENV)/python -m parley.stack clean $(if $(filter yes,$(CONFIRM)),--yes)

install: # what most targets need
	@$(PYTHON) deploy/src/parley/stack/install.py $(if $(filter yes,$(OBSERVE)),--observe)

named-log:
	@test -n "$(LOG)" || { echo "parley: Name the log: make replay LOG=path/to/irc.log" >&2; exit 2; }

$(VENV)/python:
	@$(PYTHON) deploy/src/parley/stack/install.py
