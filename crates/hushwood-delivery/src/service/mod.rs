//! The rules, without a transport: who may do what, and in which order it happens.

mod account;
mod call;
mod followed;
mod group;
mod seal;
mod settings;
mod stream;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hushwood_aws_lc::{OsRandom, PROVIDER};
use hushwood_crypto::{CryptoProvider, Random};
use tokio::sync::Mutex;

use crate::backend::{Backend, Seconds};
use crate::service::followed::Followed;
use crate::service::token::TokenKey;
use crate::wire::Refusal;

pub use settings::ServiceSettings;
pub use stream::{LogReader, May};
pub use token::Device;

/// The delivery service on a back end. Any number of them may share one.
///
/// Its calls are requests of [`wire`](crate::wire); a server carries them.
pub struct Service {
    backend: Arc<dyn Backend>,
    settings: ServiceSettings,
    provider: CryptoProvider,
    tokens: TokenKey,
    /// Groups that were asked for lately, each with a lock of its own.
    followed: Mutex<HashMap<Vec<u8>, Slot>>,
}

/// A place for a group that is followed: empty until somebody brings its key.
type Slot = Arc<Mutex<Option<Followed>>>;

impl Service {
    /// A service on this back end.
    ///
    /// # Errors
    /// [`Refusal::Failed`] if the back end does not answer.
    pub async fn new(backend: Arc<dyn Backend>, settings: ServiceSettings) -> Result<Self, Refusal> {
        let fresh = random_array()?;
        let tokens = TokenKey::new(backend.service_secret(fresh).await?)?;
        Ok(Self { backend, settings, provider: PROVIDER, tokens, followed: Mutex::new(HashMap::new()) })
    }

    /// What it stores.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// How it was set up.
    #[must_use]
    pub fn settings(&self) -> &ServiceSettings {
        &self.settings
    }

    fn now(&self) -> Seconds {
        (self.settings.clock)()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Fresh random bytes.
fn random_array<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    let filled = OsRandom.fill(&mut bytes);
    filled.map_err(|_| unavailable("no randomness"))?;
    Ok(bytes)
}

fn unavailable(what: &str) -> Refusal {
    Refusal::Failed(crate::backend::BackendError::Unavailable(what.to_owned()))
}
