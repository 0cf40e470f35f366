//! The delivery service: one log for each group, and one commit for each epoch, as long as it behaves.

use std::collections::HashMap;
use std::rc::Rc;

use hushwood::group::Group;
use hushwood_crypto::CipherSuite;

use crate::checks::Lineage;

/// What a message in the log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// The application message with this number.
    Said(u64),
    /// A proposal.
    Proposal,
    /// A commit, and the epoch that it leads to.
    Commit(Lineage),
    /// Something made to do harm.
    Harm,
}

/// Somebody who is no client: an external sender.
pub const OUTSIDE: usize = usize::MAX;

/// A message in the log of a group.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The bytes.
    pub bytes: Rc<[u8]>,
    /// What it is.
    pub what: What,
    /// The client that handed it in.
    pub from: usize,
    /// Whether the checks hold its sender to what it does.
    pub trusted: bool,
    /// The epoch it was made in.
    pub lineage: Lineage,
    /// The number of that epoch.
    pub epoch: u64,
    /// Which of the group's histories has it, if it is a commit.
    pub branch: usize,
    /// Of a commit: whether the first honest member that had all it takes found it valid.
    pub judged: Option<bool>,
    /// Of a commit: its path deceives somebody.
    pub deceives: bool,
    /// Where it stood first, if it is said again.
    pub origin: Option<usize>,
}

impl Entry {
    /// Who handed it in, for people.
    #[must_use]
    pub fn sender(&self) -> String {
        match self.from {
            OUTSIDE => "nobody".into(),
            from => from.to_string(),
        }
    }
}

/// One of the histories of a group: there is one, unless the delivery service forks it.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The newest epoch.
    pub head: Lineage,
    /// The one before it.
    pub parent: Lineage,
    /// The commit that ends an epoch, by its place in the log.
    pub commits: HashMap<Lineage, usize>,
    /// The group was reinitialised.
    pub ended: bool,
}

/// A group, as the delivery service has it.
#[derive(Debug)]
pub struct Room {
    /// Its id.
    pub group_id: Vec<u8>,
    /// Its suite.
    pub suite: &'static dyn CipherSuite,
    /// All messages, in the order in which they were taken.
    pub log: Vec<Entry>,
    /// Its histories; the first is what members come back to.
    pub branches: Vec<Branch>,
    /// Where in the log an epoch begins.
    pub began: HashMap<Lineage, usize>,
    /// The next commit that loses is taken all the same.
    pub fork: bool,
    /// The group that this one has grown out of.
    pub parent: Option<usize>,
    /// It replaces that one, which was reinitialised.
    pub replaces: bool,
    /// A group has replaced this one.
    pub replaced: bool,
}

/// What the delivery service says to a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It ends the epoch.
    Taken,
    /// Another one does.
    Refused,
    /// Both do: the group has one more history.
    Forked(usize),
}

/// More histories than that are not made.
const BRANCHES: usize = 3;

impl Room {
    /// A group in its first epoch.
    #[must_use]
    pub fn new(group: &Group, head: Lineage, parent: Option<usize>) -> Self {
        let (group_id, suite) = (group.group_id().to_vec(), group.suite());
        let branch = Branch { head, parent: head, commits: HashMap::new(), ended: false };
        let began = HashMap::from([(head, 0)]);
        let (log, branches) = (Vec::new(), vec![branch]);
        Self { group_id, suite, log, branches, began, fork: false, parent, replaces: false, replaced: false }
    }

    /// Takes a commit, if it is the first of its epoch.
    pub fn submit(&mut self, mut entry: Entry, next: Lineage) -> Answer {
        let count = self.branches.len();
        let branch = &mut self.branches[entry.branch];
        if branch.ended {
            return Answer::Refused;
        }
        let place = self.log.len();
        if branch.head == entry.lineage {
            branch.commits.insert(entry.lineage, place);
            (branch.parent, branch.head) = (entry.lineage, next);
            self.began.insert(next, place + 1);
            self.log.push(entry);
            return Answer::Taken;
        }
        if !self.fork || count == BRANCHES || branch.parent != entry.lineage || branch.head == next {
            return Answer::Refused;
        }
        self.fork = false;
        let commits = HashMap::from([(entry.lineage, place)]);
        self.branches.push(Branch { head: next, parent: entry.lineage, commits, ended: false });
        self.began.insert(next, place + 1);
        entry.branch = count;
        self.log.push(entry);
        Answer::Forked(count)
    }

    /// Members have found a commit to be invalid: its epoch goes on, and whatever followed is void.
    pub fn retract(&mut self, place: usize) {
        let entry = &self.log[place];
        let branch = &mut self.branches[entry.branch];
        if branch.commits.get(&entry.lineage) == Some(&place) {
            branch.commits.remove(&entry.lineage);
            (branch.head, branch.parent, branch.ended) = (entry.lineage, entry.lineage, false);
        }
    }

    /// The commit that ends an epoch of a history.
    #[must_use]
    pub fn next_commit(&self, branch: usize, lineage: Lineage) -> Option<usize> {
        self.branches[branch].commits.get(&lineage).copied()
    }

    /// Whether an epoch is the newest of the history that members come back to.
    #[must_use]
    pub fn is_head(&self, lineage: Lineage) -> bool {
        self.branches[0].head == lineage
    }
}
