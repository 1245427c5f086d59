//! Weights of a published checkpoint, by timm's names.
//!
//! Always holds: a network that was filled has all its weights from the file, and the file
//! has no others. Where files come from it does not know.

use safetensors::tensor::{Dtype, SafeTensors};
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use voxage_contract::training::Architecture;

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

/// Fills the weights below `prefix` (which ends in a dot, or is empty) from the safetensors
/// file of timm's at `key`, leaving the classifier out. An image of one channel is seen as one of
/// three that are the same.
///
/// # Errors
/// If there are no checkpoints of the architecture, if the file is damaged, or if a tensor is
/// missing, of another shape or type, or unknown.
pub fn load_pretrained(
    key: &str,
    bytes: &[u8],
    net: Architecture,
    weights: &VarStore,
    prefix: &str,
) -> Result<()> {
    let ours = net.name();
    let Some(Published { name: theirs, first, classifier }) = published(net) else {
        return Err(Error::Setting(format!("train.pretrained: {ours} has no checkpoints")));
    };
    let refused = |what: String| {
        Error::damaged(key, format!("{what}: {ours} takes a checkpoint of timm's {theirs}"))
    };
    let file = SafeTensors::deserialize(bytes).map_err(|error| Error::damaged(key, error))?;
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

fn published(net: Architecture) -> Option<Published> {
    let (name, first, classifier) = match net {
        Architecture::EfficientNetB0 => ("efficientnet_b0", "conv_stem.weight", "classifier."),
        Architecture::EfficientNetB1 => ("efficientnet_b1", "conv_stem.weight", "classifier."),
        Architecture::EfficientNetB2 => ("efficientnet_b2", "conv_stem.weight", "classifier."),
        Architecture::EfficientNetB3 => ("efficientnet_b3", "conv_stem.weight", "classifier."),
        Architecture::SeResNext50 => ("seresnext50_32x4d", "conv1.weight", "fc."),
        Architecture::NfNetF0 => ("dm_nfnet_f0", "stem.conv1.weight", "head.fc."),
        _ => return None,
    };
    Some(Published { name, first, classifier })
}
