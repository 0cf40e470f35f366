//! RFC 9420 §12.1 to §12.3: proposals.

pub mod proposal_type;
pub mod types;

pub use proposal_type::ProposalType;
pub use types::{Add, ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ReInit, Remove, Update};
