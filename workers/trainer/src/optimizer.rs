//! AdamW (Loshchilov and Hutter 2019) whose state can be kept and taken up again.
//!
//! Always holds: a step is torch's fused one, on any device; the state is the moments of
//! each weight and the number of steps.

use std::ffi::{c_char, c_int};

use tch::nn::VarStore;
use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::Result;
use crate::shim::heard;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// The optimizer of a network's weights.
#[derive(Debug)]
pub struct AdamW {
    weights: Vec<Moments>,
    weight_decay: f64,
    /// The size of the next step, where the weights are: a number would be the same in each
    /// launch of a graph.
    learning_rate: Tensor,
}

/// One weight with the running means of its gradient and of its square.
#[derive(Debug)]
struct Moments {
    name: String,
    weight: Tensor,
    mean: Tensor,
    square: Tensor,
    /// Steps so far, as torch wants them: a number in a tensor.
    steps: Tensor,
}

#[allow(unsafe_code)]
unsafe extern "C" {
    fn voxage_adamw(
        weights: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        means: *const *mut C_tensor,
        squares: *const *mut C_tensor,
        steps: *const *mut C_tensor,
        n: i64,
        learning_rate: *const C_tensor,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
        error: *mut c_char,
        room: usize,
    ) -> c_int;
}

impl AdamW {
    /// An optimizer at its first step.
    #[must_use]
    pub fn new(network: &VarStore, weight_decay: f64) -> Self {
        let mut named: Vec<_> =
            network.variables().into_iter().filter(|(_, w)| w.requires_grad()).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let moments = |(name, weight): (String, Tensor)| Moments {
            name,
            mean: weight.zeros_like(),
            square: weight.zeros_like(),
            steps: Tensor::zeros([], (Kind::Float, weight.device())),
            weight,
        };
        let weights = tch::no_grad(|| named.into_iter().map(moments).collect());
        // Torch reads it so.
        let kind = if network.device().is_cuda() { Kind::Float } else { Kind::Double };
        let learning_rate = Tensor::zeros([], (kind, network.device()));
        Self { weights, weight_decay, learning_rate }
    }

    /// Sets the size of the steps from now on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        let _ = self.learning_rate.fill_(learning_rate);
    }

    /// Goes down the gradients of a loss.
    ///
    /// # Errors
    /// If torch cannot.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        loss.backward();
        let gradients: Vec<Tensor> =
            self.weights.iter().map(|moments| moments.weight.grad()).collect();
        // A weight that the loss does not depend on has no gradient.
        let with =
            || self.weights.iter().zip(&gradients).filter(|(_, gradient)| gradient.defined());
        let pointers = |of: &dyn Fn(&Moments) -> *mut C_tensor| {
            with().map(|(moments, _)| of(moments)).collect::<Vec<_>>()
        };
        let (weights, means) = (
            pointers(&|m| m.weight.as_ptr().cast_mut()),
            pointers(&|m| m.mean.as_ptr().cast_mut()),
        );
        let (squares, steps) = (
            pointers(&|m| m.square.as_ptr().cast_mut()),
            pointers(&|m| m.steps.as_ptr().cast_mut()),
        );
        let gradients: Vec<_> = with().map(|(_, gradient)| gradient.as_ptr().cast_mut()).collect();
        // SAFETY: all lists have as many living tensors as is said, and the text has that room;
        // what the shim changes are the tensors' contents.
        #[allow(unsafe_code)]
        let step = |text, room| unsafe {
            voxage_adamw(
                weights.as_ptr(),
                gradients.as_ptr(),
                means.as_ptr(),
                squares.as_ptr(),
                steps.as_ptr(),
                weights.len() as i64,
                self.learning_rate.as_ptr(),
                BETAS.0,
                BETAS.1,
                self.weight_decay,
                EPSILON,
                text,
                room,
            )
        };
        tch::no_grad(|| heard(step))
    }

    /// The state by name: what a checkpoint keeps, and what is filled from it.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let parts = |moments: &Moments| {
            let part = |name: &str, tensor: &Tensor| {
                (format!("{}.{name}", moments.name), tensor.shallow_clone())
            };
            [
                part("mean", &moments.mean),
                part("square", &moments.square),
                part("steps", &moments.steps),
            ]
        };
        self.weights.iter().flat_map(parts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::Init;

    /// The formulas of the paper, in double precision, for one weight.
    fn expected(mut weight: f64, gradients: &[f64], rate: f64, decay: f64) -> f64 {
        let (mut mean, mut square) = (0.0, 0.0);
        for (step, gradient) in (1..).zip(gradients) {
            weight -= rate * decay * weight;
            mean = BETAS.0 * mean + (1.0 - BETAS.0) * gradient;
            square = BETAS.1 * square + (1.0 - BETAS.1) * gradient * gradient;
            let (mean, square) =
                (mean / (1.0 - BETAS.0.powi(step)), square / (1.0 - BETAS.1.powi(step)));
            weight -= rate * mean / (square.sqrt() + EPSILON);
        }
        weight
    }

    #[test]
    fn steps_are_those_of_the_formulas_and_go_on_from_their_state() {
        let weights = VarStore::new(Device::Cpu);
        let weight = weights.root().var("w", &[1], Init::Const(2.0));
        let unused = weights.root().var("unused", &[1], Init::Const(5.0));
        let mut optimizer = AdamW::new(&weights, 0.1);
        let gradients = [0.5, -1.0, 3.0, 0.25];
        let step = |optimizer: &mut AdamW, gradient: f64| {
            optimizer.set_learning_rate(0.01);
            optimizer.step(&(&weight * gradient).sum(Kind::Float)).unwrap();
        };
        step(&mut optimizer, gradients[0]);
        step(&mut optimizer, gradients[1]);
        let mut other = AdamW::new(&weights, 0.1);
        for ((_, to), (_, from)) in other.state().iter_mut().zip(optimizer.state()) {
            to.copy_(&from);
        }
        step(&mut other, gradients[2]);
        step(&mut other, gradients[3]);
        let found = weight.double_value(&[0]);
        assert!((found - expected(2.0, &gradients, 0.01, 0.1)).abs() < 1e-6, "{found}");
        assert_eq!(unused.double_value(&[0]), 5.0);
    }
}
