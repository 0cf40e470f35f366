//! RFC 9420 §8: the key schedule.

pub mod group_context;
pub mod pre_shared_key;

pub use group_context::GroupContext;
pub use pre_shared_key::{PreSharedKeyId, Psk, ResumptionPskUsage};
