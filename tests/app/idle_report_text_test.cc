#include "app/idle_report_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/tables.h"
#include "base/text.h"
#include "tests/app/idle_report_samples.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Text(const std::string& answer, const IdleReportTextOptions& options = {}) {
  const auto report = IdleAnswer::Parse(answer);
  EXPECT_TRUE(report) << report.error().ToString();
  return report ? IdleReportText(*report, options) : "";
}
std::string Text(const SampleJson& json, const IdleReportTextOptions& options = {}) {
  return Text(json.dump(), options);
}
IdleReportTextOptions InEuros() { return {.price = EnergyPrice{0.3, "EUR"}}; }

// From the line that is `title` to the next empty one, without the title.
std::string Section(const std::string& text, const std::string& title) {
  const size_t begin = text.find("\n" + title + "\n");
  if (begin == std::string::npos) return "no section " + title;
  const size_t first = begin + title.size() + 2;
  return text.substr(first, text.find("\n\n", first) + 1 - first);
}

TEST(IdleReportTextTest, TellsHowItWasMeasuredAndTheMachine) {
  EXPECT_THAT(
      Text(RichIdleJson(), InEuros()),
      StartsWith(
          "IDLE REPORT\n"
          "2026-11-19 21:00 to 2026-11-21 21:00 UTC (2d)\n"
          "Energy is measured by rapl and nvml.\n"
          "idlewatt watched for 1d 19h of 2d (90 %); of the rest nothing is known, and nothing is "
          "counted.\n"
          "Services that nobody used took 962 Wh, 0.29 EUR: 30 % of the machine's 3.23 kWh, 0.97 "
          "EUR.\n"
          "Costs are at 0.30 EUR/kWh.\n"
          "\n"
          "THE MACHINE\n"
          "energy  3.23 kWh, 75.2 W on average\n"
          "went to idle services 962 Wh (30 %), active services 1.17 kWh (36 %), the floor 989 Wh "
          "(31 %), not\n"
          "        attributed 108 Wh (3.3 %)\n"
          "idle    The machine as a whole was idle for 14h in all and used 719 Wh in that time, "
          "51.4 W on\n"
          "        average.\n"));
}

TEST(IdleReportTextTest, RanksTheServicesByIdleEnergy) {
  const std::string ranking = Section(Text(RichIdleJson(), InEuros()), "SERVICES BY IDLE ENERGY");
  EXPECT_THAT(
      ranking,
      StartsWith("SERVICE                     IDLE Wh  MEAN W  OF OWN  OF ALL  IDLE FOR    MEMORY  "
                 "COST EUR\n"
                 "llama-70b                     414.4    11.2    45 %    43 %    1d 13h  15.6 GiB  "
                 "    0.12  █████████\n"
                 "whisper                       249.6     6.4    68 %    26 %    1d 15h   8.9 GiB  "
                 "    0.07  █████▌\n"));
  EXPECT_THAT(ranking, HasSubstr("\nnode_exporter                   1.9    0.05    76 %   0.2 %    "
                                 "1d 13h    72 MiB   0.00056  ▏\n"));
}

TEST(IdleReportTextTest, RecommendationsSayWhatTheySaveAndHowSureThatIs) {
  const std::string advice = Section(Text(RichIdleJson(), InEuros()), "WHAT TO DO");
  EXPECT_THAT(
      advice,
      StartsWith("1. Unload the model of llama-70b while nobody asks\n"
                 "   That would have saved 414 Wh, 0.12 EUR in 1d 19h (9.6 W); in a year at this "
                 "rate 84.3 kWh, 25.30\n"
                 "   EUR.\n"
                 "   Let the server drop its model after ten minutes without a request, or stop "
                 "the service at night;\n"
                 "   it was ready again within 40 s.\n"
                 "   - idle for 37 h of 43 h, at 11.2 W on average\n"
                 "   - its GPU kept 16.8 GB and stayed in a high power state\n"
                 "   (measured)\n"
                 "2. whisper is busy"));
  EXPECT_THAT(advice, HasSubstr("4. The memory of open-webui grows while it is idle\n"
                                "   Restart it at night until this is mended.\n"));
}

TEST(IdleReportTextTest, ARecommendationNamesItsService) {
  SampleJson json = RichIdleJson();
  json["recommendations"][0]["title"] = "Unload the model";
  EXPECT_THAT(Section(Text(json), "WHAT TO DO"), StartsWith("1. llama-70b: Unload the model\n"));
}

TEST(IdleReportTextTest, AlertsOfTheTimeStandAtTheEnd) {
  EXPECT_THAT(
      Section(Text(RichIdleJson()), "ALERTS OF THE TIME"),
      StartsWith("2026-11-20 03:00  IdleServiceCpu (critical, firing): whisper uses 40 % of "
                 "one CPU and nobody has\n"
                 "                  used it for 2h 5m\n"));
}

TEST(IdleReportTextTest, AnEstimateIsCalledOneVeryVisibly) {
  const std::string text = Text(ModelIdleJson());
  EXPECT_THAT(text, HasSubstr("\n*** ESTIMATED BY THE MODEL, NOT MEASURED ***\n"));
  EXPECT_THAT(text, HasSubstr("\nTHE MACHINE (ESTIMATED)\n"));
  EXPECT_THAT(text, HasSubstr("\nSERVICES BY IDLE ENERGY (ESTIMATED)\n"));
  EXPECT_THAT(text, HasSubstr("(an estimate of the power model)"));
  EXPECT_THAT(text, Not(HasSubstr("is measured by")));
  EXPECT_THAT(Text(RichIdleJson()), Not(HasSubstr("STIMATE")));

  SampleJson mixed = RichIdleJson();
  mixed["meter"] = "mixed";
  EXPECT_THAT(Text(mixed), HasSubstr("\n*** PARTLY ESTIMATED BY THE MODEL ***\n"));
}

TEST(IdleReportTextTest, NothingKnownIsSaidInWords) {
  EXPECT_EQ(Text(EmptyIdleJson(), InEuros()),
            "IDLE REPORT\n"
            "2026-11-19 21:00 to 2026-11-21 21:00 UTC (2d)\n"
            "*** NO ENERGY IS KNOWN OF THIS TIME ***\n"
            "Nothing measured it. \"idlewatt sensors\" says what can be measured here, what not, "
            "and what would\n"
            "allow it.\n"
            "idlewatt did not watch in this time.\n"
            "\n"
            "IDLE SERVICES\n"
            "No service was seen in this time.\n"
            "\n"
            "WHAT TO DO\n"
            "Nothing was found that is worth a change.\n"
            "\n"
            "ALERTS OF THE TIME\n"
            "None.\n");
}

TEST(IdleReportTextTest, WithoutEnergyServicesAreToldByTheirIdleTime) {
  EXPECT_THAT(Section(Text(UnknownIdleJson(), InEuros()), "IDLE SERVICES"),
              StartsWith("SERVICE                     IDLE FOR    MEMORY\n"
                         "comfyui                       1d 17h   5.7 GiB\n"));
}

TEST(IdleReportTextTest, CoverageIsToldWhenItLacksATwentiethOrMore) {
  SampleJson json = RichIdleJson();
  json["measured_seconds"] = 0.951 * 48 * 3600;
  EXPECT_THAT(Text(json), Not(HasSubstr("idlewatt watched")));
  json["measured_seconds"] = 0.949 * 48 * 3600;
  EXPECT_THAT(Text(json), HasSubstr("idlewatt watched for 1d 21h of 2d (95 %)"));
  json["measured_seconds"] = nullptr;
  EXPECT_THAT(Text(json), HasSubstr("How much of this time was watched is not known."));
}

TEST(IdleReportTextTest, CostsAreToldOnlyWithAPrice) {
  const std::string plain = Text(RichIdleJson());
  for (const char* word : {"COST", "Cost", "kWh, 0", "A YEAR OF IT"}) {
    EXPECT_THAT(plain, Not(HasSubstr(word)));
  }
  const std::string bare = Text(RichIdleJson(), {.price = EnergyPrice{0.3, ""}});
  EXPECT_THAT(bare, HasSubstr("\nCosts are at 0.30/kWh.\n"));
  EXPECT_THAT(bare, HasSubstr("took 962 Wh, 0.29: 30 %"));
  EXPECT_THAT(bare, HasSubstr("  COST\n"));
}

TEST(IdleReportTextTest, AYearIsCalledAProjection) {
  EXPECT_THAT(Section(Text(RichIdleJson(), InEuros()), "WHAT A YEAR OF IT WOULD COST"),
              StartsWith("Idle services: 196 kWh, 58.82 EUR.\n"
                         "A projection, no measurement: what 1d 19h of watching found, as if the "
                         "whole year were like that, at\n"
                         "0.30 EUR/kWh."));
  SampleJson json = RichIdleJson();
  json["measured_seconds"] = 1800;
  EXPECT_EQ(Section(Text(json, InEuros()), "WHAT A YEAR OF IT WOULD COST"),
            "What a year would cost is not told: less than an hour was watched.\n");
}

TEST(IdleReportTextTest, FitsTheTerminal) {
  for (const size_t columns : {100U, 80U, 70U}) {
    IdleReportTextOptions options = InEuros();
    options.columns = columns;
    const std::string text = Text(RichIdleJson(), options);
    for (const std::string_view line : Split(text, '\n')) EXPECT_LE(WidthOf(line), columns) << line;
    EXPECT_THAT(text, HasSubstr("414.4")) << "numbers are never cut";
  }
}

TEST(IdleReportTextTest, ColorsAreForTerminalsOnly) {
  EXPECT_EQ(Text(ModelIdleJson()).find('\x1b'), std::string::npos);
  EXPECT_THAT(Text(ModelIdleJson(), {.color = true}),
              HasSubstr("\n\x1b[1;33m*** ESTIMATED BY THE MODEL, NOT MEASURED ***\x1b[0m\n"));
}

TEST(IdleReportTextTest, TextsOfOthersSteerNoTerminal) {
  for (const char c : Text(HostileIdleAnswer())) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= ' ');
  }
}

TEST(IdleReportTextTest, LongListsAreCutAndSaySo) {
  SampleJson json = RichIdleJson();
  const SampleJson service = json["services"][7], alert = json["alerts"][0];
  for (int i = 0; i < 17; ++i) json["services"].push_back(service);
  for (int i = 0; i < 18; ++i) json["alerts"].push_back(alert);
  const std::string text = Text(json);
  EXPECT_THAT(text, HasSubstr("\nand 5 more services, together 9.2 Wh.\n"));
  EXPECT_THAT(text, HasSubstr("\nALERTS OF THE TIME\n1 earlier alert left out.\n"));
}

TEST(IdleReportTextTest, AShortTimeIsToldWithSeconds) {
  SampleJson json = EmptyIdleJson();
  json["since"] = "2026-11-21T20:17:05.250Z";
  json["until"] = "2026-11-21T20:22:05.250Z";
  EXPECT_THAT(Text(json), HasSubstr("\n2026-11-21 20:17:05 to 2026-11-21 20:22:05 UTC (5m)\n"));
}

}  // namespace
}  // namespace idlewatt
