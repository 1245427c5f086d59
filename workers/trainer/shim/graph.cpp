// A step of training as one launch: at::cuda::CUDAGraph of libtorch 2.11. It is found by name, since the
// same binary runs where libtorch has no CUDA half.

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>

#include <memory>

#include "said.h"

namespace {
struct Class {
  void (*make)(void *, bool);
  void (*destroy)(void *);
  void (*begin)(void *, c10::MempoolId_t, int);
  void (*end)(void *);
  void (*replay)(void *);
};

template <class F>
bool find(F &function, const char *name) {
  function = reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

// The class's functions; null where there are none.
const Class *cuda_graph() {
  static Class found;
  static const bool whole =
      find(found.make, "_ZN2at4cuda9CUDAGraphC1Eb") && find(found.destroy, "_ZN2at4cuda9CUDAGraphD1Ev") &&
      find(found.begin, "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode") &&
      find(found.end, "_ZN2at4cuda9CUDAGraph11capture_endEv") &&
      find(found.replay, "_ZN2at4cuda9CUDAGraph6replayEv");
  return whole ? &found : nullptr;
}

// cudaStreamCaptureModeThreadLocal: what other threads ask of the device disturbs nothing.
constexpr int THREAD_LOCAL = 1;

struct Graph {
  c10::impl::VirtualGuardImpl device{c10::DeviceType::CUDA};
  c10::Stream before = device.getStream(device.getDevice());
  bool under_way = false;
  // Several times what it takes.
  alignas(std::max_align_t) char object[4096];

  Graph() { cuda_graph()->make(object, false); }
  ~Graph() {
    if (under_way) {
      try {
        end();
      } catch (...) {
      }
    }
    cuda_graph()->destroy(object);
  }
  void begin() {
    device.synchronizeDevice(device.getDevice().index());
    device.exchangeStream(device.getStreamFromGlobalPool(device.getDevice()));
    under_way = true;
    cuda_graph()->begin(object, {0, 0}, THREAD_LOCAL);
  }
  void end() {
    under_way = false;
    const auto back = std::unique_ptr<Graph, void (*)(Graph *)>(this, [](Graph *own) {
      own->device.exchangeStream(own->before);
    });
    cuda_graph()->end(object);
  }
};
}  // namespace

extern "C" {

// Whether this libtorch has graphs.
bool voxage_graph_there() { return cuda_graph() != nullptr; }

// Whether the device has room for what this process took and let go again, twice: a graph keeps memory of
// its own.
bool voxage_graph_room() {
  try {
    const c10::impl::VirtualGuardImpl device(c10::DeviceType::CUDA);
    const auto index = device.getDevice().index();
    auto *memory = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    device.synchronizeDevice(index);
    const auto taken = memory->getDeviceStats(index).allocated_bytes[0];
    memory->emptyCache();
    return memory->getMemoryInfo(index).first > 2 * static_cast<size_t>(taken.peak - taken.current);
  } catch (...) {
    return false;
  }
}

// From now on this thread's work for the device is written down in a graph, not done. 0, or 1 and why not
// in `error`, at most `room` bytes; as below.
int voxage_graph_begin(Graph **graph, char *error, size_t room) {
  return said(error, room, [&] {
    auto made = std::make_unique<Graph>();
    made->begin();
    *graph = made.release();
  });
}

// It is all written down.
int voxage_graph_end(Graph *graph, char *error, size_t room) {
  return said(error, room, [&] { graph->end(); });
}

// Does what is written down, behind what the device is at.
int voxage_graph_replay(Graph *graph, char *error, size_t room) {
  return said(error, room, [&] { cuda_graph()->replay(graph->object); });
}

void voxage_graph_free(Graph *graph) { delete graph; }
}
