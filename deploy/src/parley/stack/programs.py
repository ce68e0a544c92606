"""Parts as supervisor programs: a section of its configuration and a start script each."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from parley.stack.limits import open_files
from parley.stack.parts.part import Part
from parley.stack.paths import StackPaths, write

_SUPERVISORD = """\
[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile={log}
pidfile={pid}
directory={root}
minfds={files}
umask=077
"""

_PROGRAM = """
[program:{name}]
command={command}
directory={directory}
priority={priority}
autostart={autostart}
autorestart=true
startsecs=1
startretries=1000
stopsignal=TERM
stopwaitsecs=20
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""

_SCRIPT = """\
#!/bin/sh
# Starts {name}; written anew at each `up`.
{exports}exec {command}
"""


def write_config(paths: StackPaths, parts: Iterable[Part]) -> Path:
    """Write the start scripts and supervisor's configuration; return the configuration's path."""
    config = paths.config / "supervisord.conf"
    write(config, _header(paths) + "".join(_section(paths, part) for part in parts))
    return config


def is_changed(paths: StackPaths, part: Part) -> bool:
    """Whether the part's start script differs from the one written last."""
    script = paths.config / f"{part.name}.sh"
    return not script.exists() or script.read_text() != _script(part)


def _header(paths: StackPaths) -> str:
    return _SUPERVISORD.format(
        socket=_escape_percent(paths.socket),
        log=_escape_percent(paths.log("supervisord")),
        pid=_escape_percent(paths.root / "supervisord.pid"),
        root=_escape_percent(paths.root),
        files=open_files(),
    )


def _section(paths: StackPaths, part: Part) -> str:
    part.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = _script(part)
    script = paths.config / f"{part.name}.sh"
    write(script, text, mode=0o700)
    # Supervisor restarts programs whose command changed. The digest, which the script ignores, makes a
    # changed script a changed command.
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return _PROGRAM.format(
        name=part.name,
        command=_escape_percent(f"/bin/sh {shlex.quote(str(script))} {digest}"),
        directory=_escape_percent(part.directory),
        priority=int(part.tier),
        autostart=str(part.autostart).lower(),
        # Supervisor expands a program's log path twice, so it is escaped twice.
        log=_escape_percent(_escape_percent(paths.log(part.name))),
    )


def _script(part: Part) -> str:
    return _SCRIPT.format(name=part.name, exports=_exports(part.env), command=shlex.join(part.argv))


def _exports(env: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(env.items()))


def _escape_percent(text: Path | str) -> str:
    """Escape percent signs, since supervisor expands %(names)s in every value."""
    return str(text).replace("%", "%%")
