"""Runs 1EdTech's validator of Open Badges 2.0 over what the test hands to it; started in an environment of its own.

stdin: {name: {"badge": an address, JSON or a signed token, "pages": {address: [content type, text]}}}
stdout: {name: {"valid": bool, "messages": […], "asked": [addresses]}}

No request leaves the machine: every one is answered from `pages`, or as a host that is not there.
"""

import collections
import collections.abc
import json
import logging
import sys


def main():
    # The libraries of its time look for these where Python had them until 3.9.
    for name in ("Callable", "Iterable", "Mapping", "MutableMapping", "MutableSet", "Sequence", "Set"):
        setattr(collections, name, getattr(collections.abc, name))
    import requests
    import requests.adapters
    from openbadges import verifier
    from openbadges.verifier.openbadges_context import OPENBADGES_CONTEXT_V2_DICT

    logging.getLogger("openbadges.verifier").setLevel(logging.CRITICAL)  # it prints what it also reports
    given = json.load(sys.stdin)
    context = {"https://w3id.org/openbadges/v2": ["application/ld+json", json.dumps(OPENBADGES_CONTEXT_V2_DICT)]}
    pages = {}
    asked = []

    def answer(_adapter, request, **_options):
        asked.append(request.url)
        if request.url not in pages:
            raise requests.ConnectionError("not handed over: " + request.url)
        kind, text = pages[request.url]
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["content-type"] = kind
        response._content, response.encoding = text.encode(), "utf-8"
        return response

    requests.adapters.HTTPAdapter.send = answer
    answers = {}
    for name, one in given.items():
        asked.clear()
        pages.clear()
        pages.update(context, **one["pages"])
        report = verifier.verify(one["badge"], use_cache=False, cache_backend=None)["report"]
        messages = [message["result"] for message in report["messages"]]
        answers[name] = {"valid": report["valid"], "messages": messages, "asked": sorted(set(asked))}
    json.dump(answers, sys.stdout)


main()
