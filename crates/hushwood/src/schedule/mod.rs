//! RFC 9420 §8: the key schedule.

mod confirmation_tag;
pub mod epoch;
mod exporter;
mod external_init;
pub mod group_context;
pub mod pre_shared_key;
mod psk_secret;
pub mod transcript_hash;
pub mod types;
mod welcome_key;

pub use epoch::EpochSecrets;
pub use group_context::GroupContext;
pub use pre_shared_key::{PreSharedKeyId, Psk, ResumptionPskUsage};
pub(crate) use psk_secret::MAX_PSKS;
pub use transcript_hash::{confirmed_transcript_hash, interim_transcript_hash};
pub use types::{
    CommitSecret, ConfirmationKey, EncryptionSecret, EpochAuthenticator, EpochSecret, ExporterSecret,
    ExternalSecret, InitSecret, IntermediateSecret, JoinerSecret, MembershipKey, PskSecret, ResumptionPsk,
    SenderDataSecret, WelcomeSecret,
};
