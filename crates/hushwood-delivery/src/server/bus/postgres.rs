//! Wake-ups between nodes that share a PostgreSQL database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::backend::{Hint, PostgresBackend};
use crate::server::bus::{Bus, Hub, Polling, Wake};
use crate::service::Device;

/// The bus of nodes on PostgreSQL: `NOTIFY`, and a look at everything that somebody waits for where a notification may have been
/// missed, and once in a while.
pub struct PostgresBus {
    backend: Arc<PostgresBackend>,
    polling: Polling,
}

/// How often it is looked in any case.
const LOOK: Duration = Duration::from_secs(60);

impl PostgresBus {
    /// A bus over the database of this back end.
    #[must_use]
    pub fn new(backend: Arc<PostgresBackend>) -> Self {
        Self { polling: Polling::new(backend.clone(), LOOK), backend }
    }
}

#[async_trait]
impl Bus for PostgresBus {
    fn tell(&self, wake: &Wake) {
        self.backend.hints().tell(match wake {
            Wake::Group { group_id, head } => Hint::Group { group: group_id.clone(), sequence: *head },
            Wake::Inbox(Device { account, device }) => Hint::Inbox(*account, *device),
        });
    }

    async fn listen(&self, hub: &Hub) {
        let mut heard = self.backend.hints().listen();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let hint = tokio::select! {
                hint = heard.recv() => hint,
                _ = look.tick() => Ok(Hint::Missed),
            };
            match hint {
                Ok(Hint::Group { group, sequence }) => {
                    hub.wake(&Wake::Group { group_id: group, head: sequence });
                }
                Ok(Hint::Inbox(account, device)) => hub.wake(&Wake::Inbox(Device { account, device })),
                Ok(Hint::Missed) | Err(RecvError::Lagged(_)) => self.polling.ask(hub).await,
                // There will be no more: what is left is to look.
                Err(RecvError::Closed) => {
                    look.tick().await;
                    self.polling.ask(hub).await;
                }
            }
        }
    }
}
