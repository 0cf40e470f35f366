//! RFC 9420 §5.3: credentials.
//!
//! What a member shows of who it is. Whether it is who it says is for the application to decide
//! (RFC 9420 §5.3.1): [`validator`] is how it is asked and answers.

pub mod basic;
pub mod types;
pub mod validator;
pub mod x509;

pub use basic::BasicPins;
pub(crate) use types::PRIVATE_USE_FIRST;
pub use types::{Certificate, Credential, CredentialType};
pub use validator::{
    Claim, CredentialCheck, CredentialValidator, InsecureAcceptAll, Subject, Verdict, Verdicts, judge,
};
pub use x509::X509Validator;
