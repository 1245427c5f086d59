//! Where a network computes.

use tch::{Cuda, Device, Tensor};
use voxage_contract::training::Device as Wanted;

use crate::{Error, Result};

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_fast_cuda();
    fn voxage_autocast(cuda: bool, enabled: bool) -> bool;
}

/// The device that is wanted. On CUDA, matrices are multiplied in TF32 from then on, and
/// what autocast takes is bf16.
///
/// # Errors
/// If CUDA is asked for and is not there.
pub fn resolve(wanted: Wanted) -> Result<Device> {
    let there = Cuda::is_available();
    match wanted {
        Wanted::Cpu | Wanted::CpuBf16 => Ok(Device::Cpu),
        Wanted::Auto if !there => Ok(Device::Cpu),
        Wanted::Cuda if !there => Err(Error::Setting(missing().into())),
        Wanted::Auto | Wanted::Cuda => {
            // SAFETY: sets two of torch's global settings.
            #[allow(unsafe_code)]
            unsafe {
                voxage_fast_cuda();
            }
            Ok(Device::Cuda(0))
        }
    }
}

/// What `forward` makes with its layers in half the precision (bf16), or not. On the
/// processor tch's own does nothing.
pub fn mixed<T>(device: Device, is_mixed: bool, forward: impl FnOnce() -> T) -> T {
    // SAFETY: sets a thread-local setting of torch's.
    #[allow(unsafe_code)]
    let set = |is_mixed| unsafe { voxage_autocast(device.is_cuda(), is_mixed) };
    let before = set(is_mixed);
    let made = forward();
    set(before);
    made
}

/// What is on the host, on a device. To CUDA it goes by pinned memory, behind what the device
/// is at: nobody waits.
pub fn bring(tensor: &Tensor, device: Device) -> Tensor {
    pinned(tensor, device).to_device_(device, tensor.kind(), true, false)
}

/// The same in memory from which a GPU takes it by itself; as it is where the host computes.
pub fn pinned(tensor: &Tensor, device: Device) -> Tensor {
    if device.is_cuda() {
        // `pin_memory` would warn of its argument, each time.
        tensor.internal_pin_memory(device)
    } else {
        tensor.shallow_clone()
    }
}

fn missing() -> &'static str {
    if tch::utils::has_cudart() {
        "train.device is cuda, but torch sees no GPU: check the driver (nvidia-smi), and CUDA_VISIBLE_DEVICES"
    } else {
        "train.device is cuda, but this libtorch has no CUDA half: let LD_LIBRARY_PATH name the folder lib of a PyTorch 2.11.0 with CUDA, as python3 -c 'import torch; print(torch.__path__[0])' tells it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn half_the_precision_ends_with_what_it_was_asked_for() {
        let product = || Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        let kind = || product().matmul(&product()).kind();
        let inner = || (kind(), mixed(Device::Cpu, false, kind), kind());
        let within = mixed(Device::Cpu, true, inner);
        assert_eq!(within, (Kind::BFloat16, Kind::Float, Kind::BFloat16));
        assert_eq!(kind(), Kind::Float);
    }

    #[test]
    fn a_missing_gpu_is_said_and_never_passed_over() {
        assert_eq!(resolve(Wanted::Cpu).unwrap(), Device::Cpu);
        if Cuda::is_available() {
            assert_eq!(resolve(Wanted::Cuda).unwrap(), Device::Cuda(0));
        } else {
            let said = resolve(Wanted::Cuda).unwrap_err().to_string();
            assert!(said.contains("train.device is cuda, but"), "{said}");
            assert_eq!(resolve(Wanted::Auto).unwrap(), Device::Cpu);
        }
    }
}
