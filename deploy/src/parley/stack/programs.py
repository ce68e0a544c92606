"""Parts as supervisor's programs: one section and one start script each."""

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


def write_all(place: StackPaths, parts: Iterable[Part]) -> Path:
    """Write the start scripts and supervisor's configuration; return the latter."""
    config = place.config / "supervisord.conf"
    write(config, _header(place) + "".join(_section(place, part) for part in parts))
    return config


def is_changed(place: StackPaths, part: Part) -> bool:
    """Whether a part would be started otherwise than it was the last time."""
    script = place.config / f"{part.name}.sh"
    return not script.exists() or script.read_text() != _script(part)


def _header(place: StackPaths) -> str:
    return _SUPERVISORD.format(
        socket=_literal(place.socket),
        log=_literal(place.log("supervisord")),
        pid=_literal(place.root / "supervisord.pid"),
        root=_literal(place.root),
        files=open_files(),
    )


def _section(place: StackPaths, part: Part) -> str:
    part.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = _script(part)
    script = place.config / f"{part.name}.sh"
    write(script, text, mode=0o700)
    # The digest does nothing but make a changed script a changed program, which is restarted.
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return _PROGRAM.format(
        name=part.name,
        command=_literal(f"/bin/sh {shlex.quote(str(script))} {digest}"),
        directory=_literal(part.directory),
        priority=int(part.tier),
        autostart=str(part.autostart).lower(),
        # Of a program's log, supervisor expands what it has expanded.
        log=_literal(_literal(place.log(part.name))),
    )


def _script(part: Part) -> str:
    return _SCRIPT.format(name=part.name, exports=_exports(part.env), command=shlex.join(part.argv))


def _exports(env: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(env.items()))


def _literal(text: Path | str) -> str:
    """Supervisor expands %(names)s in every value."""
    return str(text).replace("%", "%%")
