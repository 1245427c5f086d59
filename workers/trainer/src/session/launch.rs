//! A step, and how it gets to a GPU: layer by layer takes longer than computing, of a small
//! network or a small batch.
//!
//! Always holds: as a whole, a step does what it does layer by layer.

use tch::Kind;

use super::Session;
use crate::Result;
use crate::augment::augment;
use crate::feed::Fed;
use crate::graph::Graph;
use crate::scaler::Scaler;

/// How a step gets to where the network is.
#[derive(Debug)]
pub(super) enum Launch {
    /// Layer by layer; on a GPU for so many full batches yet, which choose kernels and show
    /// how much memory a step takes.
    Layers(u32),
    /// As a whole, with a batch in this place.
    Whole(Graph, Fed),
}

impl Default for Launch {
    fn default() -> Self {
        Self::Layers(3)
    }
}

impl Session {
    /// Computes a step; a device is not waited for.
    pub(super) fn launch(&mut self, batch: &Fed) -> Result<()> {
        let is_full = batch.targets.numel() == self.network.settings.batch_size;
        if !is_full || !Graph::is_there(self.network.inputs.device) {
            return self.compute(batch);
        }
        match &mut self.launch {
            Launch::Layers(0) if Graph::has_room() => {
                let place = batch.copy();
                let graph = Graph::of(|| self.compute(&place))?;
                graph.launch()?;
                self.launch = Launch::Whole(graph, place);
                Ok(())
            }
            Launch::Layers(left) => {
                *left = left.checked_sub(1).unwrap_or(u32::MAX);
                self.compute(batch)
            }
            Launch::Whole(graph, place) => {
                place.take(batch);
                graph.launch()
            }
        }
    }

    fn compute(&mut self, batch: &Fed) -> Result<()> {
        let Scaler { mel_min_db, mel_max_db, .. } = self.network.inputs.scaler;
        let range_db = f64::from(mel_max_db - mel_min_db);
        let how = &self.network.settings.augment;
        let (inputs, targets) = augment(&batch.inputs, &batch.targets, how, range_db);
        let outputs = self.network.forward(&inputs, true);
        let loss = self.network.objective.loss(&outputs, &targets);
        self.optimizer.step(&loss)?;
        let sum = loss.detach().to_kind(Kind::Double) * batch.targets.numel() as f64;
        tch::no_grad(|| self.losses += sum);
        self.average();
        Ok(())
    }

    /// Brings the running mean of the weights forward.
    fn average(&self) {
        let weights = self.network.weights.variables();
        tch::no_grad(|| {
            for (name, mean) in &self.averaged {
                let _ = mean.shallow_clone().lerp_(&weights[name], 1.0 - self.network.settings.ema);
            }
        });
    }
}
