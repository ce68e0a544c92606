#!/bin/sh
# Runs nginx with the name server of the container's network, which differs between engines, and with the
# settings TRUSTED_PROXIES and MAX_CONNECTIONS_OF_ADDRESS. The file system is read-only except for /tmp.
set -eu
server=$(awk '/^nameserver [0-9.]+$/ { print $2; exit }' /etc/resolv.conf)
most=${MAX_CONNECTIONS_OF_ADDRESS:-4000}
networks=$(echo "${TRUSTED_PROXIES:-}" | tr ',' ' ')
case "$networks" in *[!0-9a-fA-F.:/\ ]*)
    echo "TRUSTED_PROXIES must list networks as 10.0.0.0/8 or addresses, not '$TRUSTED_PROXIES'." >&2
    exit 1 ;;
esac
case "$most" in *[!0-9]* | 0*)
    echo "MAX_CONNECTIONS_OF_ADDRESS must be a whole number above 0, not '$most'." >&2
    exit 1 ;;
esac
for network in $networks; do echo "set_real_ip_from $network;"; done > /tmp/trusted_proxies.conf
for network in $networks; do echo "$network 1;"; done > /tmp/trusted_networks.conf
sed -e "s/@NAME_SERVER@/${server:-127.0.0.1}/" -e "s/@MOST_CONNECTIONS@/$most/" \
    /etc/nginx/nginx.conf > /tmp/nginx.conf
exec nginx -e stderr -c /tmp/nginx.conf
