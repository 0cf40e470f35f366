//! The rules, without a transport: who may do what, and in which order it happens.

mod account;
mod admission;
mod background;
mod call;
mod create;
mod cursors;
mod followed;
mod group;
mod groups;
mod invites;
mod limits;
mod names;
mod people;
mod propose;
mod reading;
mod seal;
mod settings;
mod stream;
mod token;
mod welcomes;
mod work;

use std::fmt;
use std::sync::Arc;

use hushwood_aws_lc::{OsRandom, PROVIDER};
use hushwood_crypto::{CryptoProvider, Random};
use tokio::sync::broadcast;

use crate::backend::{Backend, Seconds};
use crate::service::background::Background;
use crate::service::cursors::Cursors;
use crate::service::groups::{Groups, Trees};
use crate::service::limits::Limits;
use crate::service::token::TokenKeys;
use crate::service::work::{Turns, Work};
use crate::wire::Refusal;

pub use invites::invite;
pub use settings::{NewAccounts, ProposalLimits, Rate, Rates, ServiceSettings};
pub use stream::{LogReader, May, Subscribed};
pub use token::Device;

/// The delivery service on a back end. Any number of them may share one.
///
/// Its calls are requests of [`wire`](crate::wire); a server carries them. As long as it is there, it also does what nobody
/// asks for: it carries Welcomes to inboxes, notes how far readers have come, and forgets what is old.
pub struct Service {
    backend: Arc<dyn Backend>,
    settings: Arc<ServiceSettings>,
    provider: CryptoProvider,
    tokens: TokenKeys,
    groups: Groups,
    trees: Trees,
    cursors: Arc<Cursors>,
    limits: Arc<Limits>,
    work: Work,
    /// Large groups that come here: one at a time, and nobody else waits for them.
    creates: Work,
    turns: Turns,
    background: Background,
    delivered: broadcast::Sender<Device>,
}

impl Service {
    /// A service on this back end, in a runtime of tokio whose clock is enabled.
    ///
    /// # Errors
    /// [`Refusal::Failed`] if the back end does not answer.
    pub async fn new(backend: Arc<dyn Backend>, settings: ServiceSettings) -> Result<Self, Refusal> {
        let tokens = TokenKeys::new(backend.service_secret(random_array()?).await?)?;
        let settings = Arc::new(settings);
        let cursors = Arc::new(Cursors::default());
        let limits = Arc::new(Limits::new(&settings.rates));
        let (delivered, _) = broadcast::channel(1024);
        let (upkeep, news) = ((cursors.clone(), limits.clone()), delivered.clone());
        let background = Background::start(&backend, &settings, upkeep, news);
        Ok(Self {
            provider: PROVIDER,
            tokens,
            groups: groups::groups(&settings),
            trees: groups::trees(&settings),
            cursors,
            limits,
            work: Work::new(settings.checks, settings.waiting_checks),
            creates: Work::new(1, 16),
            turns: Turns::new(settings.checks_of_account),
            background,
            delivered,
            backend,
            settings,
        })
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

    /// Does at once what is done from time to time anyway, as before the service is stopped: Welcomes that are due are in
    /// their inboxes, what readers have said is written, logs for which it is time are trimmed.
    ///
    /// # Errors
    /// [`Refusal::Failed`]: it is done later.
    pub async fn settle(&self) -> Result<(), Refusal> {
        welcomes::carry(&self.backend, &self.settings, &self.delivered).await?;
        self.cursors.write(&*self.backend).await?;
        Ok(background::trim(&*self.backend, &self.settings).await?)
    }

    /// The devices into whose inboxes this node puts something from now on. Whoever does not listen for a while misses some.
    #[must_use]
    pub fn deliveries(&self) -> broadcast::Receiver<Device> {
        self.delivered.subscribe()
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
