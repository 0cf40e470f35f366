//! Whether a back end's compare-and-set holds: asked of it before it serves anybody.
//!
//! Databases have been seen that let two writers win one race, by a setting, a version or a mistake. Here that would be two
//! halves of a group that never come together again.

use crate::backend::{
    Backend, BackendError, Committed, Created, Incarnation, NewCommit, NewGroup, RequestId, Seconds,
};

/// Why a back end must not be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// It gave no answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// One epoch had no winner, or more than one.
    #[error("{winners} of two racing commits were accepted for one epoch: this database must not be used")]
    Winners {
        /// How many were accepted.
        winners: usize,
    },
    /// The log is not what was accepted.
    #[error("the log does not hold what was accepted: this database must not be used")]
    Log,
}

/// Lets two racers make so many commits each for the same epochs of a group of its own, which is erased afterwards. `name` is
/// random: another node may do the same at the same time.
///
/// # Errors
/// [`SelfCheckError`].
pub async fn self_check(backend: &dyn Backend, name: &[u8], epochs: u64) -> Result<(), SelfCheckError> {
    let checked = race(backend, name, epochs).await;
    backend.erase_group(name, Seconds(u64::MAX)).await?;
    checked
}

async fn race(backend: &dyn Backend, group: &[u8], epochs: u64) -> Result<(), SelfCheckError> {
    let new = NewGroup {
        group: group.to_vec(),
        incarnation: Incarnation([0; 16]),
        request: RequestId([0; 32]),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: Seconds(0),
    };
    if backend.create_group(new).await? != Created::Created {
        return Err(SelfCheckError::Log);
    }
    for epoch in 0..epochs {
        let (one, other) =
            tokio::join!(backend.commit(group, commit(epoch, 1)), backend.commit(group, commit(epoch, 2)));
        let accepted = |answer: &Committed| matches!(answer, Committed::Accepted(_));
        let winners = [one?, other?].iter().filter(|answer| accepted(answer)).count();
        if winners != 1 {
            return Err(SelfCheckError::Winners { winners });
        }
    }
    match backend.head(group).await? {
        Some(head) if head.epoch == epochs && head.sequence == epochs => Ok(()),
        Some(_) | None => Err(SelfCheckError::Log),
    }
}

fn commit(epoch: u64, racer: u8) -> NewCommit {
    let mut request = [racer; 32];
    let (number, _) = request.split_at_mut(8);
    number.copy_from_slice(&epoch.to_be_bytes());
    NewCommit {
        incarnation: Incarnation([0; 16]),
        request: RequestId(request),
        epoch,
        body: vec![racer],
        group_info: Vec::new(),
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: Seconds(0),
    }
}
