#!/bin/sh
# Runs nginx with the name server of the container's network, which differs between engines. The file system
# is read-only except for /tmp.
set -eu
server=$(awk '/^nameserver [0-9.]+$/ { print $2; exit }' /etc/resolv.conf)
sed "s/@NAME_SERVER@/${server:-127.0.0.1}/" /etc/nginx/nginx.conf > /tmp/nginx.conf
exec nginx -e stderr -c /tmp/nginx.conf
