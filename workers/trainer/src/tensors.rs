//! Named tensors as a file of safetensors, and back.
//!
//! Always holds: the same tensors are the same bytes. It does not know what they are.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// Packs tensors of single or double precision with a text.
///
/// # Errors
/// If a name comes twice.
pub fn pack<'a>(
    tensors: impl IntoIterator<Item = (String, &'a Tensor)>,
    text: Option<String>,
) -> Result<Vec<u8>> {
    let bytes = |(name, tensor): (String, &Tensor)| {
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let (dtype, number_bytes) = match tensor.kind() {
            Kind::Double => (Dtype::F64, size_of::<f64>()),
            _ => (Dtype::F32, size_of::<f32>()),
        };
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let numbers = tensor.numel();
        let mut bytes = vec![0; numbers * number_bytes];
        tensor.copy_data_u8(&mut bytes, numbers);
        (name, dtype, shape, bytes)
    };
    let all: Vec<_> = tensors.into_iter().map(bytes).collect();
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        Ok((name, view.map_err(|error| Error::damaged(name, error))?))
    });
    // The writer sorts by name.
    let text = text.map(|text| HashMap::from([(TEXT.to_owned(), text)]));
    serialize(views.collect::<Result<Vec<_>>>()?, text).map_err(|e| Error::damaged("weights", e))
}

/// Where the text is among a file's metadata.
const TEXT: &str = "voxage";

/// A file of tensors.
#[derive(Debug)]
pub struct Packed<'a> {
    key: &'a str,
    file: SafeTensors<'a>,
    text: Option<String>,
}

impl<'a> Packed<'a> {
    /// Opens the object at `key`.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open(key: &'a str, bytes: &'a [u8]) -> Result<Self> {
        let damaged = |error| Error::damaged(key, error);
        let (_, head) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = head.metadata().as_ref().and_then(|texts| texts.get(TEXT).cloned());
        Ok(Self { key, file: SafeTensors::deserialize(bytes).map_err(damaged)?, text })
    }

    /// The text that was packed along.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The shape of the tensor of a name.
    ///
    /// # Errors
    /// If it is not there.
    pub fn shape(&self, name: &str) -> Result<Vec<i64>> {
        let view = self.file.tensor(name).map_err(|error| Error::damaged(self.key, error))?;
        Ok(view.shape().iter().map(|&n| n as i64).collect())
    }

    /// Fills a tensor from the one of that name.
    ///
    /// # Errors
    /// If it is not there or is of another shape.
    pub fn fill(&self, name: &str, tensor: &mut Tensor) -> Result<()> {
        let view = self.file.tensor(name).map_err(|error| Error::damaged(self.key, error))?;
        let shape = self.shape(name)?;
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            _ => {
                return Err(Error::damaged(
                    self.key,
                    format!("its tensor {name} is of no kind that is used"),
                ));
            }
        };
        if kind != tensor.kind() || shape != tensor.size() {
            return Err(Error::damaged(self.key, format!("its tensor {name} is of another shape")));
        }
        let loaded = Tensor::from_data_size(view.data(), &shape, kind);
        tch::no_grad(|| tensor.copy_(&loaded));
        Ok(())
    }
}
