//! A task that appends: what waits for it shares a transaction, and with it one write to the disk.
//!
//! A transaction locks the rows of its groups in their order, so that two nodes never wait for each other; looks which requests
//! have been seen; decides in memory ([`plan`](crate::backend::postgres::plan)); and writes everything with one statement that COMMIT follows at once.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use crate::backend::postgres::connect::{TooLate, connection, patiently};
use crate::backend::postgres::error::Failed;
use crate::backend::postgres::plan::{Answered, Job, Plan, State};
use crate::backend::postgres::{LATE, PostgresSettings, column, fixed, number, sql, to_sql};
use crate::backend::{BackendError, Incarnation, RequestId};

/// A job, and who waits for what becomes of it.
struct Waiting {
    job: Job,
    answer: oneshot::Sender<Result<Answered, BackendError>>,
}

/// A handle to the task. It ends when the handle is dropped, after it has done what waits.
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    /// Starts the task; the pool's connection is its own.
    pub(super) fn start(pool: Pool, settings: &PostgresSettings) -> Self {
        let (queue, waiting) = mpsc::channel(settings.waiting.max(1));
        let lane = Lane {
            pool,
            batch: settings.batch.max(1),
            linger: settings.linger,
            patience: settings.patience,
            mix_groups: settings.mix_groups,
        };
        tokio::spawn(async move { lane.serve(waiting).await });
        Self { queue }
    }

    /// Does this, and answers when it is durable.
    pub(super) async fn write(&self, job: Job) -> Result<Answered, BackendError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { job, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BackendError::Busy,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        answered.await.unwrap_or_else(|_| Err(BackendError::Unknown("the service is stopping".to_owned())))
    }
}

fn stopped() -> BackendError {
    BackendError::Unavailable("its writer has stopped: start the service again".to_owned())
}

struct Lane {
    pool: Pool,
    batch: usize,
    linger: Duration,
    patience: Duration,
    mix_groups: bool,
}

impl Lane {
    async fn serve(&self, mut queue: mpsc::Receiver<Waiting>) {
        let (mut gathered, mut expected) = (Vec::new(), 1);
        while queue.recv_many(&mut gathered, self.batch).await > 0 {
            // Who was answered a moment ago may be about to ask again: who is faster waits for them, so that all share one
            // transaction and not two. One who is alone waits for nobody.
            let deadline = Instant::now() + self.linger;
            while gathered.len() < expected {
                let room = self.batch.saturating_sub(gathered.len());
                match tokio::time::timeout_at(deadline, queue.recv_many(&mut gathered, room)).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            expected = gathered.len();
            // Stable: a group's requests stay in the order in which they came.
            gathered.sort_by(|one, other| one.job.group.cmp(&other.job.group));
            let (jobs, answers): (Vec<_>, Vec<_>) =
                gathered.drain(..).map(|waiting| (waiting.job, waiting.answer)).unzip();
            let mut answers = answers.into_iter();
            let same = |one: &Job, other: &Job| self.mix_groups || one.group == other.group;
            for together in jobs.chunk_by(same) {
                for (done, answer) in self.write(together).await.into_iter().zip(&mut answers) {
                    // Who has asked may have gone: then nobody hears the answer.
                    drop(answer.send(done));
                }
            }
        }
    }

    /// One transaction; if the database refuses it, one for each, so that only those fail that it refuses.
    async fn write(&self, jobs: &[Job]) -> Vec<Result<Answered, BackendError>> {
        match self.transaction(jobs, BEGIN).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(Failed::Undone(_)) if jobs.len() > 1 => self.one_by_one(jobs).await,
            Err(failed) => vec![Err(failed.told()); jobs.len()],
        }
    }

    async fn one_by_one(&self, jobs: &[Job]) -> Vec<Result<Answered, BackendError>> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.transaction(std::slice::from_ref(job), BEGIN_ALONE).await {
                Ok(answer) => answers.extend(answer.into_iter().map(Ok)),
                // Nobody answers any more: each would wait as long as this one has.
                Err(Failed::Lost(why)) => {
                    answers.resize(jobs.len(), Err(BackendError::Unavailable(why)));
                    break;
                }
                Err(Failed::NoConnection(error)) => {
                    answers.resize(jobs.len(), Err(error));
                    break;
                }
                Err(failed) => answers.push(Err(failed.told())),
            }
        }
        answers
    }

    /// A connection may have been closed while nobody looked: then nothing was written, and another one is tried, once.
    async fn transaction(&self, jobs: &[Job], begin: &str) -> Result<Vec<Answered>, Failed> {
        match self.attempt(jobs, begin).await {
            Err(Failed::Lost(_)) => self.attempt(jobs, begin).await,
            done => done,
        }
    }

    async fn attempt(&self, jobs: &[Job], begin: &str) -> Result<Vec<Answered>, Failed> {
        let client = connection(&self.pool).await.map_err(Failed::NoConnection)?;
        let done = self.on(&client, jobs, begin).await;
        match &done {
            Ok(_) => {}
            Err(Failed::Undone(_)) => {
                if !matches!(patiently(self.patience, client.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
                    drop(Object::take(client));
                }
            }
            // Nobody knows in which state it is.
            Err(Failed::Lost(_) | Failed::NoConnection(_) | Failed::Unknown(_)) => drop(Object::take(client)),
        }
        done
    }

    async fn on(&self, client: &Object, jobs: &[Job], begin: &str) -> Result<Vec<Answered>, Failed> {
        let states = self.look(client, jobs, begin).await?;
        let plan = Plan::make(jobs, states);
        let winners = self.finish(client, &plan).await?;
        Ok(plan.answers(&winners))
    }

    /// Begins the transaction: locks what it is about and looks at it. Nothing is written yet.
    async fn look<'a>(
        &self,
        client: &Object,
        jobs: &'a [Job],
        begin: &str,
    ) -> Result<HashMap<&'a [u8], State<'a>>, Failed> {
        let mut groups: Vec<&[u8]> = jobs.iter().map(|job| job.group.as_slice()).collect();
        let requests: Vec<_> = jobs.iter().map(|job| job.request().0).collect();
        let requests: Vec<&[u8]> = requests.iter().map(<[u8; 32]>::as_slice).collect();
        let of_requests = groups.clone();
        groups.dedup();
        let (heads, seen) = self
            .before_commit(async {
                let (lock, about): (_, &(dyn ToSql + Sync)) = match groups.as_slice() {
                    [only] => (sql::LOCK_ONE, only),
                    _ => (sql::LOCK, &groups),
                };
                let lock = client.prepare_cached(lock).await?;
                let seen = client.prepare_cached(sql::SEEN).await?;
                let (about, asked): ([_; 1], [&(dyn ToSql + Sync); 2]) = ([about], [&of_requests, &requests]);
                // Sent at once, in this order; the server works on one after the other.
                let (begun, heads, seen) = tokio::join!(
                    biased;
                    client.batch_execute(begin),
                    client.query(&lock, &about),
                    client.query(&seen, &asked),
                );
                begun?;
                Ok((heads?, seen?))
            })
            .await?;
        let mut states = HashMap::with_capacity(groups.len());
        for row in &heads {
            let gid: &[u8] = column(row, 0).map_err(undone)?;
            let Ok(place) = groups.binary_search(&gid) else { continue };
            let Some(group) = groups.get(place) else { continue };
            let incarnation = Incarnation(fixed(row, 1).map_err(undone)?);
            let (epoch, sequence) = (number(row, 2).map_err(undone)?, number(row, 3).map_err(undone)?);
            states.insert(*group, State::new(incarnation, epoch, sequence));
        }
        for row in &seen {
            let gid: &[u8] = column(row, 0).map_err(undone)?;
            if let Some(state) = states.get_mut(gid) {
                state.seen(RequestId(fixed(row, 1).map_err(undone)?), number(row, 2).map_err(undone)?);
            }
        }
        Ok(states)
    }

    /// Writes what was decided and makes it durable. Gives the commits that have won the epochs which others have lost.
    async fn finish(&self, client: &Object, plan: &Plan<'_>) -> Result<HashMap<(Vec<u8>, u64), u64>, Failed> {
        let lost: Vec<(&[u8], u64)> = plan.lost().collect();
        if !lost.is_empty() {
            let (groups, epochs): (Vec<_>, Vec<_>) =
                lost.iter().map(|(group, epoch)| (*group, to_sql(*epoch))).unzip();
            let rows = self
                .before_commit(async {
                    let winners = client.prepare_cached(sql::WINNERS).await?;
                    client.query(&winners, &[&groups, &epochs]).await
                })
                .await?;
            let winner = |row| Ok(((column(row, 0)?, number(row, 1)?), number(row, 2)?));
            let winners: Result<HashMap<_, _>, BackendError> = rows.iter().map(winner).collect();
            let winners = winners.map_err(undone)?;
            self.end(client, plan).await?;
            return Ok(winners);
        }
        self.end(client, plan).await?;
        Ok(HashMap::new())
    }

    async fn end(&self, client: &Object, plan: &Plan<'_>) -> Result<(), Failed> {
        if plan.is_empty() {
            // A lock alone would be written to the disk by a COMMIT.
            return self.before_commit(client.batch_execute("ROLLBACK")).await;
        }
        let write = self.before_commit(client.prepare_cached(sql::WRITE)).await?;
        let values = plan.values();
        let both =
            async { Ok(tokio::join!(biased; client.query(&write, &values), client.batch_execute("COMMIT"))) };
        let (written, committed) = match patiently(self.patience, both).await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => return Err(Failed::at_commit(&error)),
            Err(TooLate) => return Err(Failed::Unknown(LATE.to_owned())),
        };
        // If the server refuses the first, its answer to COMMIT is that it has rolled back.
        written.map_err(|error| match error.code() {
            Some(code) if code.code() == "22012" => {
                Failed::Undone(BackendError::Corrupt("a head that moves within a transaction"))
            }
            _ => Failed::at_commit(&error),
        })?;
        committed.map_err(|error| Failed::at_commit(&error))
    }

    /// Waits for something that comes before the end of the transaction.
    async fn before_commit<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failed> {
        match patiently(self.patience, answer).await {
            Ok(answer) => answer.map_err(|error| Failed::before_commit(&error)),
            Err(TooLate) => Err(Failed::Lost(LATE.to_owned())),
        }
    }
}

/// The level that the locks are made for: what is read after a lock was waited for is what its holder has left.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// For one that was refused among others: if it waits for a lock, nobody waits for it.
const BEGIN_ALONE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '100ms'";

/// What can't be read has been undone with the rest.
fn undone(error: BackendError) -> Failed {
    Failed::Undone(error)
}
