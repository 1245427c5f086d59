// How far the host may be ahead of a GPU.

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <deque>

#include "said.h"

namespace {
constexpr size_t AHEAD = 4;

struct Pace {
  c10::impl::VirtualGuardImpl device{c10::DeviceType::CUDA};
  // Where the device's work was at the last steps.
  std::deque<c10::Event> marks;

  void step() {
    marks.emplace_back(c10::DeviceType::CUDA);
    marks.back().record(device.getStream(device.getDevice()));
    if (marks.size() > AHEAD) {
      marks.front().synchronize();
      marks.pop_front();
    }
  }
};
}  // namespace

// 0, or 1 and why not in `error`, at most `room` bytes.
extern "C" {

int voxage_pace_new(Pace **pace, char *error, size_t room) {
  return said(error, room, [&] { *pace = new Pace; });
}

// Waits for the device if it is too far behind.
int voxage_pace_step(Pace *pace, char *error, size_t room) {
  return said(error, room, [&] { pace->step(); });
}

void voxage_pace_free(Pace *pace) { delete pace; }
}
