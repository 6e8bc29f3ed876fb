#!/bin/sh
set -e
cd /pebble
if [ ! -e cert.pem ]; then
    export OPENSSL_CONF=/etc/pebble/openssl.cnf
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=test ACME server' -extensions authority \
        -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=pebble -addext "subjectAltName=$NAMES" -keyout key.pem -out cert.csr
    openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -days 3650 -copy_extensions copyall -out cert.new
    mv cert.new cert.pem
fi 2>/dev/null
exec pebble -config /etc/pebble/pebble.json -dnsserver "$DNS"
