#include "app/event_recorder.h"

#include "exporters/api_answers.h"

namespace idlewatt {

void EventRecorder::Record(WallTime now) {
  const StateNews news = control_.WaitForChanges(last_number_, {});
  if (news.missed) {
    push_({now.time_since_epoch().count(), "service_state_missed", "",
           DumpJson({{"after", last_number_}})});
  }
  for (const StateChange& change : news.changes) {
    push_({change.at.time_since_epoch().count(), "service_state", change.service,
           DumpJson(StateChangeJson(change))});
    last_number_ = change.number;
  }
}

}  // namespace idlewatt
