//! What a batch of requests does to the logs that it is about, decided in memory while their groups are locked.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::types::ToSql;

use crate::backend::postgres::to_sql;
use crate::backend::{Appended, Committed, Incarnation, NewCommit, NewEntry, RequestId, Seconds};
use crate::wire::EntryKind;

/// A request for one group.
pub(super) struct Job {
    pub(super) group: Vec<u8>,
    pub(super) write: Write,
}

/// What is asked.
pub(super) enum Write {
    Commit(NewCommit),
    Append(NewEntry),
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answered {
    Commit(Committed),
    Append(Appended),
}

impl Job {
    pub(super) fn request(&self) -> RequestId {
        match &self.write {
            Write::Commit(new) => new.request,
            Write::Append(new) => new.request,
        }
    }
}

/// Where a group stands, and what the batch has done to it so far.
pub(super) struct State<'a> {
    incarnation: Incarnation,
    was: (u64, u64),
    epoch: u64,
    sequence: u64,
    committed: Option<u64>,
    group_info: Option<&'a [u8]>,
    used: Seconds,
    bytes: usize,
    seen: HashMap<RequestId, u64>,
}

impl State<'_> {
    pub(super) fn new(incarnation: Incarnation, epoch: u64, sequence: u64) -> Self {
        Self {
            incarnation,
            was: (epoch, sequence),
            epoch,
            sequence,
            committed: None,
            group_info: None,
            used: Seconds(0),
            bytes: 0,
            seen: HashMap::new(),
        }
    }

    /// A request that has made an entry already.
    pub(super) fn seen(&mut self, request: RequestId, sequence: u64) {
        self.seen.insert(request, sequence);
    }
}

/// Columns of what is to be written, and the answers for when that is done.
#[derive(Default)]
pub(super) struct Plan<'a> {
    answers: Vec<Answered>,
    /// Epochs that somebody has lost, with the places of their answers.
    lost: BTreeMap<(&'a [u8], u64), Vec<usize>>,
    /// Who has won an epoch in this batch.
    won: HashMap<(&'a [u8], u64), u64>,
    heads: Heads<'a>,
    infos: (Vec<&'a [u8]>, Vec<&'a [u8]>),
    welcomes: Welcomes<'a>,
    shared: Shared<'a>,
    entries: Entries<'a>,
}

#[derive(Default)]
struct Heads<'a> {
    gid: Vec<&'a [u8]>,
    was_epoch: Vec<i64>,
    was_sequence: Vec<i64>,
    epoch: Vec<i64>,
    sequence: Vec<i64>,
    committed: Vec<Option<i64>>,
    used: Vec<i64>,
    bytes: Vec<i64>,
}

#[derive(Default)]
struct Welcomes<'a> {
    gid: Vec<&'a [u8]>,
    name: Vec<&'a [u8]>,
    account: Vec<&'a [u8]>,
    device: Vec<&'a [u8]>,
    reference: Vec<&'a [u8]>,
    body: Vec<&'a [u8]>,
    at: Vec<i64>,
    epoch: Vec<i64>,
}

#[derive(Default)]
struct Shared<'a> {
    gid: Vec<&'a [u8]>,
    epoch: Vec<i64>,
    body: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Entries<'a> {
    gid: Vec<&'a [u8]>,
    sequence: Vec<i64>,
    epoch: Vec<i64>,
    kind: Vec<i16>,
    request: Vec<&'a [u8]>,
    body: Vec<&'a [u8]>,
    at: Vec<i64>,
}

impl<'a> Plan<'a> {
    /// Decides about each request in its turn.
    pub(super) fn make(jobs: &'a [Job], mut states: HashMap<&'a [u8], State<'a>>) -> Self {
        let mut plan = Self::default();
        for job in jobs {
            let state = states.get_mut(job.group.as_slice());
            let answer = match &job.write {
                Write::Commit(new) => Answered::Commit(plan.commit(&job.group, new, state)),
                Write::Append(new) => Answered::Append(plan.append(&job.group, new, state)),
            };
            plan.answers.push(answer);
        }
        for (group, state) in states {
            plan.head(group, &state);
        }
        plan
    }

    fn commit(&mut self, group: &'a [u8], new: &'a NewCommit, state: Option<&mut State<'a>>) -> Committed {
        let Some(state) = state.filter(|state| state.incarnation == new.incarnation) else {
            return Committed::NoGroup;
        };
        if let Some(sequence) = state.seen.get(&new.request) {
            return Committed::Duplicate(*sequence);
        }
        if state.epoch != new.epoch {
            let epoch = state.epoch;
            let winner = self.won.get(&(group, new.epoch)).copied();
            if winner.is_none() {
                self.lost.entry((group, new.epoch)).or_default().push(self.answers.len());
            }
            return Committed::Stale { epoch, winner: winner.unwrap_or(0) };
        }
        state.epoch = state.epoch.saturating_add(1);
        let entry = (EntryKind::Commit, new.epoch, new.at);
        let sequence = self.entry(group, state, entry, (&new.request, &new.body));
        state.committed = Some(sequence);
        state.group_info = Some(&new.group_info);
        self.won.insert((group, new.epoch), sequence);
        if !new.welcomes.is_empty() {
            self.shared.gid.push(group);
            self.shared.epoch.push(to_sql(new.epoch));
            self.shared.body.push(&new.shared);
        }
        for welcome in &new.welcomes {
            let rows = &mut self.welcomes;
            rows.gid.push(group);
            rows.name.push(&welcome.id);
            rows.account.push(&welcome.account.0);
            rows.device.push(&welcome.device.0);
            rows.reference.push(&welcome.reference);
            rows.body.push(&welcome.body);
            rows.at.push(to_sql(new.at.0));
            rows.epoch.push(to_sql(new.epoch));
        }
        Committed::Accepted(sequence)
    }

    fn append(&mut self, group: &'a [u8], new: &'a NewEntry, state: Option<&mut State<'a>>) -> Appended {
        let Some(state) = state.filter(|state| state.incarnation == new.incarnation) else {
            return Appended::NoGroup;
        };
        if let Some(sequence) = state.seen.get(&new.request) {
            return Appended::Duplicate(*sequence);
        }
        let oldest = state.epoch.saturating_sub(new.late);
        if !(oldest..=state.epoch).contains(&new.epoch) {
            return Appended::Stale { epoch: state.epoch };
        }
        let entry = (new.kind, new.epoch, new.at);
        Appended::Accepted(self.entry(group, state, entry, (&new.request, &new.body)))
    }

    /// The next entry of a log.
    fn entry(
        &mut self,
        group: &'a [u8],
        state: &mut State<'a>,
        (kind, epoch, at): (EntryKind, u64, Seconds),
        (request, body): (&'a RequestId, &'a [u8]),
    ) -> u64 {
        state.sequence = state.sequence.saturating_add(1);
        state.used = state.used.max(at);
        state.bytes = state.bytes.saturating_add(body.len());
        state.seen(*request, state.sequence);
        let rows = &mut self.entries;
        rows.gid.push(group);
        rows.sequence.push(to_sql(state.sequence));
        rows.epoch.push(to_sql(epoch));
        rows.kind.push(kind_to_sql(kind));
        rows.request.push(&request.0);
        rows.body.push(body);
        rows.at.push(to_sql(at.0));
        state.sequence
    }

    fn head(&mut self, group: &'a [u8], state: &State<'a>) {
        let (epoch, sequence) = state.was;
        if state.sequence == sequence {
            return;
        }
        let heads = &mut self.heads;
        heads.gid.push(group);
        heads.was_epoch.push(to_sql(epoch));
        heads.was_sequence.push(to_sql(sequence));
        heads.epoch.push(to_sql(state.epoch));
        heads.sequence.push(to_sql(state.sequence));
        heads.committed.push(state.committed.map(to_sql));
        heads.used.push(to_sql(state.used.0));
        heads.bytes.push(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        if let Some(group_info) = state.group_info {
            self.infos.0.push(group);
            self.infos.1.push(group_info);
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.gid.is_empty()
    }

    /// Epochs that were lost to commits from before this batch.
    pub(super) fn lost(&self) -> impl Iterator<Item = (&'a [u8], u64)> {
        self.lost.keys().copied()
    }

    /// The values of [`sql::WRITE`](crate::backend::postgres::sql::WRITE).
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 28] {
        let Self { heads, infos, welcomes, shared, entries, .. } = self;
        [
            &heads.gid,
            &heads.was_epoch,
            &heads.was_sequence,
            &heads.epoch,
            &heads.sequence,
            &heads.committed,
            &heads.used,
            &infos.0,
            &infos.1,
            &welcomes.gid,
            &welcomes.name,
            &welcomes.account,
            &welcomes.device,
            &welcomes.reference,
            &welcomes.body,
            &welcomes.at,
            &entries.gid,
            &entries.sequence,
            &entries.epoch,
            &entries.kind,
            &entries.request,
            &entries.body,
            &entries.at,
            &welcomes.epoch,
            &shared.gid,
            &shared.epoch,
            &shared.body,
            &heads.bytes,
        ]
    }

    /// The answers, in the order of the requests; `winners` has the commits of [`Self::lost`].
    pub(super) fn answers(self, winners: &HashMap<(Vec<u8>, u64), u64>) -> Vec<Answered> {
        let Self { mut answers, lost, .. } = self;
        for ((group, lost), places) in lost {
            let Some(sequence) = winners.get(&(group.to_vec(), lost)) else { continue };
            for place in places {
                if let Some(Answered::Commit(Committed::Stale { winner, .. })) = answers.get_mut(place) {
                    *winner = *sequence;
                }
            }
        }
        answers
    }
}

/// The number of a kind in the tables.
fn kind_to_sql(kind: EntryKind) -> i16 {
    match kind {
        EntryKind::Commit => 0,
        EntryKind::Proposal => 1,
        EntryKind::Message => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Incarnation = Incarnation([1; 16]);

    fn commit(group: &str, epoch: u64, request: u8) -> Job {
        let new = NewCommit {
            incarnation: LIFE,
            request: RequestId([request; 32]),
            epoch,
            body: vec![request],
            group_info: vec![request],
            welcomes: Vec::new(),
            shared: Vec::new(),
            at: Seconds(5),
        };
        Job { group: group.into(), write: Write::Commit(new) }
    }

    fn message(group: &str, epoch: u64, request: u8) -> Job {
        let new = NewEntry {
            incarnation: LIFE,
            request: RequestId([request; 32]),
            kind: EntryKind::Message,
            epoch,
            late: 1,
            body: vec![request],
            at: Seconds(5),
        };
        Job { group: group.into(), write: Write::Append(new) }
    }

    fn answers(jobs: &[Job], states: HashMap<&'static [u8], State<'_>>) -> Vec<Answered> {
        let states = states.into_iter().collect();
        Plan::make(jobs, states).answers(&HashMap::new())
    }

    fn tea(epoch: u64, sequence: u64) -> HashMap<&'static [u8], State<'static>> {
        HashMap::from([(b"tea".as_slice(), State::new(LIFE, epoch, sequence))])
    }

    #[test]
    fn of_two_commits_in_one_batch_the_first_wins_and_messages_follow() {
        let jobs = [commit("tea", 3, 1), commit("tea", 3, 2), message("tea", 4, 3), commit("tea", 4, 4)];
        let expected = [
            Answered::Commit(Committed::Accepted(8)),
            Answered::Commit(Committed::Stale { epoch: 4, winner: 8 }),
            Answered::Append(Appended::Accepted(9)),
            Answered::Commit(Committed::Accepted(10)),
        ];
        assert_eq!(answers(&jobs, tea(3, 7)), expected);
    }

    #[test]
    fn the_same_request_twice_in_one_batch_is_written_once() {
        let jobs = [message("tea", 0, 1), message("tea", 0, 1), commit("tea", 0, 2), commit("tea", 0, 2)];
        let expected = [
            Answered::Append(Appended::Accepted(1)),
            Answered::Append(Appended::Duplicate(1)),
            Answered::Commit(Committed::Accepted(2)),
            Answered::Commit(Committed::Duplicate(2)),
        ];
        assert_eq!(answers(&jobs, tea(0, 0)), expected);
    }

    #[test]
    fn an_epoch_lost_before_the_batch_names_its_winner() {
        let jobs = [commit("tea", 1, 1), message("tea", 0, 2)];
        let plan = Plan::make(&jobs, tea(2, 5).into_iter().collect());
        assert!(plan.is_empty());
        assert_eq!(plan.lost().collect::<Vec<_>>(), [(b"tea".as_slice(), 1)]);
        let winners = HashMap::from([((b"tea".to_vec(), 1), 4)]);
        let expected = [
            Answered::Commit(Committed::Stale { epoch: 2, winner: 4 }),
            Answered::Append(Appended::Stale { epoch: 2 }),
        ];
        assert_eq!(plan.answers(&winners), expected);
    }

    #[test]
    fn another_life_of_a_group_is_no_group() {
        let other = HashMap::from([(b"tea".as_slice(), State::new(Incarnation([2; 16]), 0, 0))]);
        let jobs = [commit("tea", 0, 1), message("tea", 0, 2), commit("coffee", 0, 3)];
        let expected = [
            Answered::Commit(Committed::NoGroup),
            Answered::Append(Appended::NoGroup),
            Answered::Commit(Committed::NoGroup),
        ];
        assert_eq!(answers(&jobs, other), expected);
    }
}
