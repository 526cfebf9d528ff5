#!/usr/bin/env python3
"""Writes the dashboards beside this file: overview.json and idle-cost.json.

  generate.py           writes both
  generate.py --check   names those that are stale, and then ends with 1

A query never uses the recording rules, so the dashboards work on a Prometheus without them.
"""

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
IN_WH = "/ 3600"  # from joules
IN_KWH = "/ 3.6e6"
KWH_IN_A_YEAR = "* 8.766"  # from watts: 8,766 hours
SERVICE = "{{service}} on {{instance}}"

# --- PromQL -------------------------------------------------------------------------------------


def of(metric, matchers=""):
    """A selector for the chosen machines. Every metric of every query goes through here."""
    return metric + "{" + matchers + (", " if matchers else "") + 'instance=~"$instance"}'


def by_service(query):
    return f"sum by (instance, service) ({query})"


def rate(selector):
    return f"rate({selector}[$__rate_interval])"


def grown(selector):
    """What a counter grew by in the whole range of the dashboard."""
    return f"increase({selector}[$__range])"


# The daemon sums the machine itself, each joule once.
MACHINE = of("idlewatt_host_power_watts")
COMPUTE = of("idlewatt_host_compute_watts")


def watts(matchers):
    return of("idlewatt_power_watts", matchers)


# Of each source what counts, as the daemon takes it: what an APU says of its whole package where
# RAPL tells of none, and the platform where there is neither a package nor a meter of the machine.
RAPL_PACKAGES = watts('source="rapl", domain=~"package.*"')
APU_PACKAGES = watts('source="drm", domain=~".*-package"')
WHOLE_METERS = watts('source!="model", domain="system"')
COUNTED = (
    watts('domain=~"package.*|dram.*|system|gpu[0-9]+"')
    + f" or ({APU_PACKAGES} unless on (job, instance) {RAPL_PACKAGES})"
    + f""" or ({watts('source="rapl", domain="psys"')} unless on (job, instance)"""
    + f" ({RAPL_PACKAGES} or {APU_PACKAGES} or {WHOLE_METERS}))")
BY_SOURCE = (
    f'label_replace(label_replace(sum by (instance, source) ({COUNTED}), '
    '"how", "measured by $1", "source", "(.*)"), '
    '"how", "ESTIMATED, not measured", "source", "model")')

ENERGY = "idlewatt_service_energy_joules_total"
POWER = by_service(of("idlewatt_service_power_watts"))
IDLE_POWER = f'{POWER} * {by_service(of("idlewatt_service_idle"))}'
ACTIVE_JOULES = by_service(grown(of(ENERGY, 'state="active"')))
IDLE_JOULES = by_service(grown(of(ENERGY, 'state="idle"')))
ALL_IDLE_JOULES = f"""sum({grown(of(ENERGY, 'state="idle"'))})"""
CPU = by_service(rate(of("idlewatt_service_cpu_seconds_total")))


def own(query):
    """process_*: other programs have them too, so those of idlewatt only."""
    return f'{query} and on (job, instance) {of("idlewatt_build_info")}'


# --- Panels -------------------------------------------------------------------------------------


def names_of(values):
    """A mapping from numbers to words: {0: ("no", "green")}."""
    options = {str(number): {"index": i, "text": text, "color": color}
               for i, (number, (text, color)) in enumerate(values.items())}
    return [{"type": "value", "options": options}]


def steps(*pairs):
    """Colors from a value on: steps((None, "green"), (5, "orange"))."""
    return {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in pairs]}


HIDDEN = ""
PLAIN = steps((None, "green"))
YES_NO = names_of({0: ("no", "text"), 1: ("yes", "green")})
ALERT_STATES = names_of({0: ("inactive", "green"), 1: ("pending", "orange"), 2: ("firing", "red")})
PRESSURES = names_of({0: ("nominal", "green"), 1: ("fair", "yellow"), 2: ("serious", "orange"),
                      3: ("critical", "red")})
IDLE = names_of({0: ("in use", "green"), 1: ("idle", "orange")})


def panel(kind, title, description, unit, targets, width=12, height=8, **defaults):
    """One panel. targets: (query, legend) pairs; defaults go into its field configuration."""
    custom = defaults.pop("custom", {})
    return {
        "type": kind, "title": title, "description": description, "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": custom, "thresholds": PLAIN, **defaults},
            "overrides": []},
        "options": {},
        "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "editorMode": "code",
                     "expr": re.sub(r"\s+", " ", query).strip(), "legendFormat": legend}
                    for i, (query, legend) in enumerate(targets)],
    }


def graph(title, description, unit, *targets, stacked=False, bars=False, step=None, **more):
    more = {"min": 0, "color": {"mode": "palette-classic"}, **more}
    made = panel("timeseries", title, description, unit, targets, custom={
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars else 30 if stacked else 10,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }, **more)
    made["options"] = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True,
                   "calcs": ["mean", "max", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"}}
    for target in made["targets"]:
        target["range"] = True
    if step:
        made["interval"] = step
    return made


def instant(made):
    for target in made["targets"]:
        target.update(instant=True, range=False)
    return made


# Options of a panel that shows the newest value of each series.
NEWEST = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
          "orientation": "auto", "colorMode": "value", "textMode": "auto"}


def stat(title, description, unit, *targets, width=6, height=5, over_time=False, **more):
    made = panel("stat", title, description, unit, targets, width, height, **more)
    made["options"] = {**NEWEST, "graphMode": "area" if over_time else "none"}
    return made if over_time else instant(made)


def ranking(title, description, unit, *targets, **more):
    made = panel("bargauge", title, description, unit, targets, min=0, **more)
    made["options"] = {**NEWEST, "orientation": "horizontal", "displayMode": "gradient",
                       "showUnfilled": True}
    return instant(made)


def timeline(title, description, mappings, *targets, **more):
    made = panel("state-timeline", title, description, "none", targets, mappings=mappings,
                 custom={"fillOpacity": 70, "lineWidth": 0}, **more)
    made["options"] = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.9,
                       "legend": {"displayMode": "list", "placement": "bottom",
                                  "showLegend": False},
                       "tooltip": {"mode": "single", "sort": "none"}}
    for target in made["targets"]:
        target["range"] = True
    return made


def table(title, description, *columns, sort_by=None, **more):
    """columns: (name, unit, query) or (name, unit, query, mappings). Rows join by their labels.

    Of a column named HIDDEN only the labels are shown.
    """
    made = instant(panel("table", title, description, "none", [(c[2], "") for c in columns],
                         **more))
    names, hidden = {"instance": "machine"}, {"Time": True}
    for target, column in zip(made["targets"], columns):
        target["format"] = "table"
        value = "Value" if len(columns) == 1 else f"Value #{target['refId']}"
        if column[0] == HIDDEN:
            hidden[value] = True
            continue
        names[value] = column[0]
        properties = [{"id": "unit", "value": column[1]}]
        if len(column) > 3:
            properties += [{"id": "mappings", "value": column[3]},
                           {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        made["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": column[0]}, "properties": properties})
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "renameByName": names,
                                       "indexByName": {}}}]
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    if sort_by:
        made["options"]["sortBy"] = [{"displayName": sort_by, "desc": True}]
    return made


# On both dashboards.
def machine_power():
    return stat("Machine power",
                "What the machine draws now, as far as it is measured, each joule once. The panel "
                "beside it says what measures.",
                "watt", (MACHINE, "{{instance}}"), over_time=True, decimals=1)


def power_origin():
    made = stat("Where the watts come from",
                "What each source shows; a battery shows the packages again, so these must not be "
                "added up. ESTIMATED means that nothing here measures the machine and the number "
                "is computed from CPU use with [collector.power.model]; take every watt, joule "
                "and cost on this page as an estimate then.",
                "watt", (BY_SOURCE, "{{how}}, {{instance}}"), decimals=1)
    made["options"]["textMode"] = "value_and_name"
    made["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byRegexp", "options": "/^ESTIMATED/"},
         "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": "orange"}}]}]
    return made


# --- Dashboards ---------------------------------------------------------------------------------

OVERVIEW = {
    "Now": [
        machine_power(),
        power_origin(),
        stat("Services ready", "Supervised services that are ready now, of each machine.", "none",
             (f'sum by (instance) ({of("idlewatt_service_ready")})', "{{instance}}"), width=4),
        stat("Services idle", "Services that nobody has used for idle.after, of each machine.",
             "none", (f'sum by (instance) ({of("idlewatt_service_idle")})', "{{instance}}"),
             width=4),
        stat("Alerts firing", "How many of idlewatt's own alerts fire now, of each machine.",
             "none",
             (f'sum by (instance) ({of("idlewatt_alert_state")} == bool 2)', "{{instance}}"),
             width=4, thresholds=steps((None, "green"), (1, "red"))),
    ],
    "Power and energy": [
        graph("Power by source and domain",
              "Every reading of power. Domains overlap: core is a part of package, and a battery "
              "sees the whole machine; so these lines must not be added up.",
              "watt", (of("idlewatt_power_watts"), "{{domain}} ({{source}}) on {{instance}}")),
        graph("Energy by source and domain",
              "What each domain used in each bar of ten minutes or more. Domains overlap here too.",
              "watth",
              (f'increase({of("idlewatt_energy_joules_total")}[$__interval]) {IN_WH}',
               "{{domain}} ({{source}}) on {{instance}}"),
              bars=True, step="10m"),
        graph("Power by service",
              "The share of the measured power that each service is given, by its CPU and GPU "
              "time; idle or not. The floor of the machine is in no service.",
              "watt", (POWER, SERVICE), stacked=True),
        graph("Floor and unattributed",
              "Floor: what a domain draws even when nothing runs. Unattributed: measured power "
              "that no service and no floor explains.",
              "watt",
              (rate(of("idlewatt_host_floor_joules_total")), "floor of {{domain}}, {{instance}}"),
              (rate(of("idlewatt_attribution_unattributed_joules_total")),
               "unattributed of {{domain}}, {{instance}}"),
              stacked=True),
        table("Energy by service, in use and idle",
              "Energy of each service in the chosen range, by whether somebody used it then.",
              ("in use", "watth", f"{ACTIVE_JOULES} {IN_WH}"),
              ("idle", "watth", f"{IDLE_JOULES} {IN_WH}"), sort_by="idle"),
        table("Alerts",
              "idlewatt's own alerts that are pending or fire now. One without a service is "
              "about the whole machine.",
              ("state", "none",
               f'sum by (instance, alert, service, severity) ({of("idlewatt_alert_state")}) > 0',
               ALERT_STATES)),
    ],
    "Services": [
        table("Supervised services",
              "The services that idlewatt runs: state, whether they are ready, restarts of any "
              "reason since they are known, and how long they run.",
              (HIDDEN, "none",
               f'sum by (instance, service, state) ({of("idlewatt_service_state")}) == 1'),
              ("ready", "none", by_service(of("idlewatt_service_ready")), YES_NO),
              ("restarts", "none",
               by_service(of("idlewatt_service_restarts_total")) + " or " +
               by_service(of("idlewatt_service_ready")) + " * 0"),
              ("runs for", "dtdurations", by_service(of("idlewatt_service_uptime_seconds"))),
              width=24),
        graph("CPU by service", "CPU time of each service; 100 % is one CPU.", "percentunit",
              (CPU, SERVICE)),
        graph("Memory by service",
              "Resident memory of each service. Pages that processes share count in each of them.",
              "bytes", (by_service(of("idlewatt_service_resident_memory_bytes")), SERVICE)),
    ],
    "Heat, fans and battery": [
        graph("Temperatures",
              "Sensors of the hardware monitoring chips.",
              "celsius",
              (of("idlewatt_temperature_celsius"), "{{label}} ({{chip}}), {{instance}}")),
        graph("Thermal zones", "Temperatures of the thermal zones of the kernel.", "celsius",
              (of("idlewatt_thermal_zone_celsius"), "{{type}} (zone {{zone}}), {{instance}}")),
        timeline("Thermal pressure",
                 "How near the machine is to its limits of heat. Absent where it gives no limit "
                 "to compare with.",
                 PRESSURES, (of("idlewatt_thermal_pressure"), "{{instance}}")),
        graph("Fans", "Turns of each fan per minute.", "rotrpm",
              (of("idlewatt_fan_rpm"), "{{label}} ({{chip}}), {{instance}}")),
        graph("Battery charge", "Charge of each battery of the machine.", "percentunit",
              (of("idlewatt_battery_charge_ratio"), "{{battery}}, {{instance}}"), max=1),
    ],
    "GPUs": [
        graph("GPU use", "Share of time in which each GPU was busy. A GPU that sleeps has none.",
              "percentunit",
              (of("idlewatt_gpu_utilization_ratio"), "{{gpu}}, {{instance}}"), max=1),
        graph("GPU memory", "Memory in use on each GPU.", "bytes",
              (of("idlewatt_gpu_memory_used_bytes"), "{{gpu}}, {{instance}}")),
        graph("GPU memory by service", "Memory of the GPUs that each service holds, idle or not.",
              "bytes", (by_service(of("idlewatt_service_gpu_memory_bytes")), SERVICE)),
        graph("GPU temperature", "Temperature of each GPU.", "celsius",
              (of("idlewatt_gpu_temperature_celsius"), "{{gpu}}, {{instance}}")),
    ],
    "idlewatt itself": [
        table("Samplers",
              "What reads the machine: whether its last reading succeeded, how old the last good "
              "one is, and how long a reading takes.",
              ("works", "none", f'max by (instance, sampler) ({of("idlewatt_sampler_success")})',
               names_of({0: ("no", "red"), 1: ("yes", "green")})),
              ("age", "s", f'max by (instance, sampler) ({of("idlewatt_sampler_age_seconds")})'),
              ("takes", "s",
               f'max by (instance, sampler) ({of("idlewatt_sampler_duration_seconds")})')),
        table("Sources that cannot be read",
              "Where values are missing, and the kind of reason. `idlewatt sensors` on the "
              "machine says more, and what would help.",
              (HIDDEN, "none",
               f'sum by (instance, source, reason) ({of("idlewatt_source_available")}) == 0')),
        graph("CPU of idlewatt", "CPU time that idlewatt itself uses; 100 % is one CPU.",
              "percentunit", (own(rate(of("process_cpu_seconds_total"))), "{{instance}}"), width=8),
        graph("Memory of idlewatt", "Resident memory of idlewatt itself.", "bytes",
              (own(of("process_resident_memory_bytes")), "{{instance}}"), width=8),
        graph("History on disk", "Size of the database of idlewatt.", "bytes",
              (of("idlewatt_storage_bytes"), "{{instance}}"), width=8),
    ],
}

IDLE_COST = {
    "What idling costs": [
        stat("Idle energy", "Energy that services used in the chosen range while nobody used "
             "them.", "watth", (f"{ALL_IDLE_JOULES} {IN_WH}", "idle energy")),
        stat("Cost of idling ($currency)",
             "The idle energy times the price per kWh that is set above.",
             "none", (f"{ALL_IDLE_JOULES} {IN_KWH} * $price_per_kwh", "cost"), decimals=2),
        stat("Idle share",
             "Idle energy of all services as a share of all their energy, in the chosen range. "
             "The floor of the machine is no part of it.",
             "percentunit", (f"{ALL_IDLE_JOULES} / sum({grown(of(ENERGY))})", "idle share"),
             decimals=1, thresholds=steps((None, "green"), (0.5, "orange"))),
        stat("Per year at the present idle power ($currency)",
             "What a year costs if the services that are idle now go on drawing what they draw "
             "now.",
             "none", (f"sum({IDLE_POWER}) {KWH_IN_A_YEAR} * $price_per_kwh", "cost in a year"),
             decimals=2),
        ranking("Idle energy by service",
                "The question of this page: which service used energy in the chosen range while "
                "nobody used it? The worst is on top.",
                "watth", (f"sort_desc({IDLE_JOULES} {IN_WH})", SERVICE), height=10),
        graph("Idle power by service",
              "Power of each service while it is idle; it is 0 while somebody uses it.",
              "watt", (by_service(rate(of(ENERGY, 'state="idle"'))), SERVICE), stacked=True,
              height=10),
        table("Who idles, and what it costs",
              "Each service: its idle energy and what that cost in the chosen range, its power "
              "now if it is idle, a year of that, its CPU (100 % is one CPU), for how long nobody "
              "has used it, and when somebody last did.",
              ("idle energy", "watth", f"{IDLE_JOULES} {IN_WH}"),
              ("cost", "none", f"{IDLE_JOULES} {IN_KWH} * $price_per_kwh"),
              ("idle power", "watt", IDLE_POWER),
              ("a year of it", "none", f"{IDLE_POWER} {KWH_IN_A_YEAR} * $price_per_kwh"),
              ("CPU", "percentunit", CPU),
              ("unused for", "dtdurations", by_service(of("idlewatt_service_idle_seconds"))),
              ("last used", "dateTimeAsIso",
               by_service(of("idlewatt_service_last_activity_timestamp_seconds")) + " * 1000"),
              sort_by="idle energy", width=24, height=10, decimals=2),
        timeline("In use or idle", "When somebody used each service.", IDLE,
                 (by_service(of("idlewatt_service_idle")), SERVICE)),
        table("IdleServiceCpu alerts",
              "Services that use CPU though nobody uses them: the alert of idlewatt that is about "
              "to fire, or fires.",
              ("state", "none",
               "sum by (instance, service, severity) (" +
               of("idlewatt_alert_state", 'alert="IdleServiceCpu"') + ") > 0", ALERT_STATES)),
        table("How use is judged",
              "By what idlewatt sees that a service is used: its proxy, connections on its port, "
              "or its CPU time. With cpu, a service that burns CPU counts as used.",
              (HIDDEN, "none",
               f'max by (instance, service, source) ({of("idlewatt_service_activity_source")})')),
    ],
    "The machine while nobody uses it": [
        machine_power(),
        power_origin(),
        stat("Host idle", "Whether every service is idle and nobody typed for idle.after.", "none",
             (of("idlewatt_host_idle"), "{{instance}}"), mappings=IDLE),
        stat("Nobody typed for", "Time since the last input of somebody who is logged in. Absent "
             "where nobody is.", "dtdurations",
             (of("idlewatt_host_input_idle_seconds"), "{{instance}}")),
        graph("Floor",
              "What each domain draws even when nothing runs. No service can save it: only "
              "sleep, or hardware and its settings.",
              "watt", (of("idlewatt_host_floor_watts"), "{{domain}}, {{instance}}")),
        stat("Baseline", "Idle power of the baseline that was stored for this machine, to compare "
             "with. Absent without one.", "watt",
             (of("idlewatt_baseline_idle_watts"), "{{baseline}}, {{instance}}"), decimals=1),
        graph("Power above the baseline",
              "Power of CPUs, memory and GPUs less the baseline, while the host is idle: what an "
              "idle machine draws that it did not draw when the baseline was taken.",
              "watt",
              (f'({COMPUTE} - on (job, instance) group_right () '
               f'{of("idlewatt_baseline_idle_watts")}) '
               f'and on (job, instance) {of("idlewatt_host_idle")} == 1',
               "above {{baseline}}, {{instance}}"), min=None),
    ],
}

PRICE = [("price_per_kwh", "Price per kWh", "0.30"), ("currency", "Currency", "EUR")]


def variables(texts):
    made = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {"name": "instance", "label": "Machine", "type": "query", "datasource": SOURCE,
         "definition": "label_values(idlewatt_build_info, instance)",
         "query": {"query": "label_values(idlewatt_build_info, instance)", "refId": "instance"},
         "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
         "current": {"selected": True, "text": ["All"], "value": ["$__all"]}},
    ]
    for name, label, value in texts:
        made.append({"name": name, "label": label, "type": "textbox", "query": value,
                     "current": {"text": value, "value": value},
                     "options": [{"text": value, "value": value, "selected": True}]})
    return made


def laid_out(rows):
    """The panels of all rows, each in its place on a grid of 24 columns."""
    panels, y = [], 0
    for title, members in rows.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        x, y, height = 0, y + 1, 0
        for member in members:
            place = member["gridPos"]
            if x + place["w"] > 24:
                x, y, height = 0, y + height, 0
            place.update(x=x, y=y)
            x, height = x + place["w"], max(height, place["h"])
            panels.append(member)
        y += height
    for number, member in enumerate(panels, start=1):
        member["id"] = number
    return panels


def dashboard(uid, title, description, since, rows, texts=()):
    panels = laid_out(rows)
    kinds = sorted({p["type"] for p in panels} - {"row"})
    return {
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "9.0.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds)],
        "id": None, "uid": uid, "title": title, "description": description,
        "tags": ["idlewatt"], "schemaVersion": 38, "version": 1, "editable": True,
        "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": since, "to": "now"},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["idlewatt"], "title": "idlewatt",
                   "asDropdown": False, "includeVars": True, "keepTime": True}],
        "templating": {"list": variables(texts)},
        "panels": panels,
    }


def written():
    """The text of every file."""
    made = {
        "overview.json": dashboard(
            "idlewatt-overview", "idlewatt / Overview",
            "Power, heat and services of the machines that idlewatt watches.",
            "now-6h", OVERVIEW),
        "idle-cost.json": dashboard(
            "idlewatt-idle-cost", "idlewatt / Idle cost",
            "Which service burns power while nobody uses it, and what did it cost?",
            "now-24h", IDLE_COST, PRICE),
    }
    return {name: json.dumps(board, indent=2) + "\n" for name, board in made.items()}


def main(arguments):
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    stale = 0
    for name, text in written().items():
        file = FOLDER / name
        if not arguments:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.name} is stale")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
