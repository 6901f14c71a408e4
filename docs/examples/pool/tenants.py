"""HTTP tenants by a header: each has a cluster of its own; without the header it is 403, for an unknown tenant 404.

A client may ask for several tenants on one connection. The header is believed, so whoever sets it has to be trusted:
let the proxy before this one set it, or compare it with a token.

Run it::

    twistd -n proxymux-pool --listen tcp:8080 --codec http --router tenants.py --target blue \\
        --cluster 'blue=127.0.0.1:8081;connections=4' --cluster 'red=127.0.0.1:8082,127.0.0.1:8083;connections=4'

Try it::

    python3 -m http.server 8081 --bind 127.0.0.1 &
    curl -i -H 'X-Tenant: blue' http://127.0.0.1:8080/
    curl -i -H 'X-Tenant: green' http://127.0.0.1:8080/
    curl -i http://127.0.0.1:8080/
"""

TENANTS = {b"blue": "blue", b"red": "red"}  # to the clusters of the command line


def route(request):
    """Say where a request goes."""
    names = [value for name, value in request.headers if name.lower() == b"x-tenant"]
    if len(names) != 1:
        return refuse(request, "403 Forbidden", "say who you are, once: X-Tenant\n")
    return TENANTS.get(names[0]) or refuse(request, "404 Not Found", "there is no such tenant\n")


def refuse(request, status, text):
    """A whole reply; to HEAD it is one without the body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
    return {"reply": (head if request.method == "HEAD" else head + text).encode()}
