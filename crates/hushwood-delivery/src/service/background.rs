//! What a node does without being asked: it carries Welcomes, writes down how far readers have come, and forgets old entries
//! of logs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::backend::{Backend, BackendError, Seconds, TrimLimits};
use crate::service::cursors::Cursors;
use crate::service::limits::Limits;
use crate::service::welcomes::carry;
use crate::service::{Device, ServiceSettings};

/// Tasks that end when this is dropped. What they have not done is done by the next node that starts, or that is there.
pub(super) struct Background {
    wake: Arc<Notify>,
    _tasks: JoinSet<()>,
}

/// How long the carrier waits when nobody wakes it: another node may have crashed before it had carried something.
const CARRY_EVERY: Duration = Duration::from_secs(15);
/// How often cursors are written.
const UPKEEP_EVERY: Duration = Duration::from_secs(30);
/// How old a group's last trimming is before the next.
const TRIM_EVERY: u64 = 24 * 60 * 60;
/// So many groups are looked at in one turn.
const AT_ONCE: u32 = 100;
/// So many entries are forgotten in one transaction.
const TRIM_AT_ONCE: u64 = 1000;

impl Background {
    pub(super) fn start(
        backend: &Arc<dyn Backend>,
        settings: &Arc<ServiceSettings>,
        (cursors, limits): (Arc<Cursors>, Arc<Limits>),
        delivered: broadcast::Sender<Device>,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_carrying(backend.clone(), settings.clone(), (wake.clone(), delivered)));
        tasks.spawn(keep_up(backend.clone(), settings.clone(), (cursors, limits)));
        Self { wake, _tasks: tasks }
    }

    /// There is something to carry.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

async fn keep_carrying(
    backend: Arc<dyn Backend>,
    settings: Arc<ServiceSettings>,
    (wake, delivered): (Arc<Notify>, broadcast::Sender<Device>),
) {
    let mut failures: u32 = 0;
    loop {
        match carry(&backend, &settings, &delivered).await {
            Ok(()) => {
                failures = 0;
                tokio::select! {
                    () = wake.notified() => {}
                    () = sleep(CARRY_EVERY) => {}
                }
            }
            // A back end that fails is not asked again at once, whoever wakes us.
            Err(_) => {
                failures = failures.saturating_add(1);
                sleep(backoff(failures)).await;
            }
        }
    }
}

/// A second, then twice as long each time, a minute at most.
fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX).clamp(1, 60))
}

async fn keep_up(
    backend: Arc<dyn Backend>,
    settings: Arc<ServiceSettings>,
    (cursors, limits): (Arc<Cursors>, Arc<Limits>),
) {
    loop {
        sleep(UPKEEP_EVERY).await;
        limits.forget();
        // What fails here is tried again the next time.
        drop(cursors.write(&*backend).await);
        drop(trim(&*backend, &settings).await);
    }
}

/// Forgets what is old, of groups for which it is time, and groups that nobody uses.
pub(super) async fn trim(backend: &dyn Backend, settings: &ServiceSettings) -> Result<(), BackendError> {
    let now = (settings.clock)();
    let before = |time: Duration| Seconds(now.0.saturating_sub(time.as_secs()));
    let (retention, unread) = (settings.retention, settings.unread_retention.max(settings.retention));
    let limits =
        TrimLimits { before: before(retention), unread_before: before(unread), most: TRIM_AT_ONCE, at: now };
    for group in backend.untrimmed(before(Duration::from_secs(TRIM_EVERY)), AT_ONCE).await? {
        while backend.trim(&group, limits).await? >= TRIM_AT_ONCE {}
    }
    let idle = before(settings.idle_retention.max(unread));
    for group in backend.idle_groups(idle, AT_ONCE).await? {
        backend.erase_group(&group, idle).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_after_a_failure_grows_and_has_an_end() {
        assert_eq!([1, 2, 3, 4, 100].map(|failures| backoff(failures).as_secs()), [1, 2, 4, 8, 60]);
    }
}
