// Batches that get to a GPU while it computes, on a stream of their own.

#include <ATen/core/Tensor.h>
#include <ATen/ops/record_stream.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <vector>

#include "said.h"

namespace {
struct Copies {
  c10::impl::VirtualGuardImpl device{c10::DeviceType::CUDA};
  c10::Stream stream = device.getStreamFromGlobalPool(device.getDevice());

  std::vector<at::Tensor> bring(at::Tensor *const *host, int64_t n) {
    const auto compute = device.getStream(device.getDevice());
    std::vector<at::Tensor> there;
    c10::Event copied(c10::DeviceType::CUDA);
    {
      c10::StreamGuard guard(stream);
      for (int64_t i = 0; i < n; i++)
        there.push_back(host[i]->to(host[i]->options().device(stream.device()), /*non_blocking=*/true));
      copied.record(stream);
    }
    copied.block(compute);
    // Their memory is used again only behind what computes with them.
    for (at::Tensor &tensor : there) tensor.record_stream(compute);
    return there;
  }
};
}  // namespace

// 0, or 1 and why not in `error`, at most `room` bytes.
extern "C" {

int voxage_copies_new(Copies **copies, char *error, size_t room) {
  return said(error, room, [&] { *copies = new Copies; });
}

// Tensors of pinned memory as they are on the device, each to be deleted by the caller.
int voxage_copies_bring(Copies *copies, at::Tensor *const *host, at::Tensor **there, int64_t n, char *error,
                        size_t room) {
  return said(error, room, [&] {
    const auto brought = copies->bring(host, n);
    for (int64_t i = 0; i < n; i++) there[i] = new at::Tensor(brought[i]);
  });
}

void voxage_copies_free(Copies *copies) { delete copies; }
}
