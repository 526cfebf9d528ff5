#include "exporters/event_stream.h"

#include <memory>
#include <string>

namespace idlewatt {
namespace {

// How late a tick, a client that went away and the end of the server may be noticed; a change of
// state ends the wait at once.
constexpr auto kTurn = std::chrono::milliseconds(100);

class EventStream {
 public:
  EventStream(const ApiSources& sources, const ServiceControl& control, HttpStream& stream)
      : sources_(sources), control_(control), stream_(stream) {}

  void Run(std::chrono::nanoseconds heartbeat) {
    // Asked for before the snapshot is made, so that no change falls between the two.
    const StateNews before = control_.WaitForChanges(0, {});
    if (!before.changes.empty()) last_number_ = before.changes.back().number;
    BootTime last_beat = sources_.clock.Now().boot;
    SendSnapshot();
    while (stream_.IsOpen()) {
      const StateNews news = control_.WaitForChanges(last_number_, kTurn);
      if (news.missed) SendMissed();
      for (const StateChange& change : news.changes) {
        if (!SendChange(change)) return;
      }
      if (sources_.snapshot.Get() != shown_) SendTick();
      const BootTime now = sources_.clock.Now().boot;
      if (now - last_beat >= heartbeat) {
        stream_.Write(": still here\n\n");
        last_beat = now;
      }
    }
  }

 private:
  bool Send(const char* event, const Json& data) {
    return stream_.Write("event: " + std::string(event) + "\ndata: " + DumpJson(data) + "\n\n");
  }

  Json Summary() {
    shown_ = sources_.snapshot.Get();
    return SummaryJson(*shown_, control_.Status(), *sources_.alerts.Get());
  }

  void SendSnapshot() {
    Json snapshot = {{"summary", Summary()}};
    snapshot["services"] = ServicesJson(*shown_, control_.Status())["services"];
    Send("snapshot", snapshot);
  }

  void SendTick() { Send("tick", Summary()); }

  void SendMissed() {
    Send("missed", {{"after", last_number_}});
    SendSnapshot();
  }

  bool SendChange(const StateChange& change) {
    last_number_ = change.number;
    return Send("state", StateChangeJson(change));
  }

  const ApiSources& sources_;
  const ServiceControl& control_;
  HttpStream& stream_;
  std::shared_ptr<const Snapshot> shown_;  // in the last snapshot or tick
  uint64_t last_number_ = 0;               // of the changes that were sent
};

}  // namespace

void StreamEvents(const ApiSources& sources, const ServiceControl& control, HttpStream& stream,
                  std::chrono::nanoseconds heartbeat) {
  EventStream(sources, control, stream).Run(heartbeat);
}

}  // namespace idlewatt
