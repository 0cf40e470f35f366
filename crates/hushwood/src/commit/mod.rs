//! RFC 9420 §12.4: commits.
//!
//! ```text
//! ProposalList + leaf      -> create          -> message, next epoch, secrets of those who join
//! message + ProposalList   -> process_public  -> new tree, credentials to judge          observers stop here
//!                          -> process_private -> next epoch
//! ```

pub(crate) mod advance;
pub(crate) mod answers;
pub(crate) mod create;
pub(crate) mod process;
pub(crate) mod state;
pub mod types;

pub use answers::Answers;
pub use state::PublicState;
pub use types::{Commit, ProposalOrRef};
