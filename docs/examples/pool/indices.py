"""OpenSearch whose indices nobody deletes: DELETE is for single documents; all else of it is answered with a 403.

So are the requests that empty or close an index. A ``_bulk`` request may still delete documents, one by one.

Run it::

    twistd -n proxymux-pool --listen tcp:9201 --codec http --router indices.py --target all \\
        --cluster 'all=127.0.0.1:9200;connections=4'

Try it::

    curl -X DELETE http://127.0.0.1:9201/books
    curl -X DELETE http://127.0.0.1:9201/books/_doc/1
"""

from urllib.parse import unquote

REFUSED = {"_delete_by_query", "_close"}
TEXT = '{"error": "not allowed here", "status": 403}\n'
REPLY = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(TEXT)}\r\n\r\n"


def route(request):
    """Answer what is refused; None is the --target."""
    # Parts are told apart before they are decoded, as OpenSearch does it: the id of a document may have a %2F.
    parts = [unquote(part) for part in request.path.partition("?")[0].split("/") if part]
    is_document = len(parts) == 3 and parts[1] == "_doc"
    if (request.method == "DELETE" and not is_document) or not REFUSED.isdisjoint(parts):
        return {"reply": (REPLY if request.method == "HEAD" else REPLY + TEXT).encode()}
    return None
