//! RFC 9420 §17.4: the code points of proposals.
//!
//! Apart from the proposals themselves, because capabilities and extensions list the types (RFC 9420
//! §7.2, §11.1) and the proposals hold leaves and extensions.

use hushwood_codec::wire_registry;

wire_registry! {
    /// A value of the "MLS Proposal Types" registry (RFC 9420 §17.4).
    pub struct ProposalType {
        /// Add a client.
        ADD = 1 "add",
        /// Replace the sender's leaf.
        UPDATE = 2 "update",
        /// Remove a member.
        REMOVE = 3 "remove",
        /// Inject a pre-shared key.
        PSK = 4 "psk",
        /// Replace the group by another one.
        REINIT = 5 "reinit",
        /// Join by external commit.
        EXTERNAL_INIT = 6 "external_init",
        /// Replace the group's extensions.
        GROUP_CONTEXT_EXTENSIONS = 7 "group_context_extensions",
    }
}

impl ProposalType {
    /// True for the types that every client has and that capabilities must not list (RFC 9420 §7.2).
    #[must_use]
    pub fn is_default(self) -> bool {
        (Self::ADD..=Self::GROUP_CONTEXT_EXTENSIONS).contains(&self)
    }

    /// True for the types that may come from an external sender (RFC 9420 §12.1.8, §17.4).
    #[must_use]
    pub fn is_external(self) -> bool {
        [Self::ADD, Self::REMOVE, Self::PSK, Self::REINIT, Self::GROUP_CONTEXT_EXTENSIONS].contains(&self)
    }

    /// True for the types that a commit may cover without a path (RFC 9420 §12.4). Types of the application's own
    /// need one, unless the [`Policy`](crate::policy::Policy::path_optional_proposals) says otherwise.
    #[must_use]
    pub fn is_path_optional(self) -> bool {
        [Self::ADD, Self::PSK, Self::REINIT].contains(&self)
    }
}
