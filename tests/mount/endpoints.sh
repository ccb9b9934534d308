#!/usr/bin/env bash
# Where a request comes in, and how: listeners that are endpoints of a VPC, the peer's address, TLS. What policies
# say of aws:SourceVpc, aws:SourceVpce, aws:SourceIp, aws:VpcSourceIp and aws:SecureTransport, over the wire.
. "$(dirname "$0")/lib/lib.sh"
need aws curl python3 openssl

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
start_kmsd && aws_credentials && pass "kmsd and an access key" || { fail "kmsd and an access key"; finish; }
check "kmsd stops" stop_kmsd
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "subjectAltName=IP:127.0.0.1" \
    -keyout "$WORK/tls.key" -out "$WORK/tls.pem" 2>/dev/null && chmod 600 "$WORK/tls.key"
ONE=$(free_port) TWO=$(free_port)
cat >>"$WORK/kmsd.toml" <<T

[[endpoints]]
address = "127.0.0.1:$ONE"
vpc = "vpc-1"
vpce = "vpce-1a"
[[endpoints]]
address = "127.0.0.1:$TWO"
certificate = "$WORK/tls.pem"
key = "$WORK/tls.key"
vpc = "vpc-1"
vpce = "vpce-1b"
T
check "kmsd with two endpoints" run_kmsd
export AWS_CA_BUNDLE=$WORK/tls.pem
PLAIN=$KMS_URL FIRST=http://127.0.0.1:$ONE SECOND=https://127.0.0.1:$TWO

# Everybody may do everything but encrypt, which takes what CONDITION says.
policy() {
    echo "{\"Version\":\"2012-10-17\",\"Statement\":[
        {\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"NotAction\":\"kms:Encrypt\",\"Resource\":\"*\"},
        {\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\",\"Condition\":$1}]}"
}
KEY=$(aws_kms create-key --query KeyMetadata.KeyId --output text)
echo x >"$WORK/plain"
encrypts() { # URL
    KMS_URL=$1 aws_kms encrypt --key-id "$KEY" --plaintext "fileb://$WORK/plain" --query KeyId --output text >/dev/null 2>"$WORK/wire" &&
        echo yes || { grep -q AccessDenied "$WORK/wire" && echo no || cat "$WORK/wire"; }
}
try() { # NAME CONDITION PLAIN FIRST SECOND
    policy "$2" >"$WORK/policy.json"
    check "$1" aws_kms put-key-policy --key-id "$KEY" --policy-name default --policy "file://$WORK/policy.json"
    same "$1: who may" "$3 $4 $5" "$(encrypts "$PLAIN") $(encrypts "$FIRST") $(encrypts "$SECOND")"
}
try "from the VPC" '{"StringEquals":{"aws:SourceVpc":"vpc-1"}}' no yes yes
try "through one endpoint" '{"StringEquals":{"aws:SourceVpce":"vpce-1b"}}' no no yes
try "not through an endpoint" '{"Null":{"aws:SourceVpce":"true"}}' yes no no
try "from an address" '{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}' yes no no
try "from an address in the VPC" '{"IpAddress":{"aws:VpcSourceIp":"127.0.0.1"}}' no yes yes
try "encrypted on the way" '{"Bool":{"aws:SecureTransport":"true"}}' no no yes
try "another VPC" '{"StringEquals":{"aws:SourceVpc":"vpc-2"}}' no no no
check "kmsd stops" stop_kmsd
finish
