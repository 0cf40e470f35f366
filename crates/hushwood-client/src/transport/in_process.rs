//! A delivery service in the same process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hushwood_delivery::service::Service;
use hushwood_delivery::wire::{Answer, Call, Refused};
use tokio::runtime::Handle;

use crate::transport::blocking::wait_for;
use crate::transport::{AsyncTransport, Task, Transport, TransportError};

/// A delivery service in the same process. It has no stream: news are looked for as [`Settings::poll`](crate::Settings::poll) says.
///
/// As a [`Transport`](crate::Transport) it needs a runtime that goes on while a thread waits: one with threads of its own.
#[derive(Clone)]
pub struct InProcess {
    service: Arc<Service>,
    runtime: Handle,
}

impl InProcess {
    /// Asks this service, which runs on this runtime.
    #[must_use]
    pub fn new(service: Arc<Service>, runtime: Handle) -> Self {
        Self { service, runtime }
    }
}

impl Transport for InProcess {
    fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, TransportError> {
        let answer = async {
            let answer = self.service.call(call, token).await;
            answer.map_err(|refusal| TransportError::Refused(Refused::from(&refusal)))
        };
        wait_for(&self.runtime, answer)
    }
}

impl AsyncTransport for InProcess {
    async fn call(&self, call: Call, token: Option<Vec<u8>>) -> Result<Answer, TransportError> {
        let answer = self.service.call(call, token.as_deref()).await;
        answer.map_err(|refusal| TransportError::Refused(Refused::from(&refusal)))
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}
