//! RFC 9420 §8: the secrets of the key schedule, a type for each.
//!
//! A secret in the wrong place would go unnoticed until two members disagree; here it does not compile.
//! None of them can be cloned, compared or printed, and each is erased when it is dropped (§9.2, C187).

use std::fmt;

use hushwood_crypto::Secret;

macro_rules! secret_types {
    ($( $(#[$meta:meta])* $name:ident, )*) => { $(
        $(#[$meta])*
        pub struct $name(Secret);

        impl $name {
            /// Takes over bytes that were derived, received, or read back from a store.
            #[must_use]
            pub fn new(secret: Secret) -> Self {
                Self(secret)
            }

            /// The secret, to derive from.
            #[must_use]
            pub fn secret(&self) -> &Secret {
                &self.0
            }

            /// The bare secret, for the structure that carries it on.
            #[must_use]
            pub fn into_secret(self) -> Secret {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )* };
}

secret_types! {
    /// `init_secret`: what one epoch gives to the next. Gone once the next epoch is there.
    InitSecret,
    /// `commit_secret`: what a commit's path adds; zero without a path.
    CommitSecret,
    /// `joiner_secret`: what a Welcome gives to those who join.
    JoinerSecret,
    /// `psk_secret`: all pre-shared keys of a commit in one; zero without any.
    PskSecret,
    /// What `joiner_secret` and `psk_secret` give together, unnamed in the RFC: `welcome_secret` and
    /// `epoch_secret` come from it.
    IntermediateSecret,
    /// `welcome_secret`: seals the GroupInfo of a Welcome.
    WelcomeSecret,
    /// `epoch_secret`: all others of an epoch come from it.
    EpochSecret,
    /// `sender_data_secret`: hides who sent an encrypted message.
    SenderDataSecret,
    /// `encryption_secret`: the root of the secret tree.
    EncryptionSecret,
    /// `exporter_secret`: secrets for other protocols come from it.
    ExporterSecret,
    /// `external_secret`: the key pair for external commits comes from it.
    ExternalSecret,
    /// `confirmation_key`: shows that all members agree on the epoch.
    ConfirmationKey,
    /// `membership_key`: shows that a public message is from a member.
    MembershipKey,
    /// `resumption_psk`: shows later that somebody was a member in this epoch.
    ResumptionPsk,
    /// `epoch_authenticator`: equal for two members exactly if they have the same view of the group (§8.7).
    EpochAuthenticator,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_their_type_only() {
        let secret = EpochSecret::new(Secret::copy_of(&[0xab; 32]));
        assert_eq!(format!("{secret:?}"), "EpochSecret(..)");
    }
}
