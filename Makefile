# Parley: make help

PYTHON ?= python3
VENV := .venv/bin
SPEED ?= max
TTL ?= 24h
# All tests wait more than they compute; a few, asked for by name, are told of as they go.
JOBS ?= $(if $(ARGS),0,2)
SIZE = $(if $(GATEWAYS),--gateways $(GATEWAYS)) $(if $(WORKERS),--workers $(WORKERS))

.DEFAULT_GOAL := help
.PHONY: help up down status logs scale token replay bench overload soak check test faults clean install named-log

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: install ## install what is missing, start everything, wait until it is ready
	@$(VENV)/python -m parley.stack up $(SIZE)

down: $(VENV)/python ## stop everything; the data stays
	@$(VENV)/python -m parley.stack down

status: $(VENV)/python ## a table of the parts
	@$(VENV)/python -m parley.stack status

logs: $(VENV)/python ## follow the logs, or one: PART=gateway-1
	@$(VENV)/python -m parley.stack logs $(PART)

scale: $(VENV)/python ## change the numbers: GATEWAYS=4 WORKERS=3
	@$(VENV)/python -m parley.stack scale $(SIZE)

token: $(VENV)/python ## a token to try things with: USER=alice [NAME=Alice] [ROLE=admin] [TTL=24h]
	@$(VENV)/python -m parley.stack token "$(if $(filter command line,$(origin USER)),$(USER))" --name "$(NAME)" --role "$(ROLE)" --ttl "$(TTL)"

replay: named-log up ## say an IRC log through the stack and prove the result: LOG=file [SPEED=1|10|max]
	@PYTHONPATH=tests $(VENV)/python -m parley.stack exec $(VENV)/python -m load.replay "$(LOG)" --speed "$(SPEED)" \
		--url "$$($(VENV)/python -m parley.stack url)"

bench: install ## messages and deliveries a second of this machine: [ARGS="--sockets 200 --seconds 5"]
	@PYTHONPATH=tests $(VENV)/python -m load.throughput $(ARGS)

overload: install ## offer more than can be carried, and draw what is: [ARGS="--seconds 15 --picture file.svg"]
	@PYTHONPATH=tests $(VENV)/python -m load.overload $(ARGS)

soak: install ## people come and go abruptly for minutes, then all is back where it was: [ARGS="--minutes 3"]
	@PYTHONPATH=tests $(VENV)/python -m load.soak $(ARGS)

check: install ## ruff, mypy (strict), import-linter, known vulnerabilities
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m parley.stack.audit

test: ## the tests, against real servers of their own: [ARGS="-k word"] [JOBS=2]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	$(VENV)/pytest -n $(JOBS) --dist worksteal $(ARGS)

faults: ## break everything there is, under load, and print what users saw of it: [ARGS="--rows a,b --markdown"]
	@$(PYTHON) deploy/src/parley/stack/install.py --for-tests
	@PYTHONPATH=tests $(VENV)/python -m faults $(ARGS)

clean: $(VENV)/python ## delete the stack's data, after asking: [CONFIRM=yes]
	@$(VENV)/python -m parley.stack clean $(if $(filter yes,$(CONFIRM)),--yes)

install: # what `up`, `check` and `test` need
	@$(PYTHON) deploy/src/parley/stack/install.py

named-log:
	@test -n "$(LOG)" || { echo "parley: say which log: make replay LOG=path/to/irc.log" >&2; exit 2; }

$(VENV)/python:
	@$(PYTHON) deploy/src/parley/stack/install.py
