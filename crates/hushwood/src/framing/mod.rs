//! RFC 9420 §6: message framing.
//!
//! ```text
//! FramedContent -> Signed -> Authenticated -> PublicMessage or PrivateMessage       sending
//! PublicMessage or PrivateMessage -> Unprotected -> Authenticated                   receiving
//! ```
//!
//! Keys are arguments; where they come from is not known here.

mod content_auth;
mod padding;
mod private_message;
mod public_message;
pub mod types;

pub use content_auth::{Authenticated, KeySource, Signed, Unprotected, check_sender_rules, external_sender};
pub use private_message::{SealingKeys, sender_data_key};
pub use types::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, MessageKey, MlsMessage,
    PrivateMessage, PublicMessage, Sender, SenderData, WireFormat,
};
