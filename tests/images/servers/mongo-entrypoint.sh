#!/bin/bash
# Does what the entry point of the official MongoDB image does: at the first start it creates the users on a
# server without authentication, replica set and remote clients.
set -eu
[ "$1" = mongod ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    chown -R mongodb /data/db /data/configdb
    export HOME=/tmp
    exec setpriv --reuid mongodb --regid mongodb --clear-groups "$0" "$@"
fi

if [ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ]; then
    if [ ! -e /data/db/WiredTiger ]; then
        first=()
        skipped=
        for word in "$@"; do
            if [ -n "$skipped" ]; then
                skipped=
            elif [ "$word" = --replSet ] || [ "$word" = --keyFile ]; then
                skipped=yes
            else
                first+=("$word")
            fi
        done
        "${first[@]}" --bind_ip 127.0.0.1 --fork --logpath /dev/null --pidfilepath /tmp/mongod.pid
        mongosh --quiet admin --eval 'db.createUser({user: process.env.MONGO_INITDB_ROOT_USERNAME,
            pwd: process.env.MONGO_INITDB_ROOT_PASSWORD, roles: ["root"]})'
        for script in /docker-entrypoint-initdb.d/*.js; do
            mongosh --quiet test "$script"
        done
        mongod --shutdown --dbpath /data/db
    fi
    set -- "$@" --auth
fi
exec "$@" --bind_ip_all
