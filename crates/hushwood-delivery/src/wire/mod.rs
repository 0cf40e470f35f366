//! Requests and answers, in the encoding of RFC 9420 §2.1.
//!
//! Messages of MLS stand in them as they are: whole MLSMessages.

mod account;
mod call;
mod group;
#[cfg(feature = "server")]
mod refusal;
mod refused;
mod stream;

pub use account::{
    Authorization, Challenge, ClaimRequest, ClaimedKeyPackage, Login, PublishedKeyPackage, Registration,
    StockEntry, Token, WelcomeEntry,
};
pub use call::{
    Access, AcknowledgeRequest, Answer, Call, CallKind, ClaimAnswer, GroupRequest, HeadAnswer, HeadRequest,
    InboxAnswer, MEDIA_TYPE, Nothing, PublishRequest, ReadAnswer, RevokeRequest, StockAnswer, WelcomeId,
};
pub use group::{
    CommitAnswer, CommitRequest, CreateRequest, EntryKind, GroupAnswer, GroupKey, LogEntry, MemberProof,
    ReadRequest, Recipient, SendAnswer, SendRequest,
};
#[cfg(feature = "server")]
pub use refusal::Refusal;
pub use refused::{RefusalCode, Refused};
#[cfg(feature = "server")]
pub(crate) use stream::ENTRY_FRAME;
pub use stream::{ClientFrame, MAX_CLIENT_FRAME, MAX_SERVER_FRAME, STREAM_PATH, ServerFrame, Subscribe};
