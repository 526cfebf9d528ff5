#pragma once

#include <string>
#include <vector>

#include "app/idle_answer.h"

namespace idlewatt {

// Where the energy went over time, as stacked bars. There is a gap, and no bar, where nothing is
// known; a bar of nothing is a time in which nothing was used. Many buckets are drawn as fewer
// bars, some 120 at most.
// Units:   joules.
class IdleChart {
 public:
  struct Part {
    std::string name;
    std::string color;  // class of the style sheet: "i0" to "i6" (idle), "active", "floor", "rest"
  };
  struct Bar {
    WallTime start, end;         // within the window
    std::vector<double> joules;  // of each part, lowest first
    double sum = 0;
    bool operator<(const Bar& other) const { return start < other.start; }
  };
  struct Gap {
    WallTime start, end;
  };

  // The six services with most idle energy are parts of their own.
  explicit IdleChart(const IdleAnswer& report);

  // Without any there is nothing to draw.
  const std::vector<Bar>& bars() const { return bars_; }
  const std::vector<Gap>& gaps() const { return gaps_; }
  const std::vector<Part>& parts() const { return parts_; }
  // "hour", "day", "7 days": what a bar stands for.
  const std::string& bar_name() const { return bar_name_; }

  // The picture with its legend, and a table of the same numbers. Every text is escaped.
  std::string Figure() const;
  std::string Table() const;

 private:
  void NameParts(const IdleAnswer& report);
  void MakeBars(const IdleAnswer& report);
  std::vector<double> PartsOf(const IdleAnswer::Bucket& bucket) const;
  void DropUnusedParts();
  void FindGaps();

  double Most() const;
  double PlaceOf(WallTime time) const;  // 0 at the left end, 1 at the right
  std::string Axis() const;
  std::string BarsSvg(double top) const;
  std::string GridSvg(int lines) const;
  std::string GapsSvg() const;
  std::string TimesSvg() const;
  std::string Legend() const;
  std::string Description() const;

  WallTime since_, until_;
  std::chrono::milliseconds bar_length_{0};
  std::string bar_name_;
  size_t services_ = 0;  // of the parts; they come first
  std::vector<Part> parts_;
  std::vector<Bar> bars_;
  std::vector<Gap> gaps_;
};

}  // namespace idlewatt
