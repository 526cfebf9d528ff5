#include "app/alert_config.h"

#include <set>
#include <string>
#include <utility>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr double kMost = 1e15;

// The built-in condition, with its usual values. False when it is not known.
bool ReadBuiltin(TomlSection& section, AlertRule& rule) {
  std::string builtin;
  section.Read("builtin", builtin);
  if (FindAlertBuiltin(builtin) == nullptr) {
    std::string text = InQuotes(builtin) + " is none of";
    for (const std::string& name : AlertBuiltins()) text += " " + name;
    const std::string nearest = Nearest(builtin, AlertBuiltins());
    if (!nearest.empty()) text += "; did you mean " + InQuotes(nearest) + "?";
    section.Error("builtin", text);
    return false;
  }
  rule = UsualRule(builtin);
  return true;
}

// False when the metric is no selector.
bool ReadMetric(TomlSection& section, AlertRule& rule) {
  std::string text;
  section.Read("metric", text);
  Result<Selector> selector = Selector::Parse(text);
  if (!selector) {
    section.Error("metric", selector.error().ToString());
    return false;
  }
  rule.metric = std::move(*selector);
  if (!section.Has("name")) section.Error("name", "must be set for a rule of a metric");
  section.ReadChoice("when", rule.below, {{"above", false}, {"below", true}});
  section.Read("advice", rule.advice);
  return true;
}

// Of a built-in condition what is not written has its usual value.
void CheckUsualThresholds(TomlSection& section, const AlertRule& rule) {
  if (*rule.critical >= *rule.warning) return;
  if (!section.Has("critical")) {
    section.Error("warning", "is above the usual critical limit of " +
                                 Format("%g", *rule.critical) + ": set critical too");
  } else if (!section.Has("warning")) {
    section.Error("critical", "is below the usual warning limit of " + Format("%g", *rule.warning) +
                                  ": set warning too");
  } else {
    section.Error("critical", "must not be below warning");
  }
}

void CheckThresholds(TomlSection& section, const AlertRule& rule) {
  if (!rule.warning && !rule.critical) {
    section.Error("warning", "set warning, critical or both");
  }
  if (!rule.warning || !rule.critical) return;
  if (!rule.builtin.empty()) return CheckUsualThresholds(section, rule);
  if (rule.below ? *rule.critical > *rule.warning : *rule.critical < *rule.warning) {
    section.Error("critical", rule.below
                                  ? "must not be above warning"
                                  : "must not be below warning; is `when = \"below\"` meant?");
  }
}

// What the rule holds against; false when that is wrong.
bool ReadCondition(TomlSection& section, AlertRule& rule) {
  const bool has_builtin = section.Has("builtin");
  if (has_builtin != section.Has("metric")) {
    return has_builtin ? ReadBuiltin(section, rule) : ReadMetric(section, rule);
  }
  section.Node("builtin");
  section.Node("metric");
  section.Error(has_builtin ? "builtin" : "metric",
                has_builtin ? "a rule has builtin or metric, not both"
                            : "set it, or builtin for a condition that idlewatt knows");
  return false;
}

void ReadAlert(TomlSection& section, std::vector<AlertRule>& rules,
               std::set<std::string>& replaced) {
  AlertRule rule;
  const bool ok = ReadCondition(section, rule);
  const bool has_builtin = !rule.builtin.empty();
  section.Read("name", rule.name);
  section.ReadNumber("warning", rule.warning, has_builtin ? 0 : -kMost, kMost);
  section.ReadNumber("critical", rule.critical, has_builtin ? 0 : -kMost, kMost);
  section.Read("for", rule.hold);
  section.Read("services", rule.services);
  if (!ok) return;
  if (has_builtin && FindAlertBuiltin(rule.builtin)->of_machine && section.Has("services")) {
    section.Error("services", "is not for " + rule.builtin + ", which is of the whole machine");
  }
  CheckThresholds(section, rule);
  if (has_builtin && replaced.insert(rule.builtin).second) {
    std::erase_if(rules, [&](const AlertRule& usual) { return usual.builtin == rule.builtin; });
  }
  rules.push_back(std::move(rule));
}

}  // namespace

void ReadAlerts(TomlSection& root, std::vector<AlertRule>& rules,
                std::vector<ConfigFinding>& findings) {
  std::set<std::string> replaced;
  for (const toml::table* alert : root.Tables("alert")) {
    TomlSection section(*alert, "alert", findings);
    ReadAlert(section, rules, replaced);
  }
}

}  // namespace idlewatt
