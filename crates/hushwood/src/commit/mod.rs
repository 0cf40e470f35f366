//! RFC 9420 §12.4: commits.

pub mod types;

pub use types::{Commit, ProposalOrRef};
