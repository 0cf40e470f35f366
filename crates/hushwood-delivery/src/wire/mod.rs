//! Requests and answers, in the encoding of RFC 9420 §2.1.
//!
//! Messages of MLS stand in them as they are: whole MLSMessages.

mod account;
mod admission;
mod call;
mod group;
mod name;
#[cfg(feature = "server")]
mod refusal;
mod refused;
mod stream;

pub use account::{
    Authorization, Challenge, ClaimRequest, ClaimedKeyPackage, DeviceEntry, InviteToken, Login,
    PublishedKeyPackage, Registration, StockEntry, Token, WelcomeEntry,
};
pub use admission::{
    Admission, DELIVERY_EXTENSION, ExternalSenderProof, GroupKey, INVITATION_LABEL, Invitation, InvitedProof,
    MemberProof, REQUEST_LABEL,
};
pub use call::{
    Access, AcknowledgeRequest, Answer, Call, CallKind, ClaimAnswer, DevicesAnswer, HeadAnswer, InboxAnswer,
    InboxRequest, MEDIA_TYPE, Nothing, PublishRequest, RevokeRequest, StockAnswer, WelcomeId,
};
pub use group::{
    CommitAnswer, CommitRequest, CreateRequest, EntryKind, GroupInfoAnswer, GroupInfoRequest, HeadRequest,
    LogEntry, LogPage, ProposeRequest, ReadAnswer, ReadRequest, Recipient, SendAnswer, SendRequest,
    TreeAnswer, TreeRequest,
};
pub use name::fold_name;
#[cfg(feature = "server")]
pub use refusal::Refusal;
pub use refused::{RefusalCode, Refused};
#[cfg(feature = "server")]
pub(crate) use stream::ENTRY_FRAME;
pub use stream::{ClientFrame, MAX_CLIENT_FRAME, MAX_SERVER_FRAME, STREAM_PATH, ServerFrame, Subscribe};
