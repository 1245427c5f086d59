// What tch 0.24 does not reach of libtorch: the fused AdamW step, gradients that are let go, and the
// precision of CUDA.
// Tensors come as tch hands them out, pointers to at::Tensor.

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_fused_adamw.h>

#include <vector>

#include "said.h"

namespace {
std::vector<at::Tensor> list(at::Tensor *const *tensors, int64_t n) {
  std::vector<at::Tensor> all;
  for (int64_t i = 0; i < n; i++) all.push_back(*tensors[i]);
  return all;
}
}  // namespace

extern "C" {

// One step of AdamW on n parameters, whose gradients are let go: the next ones then need not be added
// to anything. 0, or 1 and why not in `error`, at most `room` bytes.
int voxage_adamw(at::Tensor *const *weights, at::Tensor *const *gradients, at::Tensor *const *means,
                 at::Tensor *const *squares, at::Tensor *const *steps, int64_t n,
                 const at::Tensor *learning_rate, double beta1, double beta2, double weight_decay,
                 double epsilon, char *error, size_t room) {
  return said(error, room, [&] {
    // Torch wants the number of the step that is taken, from 1.
    at::_foreach_add_(list(steps, n), 1.0);
    at::_fused_adamw_(list(weights, n), list(gradients, n), list(means, n), list(squares, n), {},
                      list(steps, n), *learning_rate, beta1, beta2, weight_decay, epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
    for (const at::Tensor &weight : list(weights, n)) weight.mutable_grad().reset();
  });
}

// Whether layers compute in half precision on CUDA or on the processor, from now on and in this thread;
// whether they did before. What was rounded of weights is forgotten when they no longer do.
bool voxage_autocast(bool cuda, bool enabled) {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  const bool before = at::autocast::is_autocast_enabled(device);
  at::autocast::set_autocast_enabled(device, enabled);
  if (!enabled) at::autocast::clear_cache();
  return before;
}

// On CUDA: autocast to bf16, matrices in TF32.
void voxage_fast_cuda() {
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
  at::globalContext().setAllowTF32CuBLAS(true);
}
}
