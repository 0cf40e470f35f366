//! RFC 9420 §6: message framing.

pub mod types;

pub use types::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, MlsMessage,
    PrivateMessage, PublicMessage, Sender, WireFormat,
};
