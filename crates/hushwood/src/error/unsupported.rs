//! Things this client does not have.

use super::error_class;

error_class! {
    /// A version, suite, or type that is unknown here; nobody's fault.
    pub enum Unsupported {
        CipherSuite ["C023" "C162"] "this client has no such cipher suite",
        CredentialType ["C023" "C025"] "a credential is of a type this client can't read",
        GroupExtension ["C023" "C321" "C347" "C363" "C385"] "the group uses an extension this client does not support",
        ProposalType ["C023" "C024" "C388"] "a proposal is of a type this client can't read",
        ProtocolVersion ["C021" "C162"] "a protocol version other than MLS 1.0",
        RequiredCapability ["C347" "C363"] "the group requires a capability this client lacks",
        WireFormat ["C022"] "a wire format this client does not know",
    }
}
