//! RFC 9420 §12.4.3: adding members to the group.

pub(crate) mod create;
pub(crate) mod join;
pub mod types;
pub(crate) mod verification;

pub use join::Parent;
pub use types::{EncryptedGroupSecrets, GroupInfo, GroupSecrets, Welcome};
