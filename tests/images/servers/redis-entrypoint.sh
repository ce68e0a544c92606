#!/bin/sh
# Does what the entry point of the official Redis image does: it gives the data to the server's user.
set -eu
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis '{}' +
    exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi
exec "$@"
