//! RFC 9420 §12.1 to §12.3: proposals.
//!
//! A proposal that is received is checked by itself ([`single`]) and kept ([`cache`]) until a commit
//! covers it. A committer selects from what is kept ([`mod@choose`]); committer and receivers check the list
//! by the same rules ([`list`]) and apply it ([`apply`]).

pub mod apply;
pub mod cache;
pub mod choose;
pub mod list;
pub mod proposal_type;
pub mod single;
pub mod types;

pub use apply::{Applied, PathLeaf};
pub use cache::{CachedProposal, ProposalCache};
pub use choose::{Choice, Dropped, choose};
pub use list::{CommittedProposal, ProposalList};
pub use proposal_type::ProposalType;
pub use single::{ProposalChecks, Purpose};
pub use types::{Add, ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ReInit, Remove, Update};

#[cfg(test)]
mod tests;
