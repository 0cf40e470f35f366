//! How state changes, and how it stays whole.
//!
//! Every change of a group, or of the client around it, is a [`Step`]: what must hold, what is written,
//! and the output, sealed. [`Step::commit`] hands the writes to a [`Persist`] and only then changes the
//! state in memory and opens the output. So bytes can't leave before they are durable, a key and nonce
//! can't be handed out twice, and an epoch can't be torn (RFC 9420 §6.3.1, C087). Dropping a step
//! changes nothing.

mod record;
mod step;
mod write_set;

pub use record::{InstanceId, RecordKey, RecordKind};
pub(crate) use step::Effect;
pub use step::{CommitError, Durable, Pending, Step};
pub use write_set::{Persist, PersistError, Precondition, Reader, Records, Write, WriteSet};
