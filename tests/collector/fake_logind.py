#!/usr/bin/python3
"""Stands for systemd-logind on a bus: fake_logind.py ADDRESS SESSIONS

SESSIONS is a JSON object: the id of each session, and properties that it has beside those of
dbusmock's template. One without any ("ghost": null) is in the list, and gone when it is asked for.
Says "ready" once it can be asked.
"""
import json
import sys

import dbus
import dbus.mainloop.glib
import dbusmock.mockobject
from dbusmock.templates import logind
from gi.repository import GLib

SESSION = "org.freedesktop.login1.Session"


def typed(name, value):
    return dbus.UInt64(value) if name.startswith("IdleSince") else value


def main():
    address, sessions = sys.argv[1], json.loads(sys.argv[2])
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(address)
    name = dbus.service.BusName(logind.BUS_NAME, bus, do_not_queue=True)
    manager = dbusmock.mockobject.DBusMockObject(name, logind.MAIN_OBJ, logind.MAIN_IFACE, {})
    dbusmock.mockobject.objects[logind.MAIN_OBJ] = manager
    manager.AddTemplate("logind", {})
    for session, properties in sessions.items():
        path = manager.AddSession(session, "seat0", 1000, "anna", True)
        mock = dbusmock.mockobject.objects[path]
        if properties is None:
            mock.remove_from_connection()
            continue
        for key, value in properties.items():
            mock.Set(SESSION, key, typed(key, value))
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
