//! RFC 9420 §12.4.3: adding members to the group.

pub(crate) mod create;
pub mod types;

pub use types::{EncryptedGroupSecrets, GroupInfo, GroupSecrets, Welcome};
