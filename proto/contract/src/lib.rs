//! What two voxage processes must agree on: wire messages, domain types, the
//! feature spec with its columns, and object keys.
//!
//! Always holds: everything here is pure (no clock, no I/O, no randomness), so the
//! same input gives the same key, digest and message on every machine.
//! It does not know where objects are stored or how audio is decoded.

pub mod batch;
pub mod columns;
pub mod digest;
pub mod features;
pub mod keys;
mod kind;
pub mod mel;
mod rng;
pub mod scores;
pub mod sealed;
pub mod spec;
pub mod training;
pub mod wire;

pub use batch::{Batch, BatchId, ShardLimits};
pub use features::{AudioInfo, Features, Warning};
pub use keys::{Name, ShardId};
pub use kind::Kind;
pub use mel::{Mel, MelStorage, MelView, N_MELS};
pub use rng::Rng;
pub use sealed::{SealedManifest, SealedShard};
pub use spec::{Embedding, FeatureSpec, Limits, MelReference, Mono, SpecId};
pub use wire::{
    Beat, Gender, Group, Part, Plan, Predict, Recording, Reject, Split, Task, Training,
};
