#!/usr/bin/env python3
"""Says through sd_notify(3) what its arguments are, one message each, and goes on."""

import os
import signal
import socket
import sys

address = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    for message in sys.argv[1:]:
        sender.sendto(message.encode(), "\0" + address[1:])
signal.pause()
