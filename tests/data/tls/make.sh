#!/bin/sh
# Makes the certificates of this folder, valid for a hundred years. For tests only: their keys are public.
set -eu
cd "$(dirname "$0")"

authority() { # file, common name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
    -keyout "$1.key" -out "$1.pem" -subj "/CN=$2"
}

certificate() { # file, authority, subject, alternative names, usage
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$3"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$4" "$5" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 36500 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}

authority ca "Test authority"
authority impostor_ca "Test authority" # the same name, another key
certificate server ca /CN=localhost DNS:localhost,IP:127.0.0.1 serverAuth
certificate client ca /CN=build-farm DNS:build-farm.test clientAuth
certificate client_uri ca /O=Example URI:spiffe://example.org/worker clientAuth
certificate client_two_names ca /CN=build-farm/CN=admin DNS:two.test clientAuth
certificate client_odd_name ca "/CN=no caller" DNS:odd.test clientAuth
certificate stranger impostor_ca /CN=build-farm DNS:build-farm.test clientAuth
rm -f ./*.srl ca.key impostor_ca.key impostor_ca.pem
chmod 600 ./*.key
