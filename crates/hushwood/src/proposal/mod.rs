//! RFC 9420 §12.1 to §12.3: proposals.

pub mod types;

pub use types::{
    Add, ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ProposalType, ReInit, Remove, Update,
};
