#!/bin/sh
# Runs nginx with the name server of the container's network, which differs between engines, and with these
# settings. The file system is read-only except for /tmp.
#   TRUSTED_PROXIES, MAX_CONNECTIONS_OF_ADDRESS: see .env.example.
#   GATEWAYS: the host and port of all gateways.
#   GATEWAY_PODS: in Kubernetes the gateways' StatefulSet and the domain of its pods, such as
#       parley-gateway.parley-gateway-pods.parley.svc.cluster.local; else a gateway's name is its container's id.
set -eu
server=$(awk '/^nameserver [0-9.]+$/ { print $2; exit }' /etc/resolv.conf)
most=${MAX_CONNECTIONS_OF_ADDRESS:-4000}
networks=$(echo "${TRUSTED_PROXIES:-}" | tr ',' ' ')
gateways=${GATEWAYS:-gateway:8001}
pods=${GATEWAY_PODS:-}
case "$networks" in *[!0-9a-fA-F.:/\ ]*)
    echo "TRUSTED_PROXIES must list networks as 10.0.0.0/8 or addresses, not '$TRUSTED_PROXIES'." >&2
    exit 1 ;;
esac
case "$most" in *[!0-9]* | 0*)
    echo "MAX_CONNECTIONS_OF_ADDRESS must be a whole number above 0, not '$most'." >&2
    exit 1 ;;
esac
case "$gateways" in *[!0-9a-z.:-]* | *:*:* | *: | :*)
    echo "GATEWAYS must be a host and a port as gateway:8001, not '$gateways'." >&2
    exit 1 ;;
*:*) ;;
*)
    echo "GATEWAYS must have a port as gateway:8001, not '$gateways'." >&2
    exit 1 ;;
esac
case "$pods" in *[!0-9a-z.-]* | .*)
    echo "GATEWAY_PODS must be a StatefulSet and the domain of its pods, not '$pods'." >&2
    exit 1 ;;
'')
    node='[0-9a-f]{12}'
    address=":${gateways##*:}" ;;
*.*)
    node="${pods%%.*}-[0-9]{1,4}"
    address=".${pods#*.}:${gateways##*:}" ;;
*)
    echo "GATEWAY_PODS must have the domain of the pods, unlike '$pods'." >&2
    exit 1 ;;
esac
for network in $networks; do echo "set_real_ip_from $network;"; done > /tmp/trusted_proxies.conf
for network in $networks; do echo "$network 1;"; done > /tmp/trusted_networks.conf
sed -e "s/@NAME_SERVER@/${server:-127.0.0.1}/" -e "s/@MOST_CONNECTIONS@/$most/" \
    -e "s/@GATEWAYS@/$gateways/" -e "s/@NODE@/$node/" -e "s/@NODE_ADDRESS@/$address/" \
    /etc/nginx/nginx.conf > /tmp/nginx.conf
# Engines give a process 1,024 open files at first, and allow it more.
ulimit -n "$(ulimit -H -n)"
exec nginx -e stderr -c /tmp/nginx.conf
