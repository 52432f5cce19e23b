#!/bin/sh
# Generate the Nginx site for containers from deploy/nginx.conf, with other nodes, ports and paths but the same rules. The
# Nginx image runs this script from /docker-entrypoint.d before it starts Nginx.
#
#   SITE_NAME  the host name of the site
#   NODES      host:port of each node, separated by spaces; addresses, as Nginx looks names up only at its start
#   SITE       deploy/nginx.conf, mounted
#   OUTPUT     where Nginx reads the site
#   TLS        folder of fullchain.pem and privkey.pem; without them the site is plain http
set -eu
: "${SITE_NAME:?}" "${NODES:?}" "${SITE:=/etc/gatehouse/nginx.conf}" "${OUTPUT:=/etc/nginx/conf.d/default.conf}"
: "${TLS:=/etc/gatehouse/tls}"

servers=""
for node in $NODES; do
    # A node that refuses a connection is not used for two seconds.
    servers="$servers    server $node max_fails=1 fail_timeout=2s;\\n"
done

# With several nodes, a request goes to the next one if it was not sent: the connection was refused, or took too long. One
# that was sent does not (no non_idempotent): that would be a second model call.
sed -e "s|^    server unix:.*|$servers|" \
    -e "s/gatehouse\.example\.com/$SITE_NAME/g" \
    -e 's/proxy_next_upstream off;/proxy_next_upstream error timeout;/' \
    -e 's/listen 80 /listen 8080 /' -e 's/listen \[::\]:80 /listen [::]:8080 /' \
    -e 's/listen 443 /listen 8443 /' -e 's/listen \[::\]:443 /listen [::]:8443 /' \
    -e "s|/etc/letsencrypt/live/$SITE_NAME|$TLS|" \
    -e 's|access_log .*gatehouse.log|access_log /dev/stdout|' -e 's|error_log .*gatehouse-error.log|error_log /dev/stderr|' \
    "$SITE" > "$OUTPUT"
if [ -e "$TLS/fullchain.pem" ]; then
    sed -i -e '/# plain http$/d' -e 's/^\( *\)#tls /\1/' "$OUTPUT"
fi
