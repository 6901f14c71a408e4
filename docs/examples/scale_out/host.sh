# One host: sh host.sh PORT ADMIN-PORT, in the folder of router.py and of the file "token".
#
# On a machine of its own it listens on an address that the balancer reaches, and trusts the balancer's headers:
#
#     --listen haproxy:tcp:7001:interface=10.0.0.11 --trust-proxy 10.0.0.5 --admin tcp:7101:interface=10.0.0.11

exec twistd -n --pidfile= proxymux \
    --router router.py \
    --listen "haproxy:tcp:$1:interface=127.0.0.1" \
    --workers 2 \
    --cluster "users=127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003;policy=random;health=tcp" \
    --send-proxy v1 \
    --admin "$2" --admin-token-file token
