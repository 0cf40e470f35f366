//! Requests and answers, in the encoding of RFC 9420 §2.1.
//!
//! Messages of MLS stand in them as they are: whole MLSMessages.

mod account;
mod group;
mod refusal;

pub use account::{
    Authorization, Challenge, ClaimRequest, ClaimedKeyPackage, Login, PublishedKeyPackage, Registration,
    StockEntry, Token, WelcomeEntry,
};
pub use group::{
    CommitAnswer, CommitRequest, CreateRequest, EntryKind, GroupAnswer, GroupKey, LogEntry, MemberProof,
    ReadRequest, Recipient, SendAnswer, SendRequest,
};
pub use refusal::Refusal;
