#!/usr/bin/env python3
"""A server of HTTP whose health the tests decide. usage: server.py PORT [unwell=N] [late=SECONDS]

It opens its port after `late`, answers the first `unwell` questions with 503 and all others with
200, and prints each status. As long as there is a file "hang" in its folder it answers nothing; one
that an earlier run left is removed.
"""

import contextlib
import http.server
import os
import sys
import time

OPTIONS = dict(option.split("=") for option in sys.argv[2:])
unwell = int(OPTIONS.get("unwell", 0))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global unwell
        while os.path.exists("hang"):
            time.sleep(0.01)
        status = 503 if unwell > 0 else 200
        unwell -= 1
        print(status, flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


with contextlib.suppress(FileNotFoundError):
    os.unlink("hang")
time.sleep(float(OPTIONS.get("late", 0)))
with contextlib.suppress(BrokenPipeError):
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
