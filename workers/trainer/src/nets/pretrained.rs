//! Weights of a published checkpoint, by timm's names.
//!
//! Always holds: a network that was filled has all its weights from the file, and the file
//! has no others. Where files come from it does not know.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::Net;
use crate::{Error, Result};

/// What is known of an architecture's checkpoints.
struct Published {
    /// Their name with timm.
    name: &'static str,
    /// The convolution that sees the image.
    first: &'static str,
    /// The layer after the features, which is left out.
    classifier: &'static str,
}

/// Fills the weights below `prefix` (which ends in a dot, or is empty) from a safetensors
/// file of timm's, leaving the classifier out. An image of one channel is seen as one of
/// three that are the same.
///
/// # Errors
/// If there are no checkpoints of the architecture, if the file cannot be read, or if a
/// tensor is missing, of another shape or type, or unknown.
pub fn load_pretrained(file: &Path, net: Net, weights: &VarStore, prefix: &str) -> Result<()> {
    let Some(Published { name: theirs, first, classifier }) = published(net) else {
        let name = net.name();
        return Err(Error::Setting(format!("architecture {name} has no published checkpoints")));
    };
    let key = &*file.to_string_lossy();
    let refused = |what: String| {
        let ours = net.name();
        Error::damaged(key, format!("{what}: {ours} takes a checkpoint of timm's {theirs}"))
    };
    let bytes = std::fs::read(file).map_err(|error| Error::damaged(key, error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::damaged(key, error))?;
    let below = |(name, variable): (String, Tensor)| {
        Some((name.strip_prefix(prefix)?.to_owned(), variable))
    };
    let mut variables: Vec<_> = weights.variables().into_iter().filter_map(below).collect();
    variables.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, variable) in &mut variables {
        let Ok(view) = file.tensor(name) else {
            return Err(refused(format!("it has no tensor {name}")));
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let size = variable.size();
        let colours = *name == first && size[1] == 1 && shape.get(1) == Some(&3);
        let expected = if colours { vec![size[0], 3, size[2], size[3]] } else { size };
        if view.dtype() != Dtype::F32 || shape != expected {
            let dtype = view.dtype();
            let (name, found) = (&*name, format!("{dtype:?} {shape:?}"));
            return Err(refused(format!("its tensor {name} is {found} and not F32 {expected:?}")));
        }
        let mut loaded = Tensor::from_data_size(view.data(), &shape, Kind::Float);
        if colours {
            loaded = loaded.sum_dim_intlist(1, true, Kind::Float);
        }
        tch::no_grad(|| variable.copy_(&loaded));
    }
    // A counter of batch norms, which torch does not need.
    let known = |name: &&str| {
        let own = variables.binary_search_by(|(own, _)| own.as_str().cmp(name)).is_ok();
        own || name.starts_with(classifier) || name.ends_with(".num_batches_tracked")
    };
    match file.names().into_iter().find(|name| !known(name)) {
        Some(name) => Err(refused(format!("its tensor {name} has no place"))),
        None => Ok(()),
    }
}

fn published(net: Net) -> Option<Published> {
    let (name, first, classifier) = match net {
        Net::EfficientNetB0 => ("efficientnet_b0", "conv_stem.weight", "classifier."),
        Net::EfficientNetB1 => ("efficientnet_b1", "conv_stem.weight", "classifier."),
        Net::EfficientNetB2 => ("efficientnet_b2", "conv_stem.weight", "classifier."),
        Net::EfficientNetB3 => ("efficientnet_b3", "conv_stem.weight", "classifier."),
        Net::SeResNext50 => ("seresnext50_32x4d", "conv1.weight", "fc."),
        Net::NfNetF0 => ("dm_nfnet_f0", "stem.conv1.weight", "head.fc."),
        Net::SeResNet | Net::Ecapa => return None,
    };
    Some(Published { name, first, classifier })
}
