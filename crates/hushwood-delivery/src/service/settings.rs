//! What an operator decides.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hushwood::policy::Policy;

use crate::backend::{PageLimit, Seconds};
use crate::wire::InviteToken;

/// What an operator decides, with what fits most.
#[derive(Clone)]
pub struct ServiceSettings {
    /// The service's name. It stands in everything that is signed for it, so that nothing signed for another service can
    /// be used here.
    pub name: String,
    /// How long a token is good. At most a day: the key that it is made with is good for so long.
    pub token_lifetime: Duration,
    /// How old a challenge or a proof may be, and how far ahead the clock of who made it.
    pub clock_skew: Duration,
    /// How much longer an invitation may be good.
    pub max_invitation: Duration,
    /// How many epochs back a message may be from. Members can read those of a few past epochs.
    pub late_epochs: u64,
    /// A snapshot is made every so many commits.
    pub snapshot_every: u64,
    /// So many snapshots are kept, so that who was invited long ago still gets the tree.
    pub snapshots: u32,
    /// How old an entry of a log becomes before it is forgotten, if all who read the log have read it.
    pub retention: Duration,
    /// How old it becomes otherwise. Who has read nothing for so long is waited for no longer, and has to rejoin.
    pub unread_retention: Duration,
    /// A group in which nothing was written for so long is forgotten, whoever may come back to it.
    pub idle_retention: Duration,
    /// The most bytes of a group's log: there are no more messages and proposals then until older ones are forgotten. Commits may
    /// take an eighth more, so that who fills it can be removed.
    pub max_log: u64,
    /// How long a Welcome is carried again and again to an inbox that is full.
    pub welcome_retention: Duration,
    /// The most KeyPackages that wait here to be claimed for a device, and that it publishes at once.
    pub max_key_packages: u32,
    /// The most devices that an account may have.
    pub max_devices: u32,
    /// How many Welcomes, and bytes of them, may wait for a device. While so many do, it can't be added to groups.
    pub inbox: PageLimit,
    /// Who may make a new account.
    pub new_accounts: NewAccounts,
    /// The longest name of an account, in bytes.
    pub max_name: usize,
    /// The most groups that an account brings here in a [`group_period`](Self::group_period), at all nodes together.
    pub max_groups: u32,
    /// How long that is.
    pub group_period: Duration,
    /// The largest message.
    pub max_message: usize,
    /// The largest tree of a group that comes to the service: each of its nodes is checked then. Once here, it may grow.
    pub max_tree: usize,
    /// The most bytes that the Welcomes of one commit may come to when they have arrived, each with its own copy of what they
    /// share.
    pub max_welcomes: usize,
    /// How many Welcomes of a group, and bytes of them, may wait to be carried to inboxes. While so many do, it adds nobody.
    pub uncarried: PageLimit,
    /// What may wait for a commit in one epoch of a group.
    pub proposals: ProposalLimits,
    /// The most bytes of groups that are kept in memory, so that what is asked for again is there. About.
    pub max_followed: u64,
    /// How long a group, and its key, is kept in memory that nobody asks for.
    pub max_unused: Duration,
    /// How many checks of groups and KeyPackages are made at once: as many as there are processors.
    pub checks: usize,
    /// How many more may wait for that.
    pub waiting_checks: usize,
    /// How many of them may be one account's.
    pub checks_of_account: usize,
    /// How often somebody may ask.
    pub rates: Rates,
    /// What groups may be like, and how KeyPackages are judged.
    pub policy: Policy,
    /// The clock.
    pub clock: fn() -> Seconds,
}

/// Who may make a new account. Whoever has one keeps it, and adds devices to it, whatever this says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum NewAccounts {
    /// Everybody, as often as [`Rates::registrations`] and the limits by address let them.
    #[default]
    Open,
    /// Those who show a token that the operator has made ([`invite`](crate::service::invite)), or the word that is given here, which is
    /// the same for all.
    Invited {
        /// The word.
        word: Option<InviteToken>,
    },
    /// Nobody.
    Closed,
}

/// What may wait for a commit in one epoch of a group. They are kept well below what the members' own limits are, so that
/// whatever stands in a log can be followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProposalLimits {
    /// Proposals, of all members together.
    pub all: usize,
    /// Proposals of one member.
    pub of_one: usize,
    /// Proposals from outside the group, of all together: they take no member's place.
    pub outside: usize,
    /// Bytes of proposals: of one member, and of all from outside together.
    pub bytes_of_one: usize,
    /// Bytes of proposals, of all members together.
    pub bytes: usize,
}

/// How often something may be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// So many times at once,
    pub burst: u32,
    /// and once more each time this has passed.
    pub every: Duration,
}

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Requests of an account.
    pub account: Rate,
    /// Requests of a member of a group; each 64 KiB that are written count as one more.
    pub member: Rate,
    /// Requests of somebody who was a member of a group, or is invited to it.
    pub outsider: Rate,
    /// Requests of all whom one member of a group has invited to it.
    pub invited: Rate,
    /// KeyPackages that an account claims, counted by the accounts that it claims them of.
    pub claims: Rate,
    /// KeyPackages that an account claims of one other.
    pub claims_of_one: Rate,
    /// KeyPackages of those that are given once, that an account gets of one other; beyond that it gets those of last resort.
    pub fresh_of_one: Rate,
    /// KeyPackages of those that are given once, that all together get of an account.
    pub fresh: Rate,
    /// New accounts, of all who come to this node.
    pub registrations: Rate,
    /// Devices that want to belong to an account.
    pub devices: Rate,
    /// Groups that an account brings here; each 64 KiB of a tree count as one more.
    pub groups: Rate,
    /// Proposals of an account, from outside, to groups.
    pub outside: Rate,
    /// Proposals from outside to one group, of all accounts: each makes its members commit.
    pub outside_of_group: Rate,
    /// Trees of epochs of a group that are over, each of which has to be made anew.
    pub trees: Rate,
}

impl ServiceSettings {
    /// Settings for a service of this name, which is best that under which clients reach it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token_lifetime: Duration::from_secs(15 * 60),
            clock_skew: Duration::from_secs(5 * 60),
            max_invitation: Duration::from_secs(7 * DAY),
            late_epochs: 5,
            snapshot_every: 64,
            snapshots: 4,
            retention: Duration::from_secs(30 * DAY),
            unread_retention: Duration::from_secs(90 * DAY),
            idle_retention: Duration::from_secs(180 * DAY),
            max_log: 2 << 30,
            welcome_retention: Duration::from_secs(7 * DAY),
            max_key_packages: 200,
            max_devices: 20,
            inbox: PageLimit { entries: 1000, bytes: 16 << 20 },
            new_accounts: NewAccounts::Open,
            max_name: 64,
            max_groups: 2000,
            group_period: Duration::from_secs(30 * DAY),
            max_message: 1 << 20,
            max_tree: 4 << 20,
            max_welcomes: 4 << 20,
            uncarried: PageLimit { entries: 4096, bytes: 8 << 20 },
            proposals: ProposalLimits::default(),
            max_followed: 1 << 30,
            max_unused: Duration::from_secs(60 * 60),
            checks: std::thread::available_parallelism().map_or(2, usize::from),
            waiting_checks: 1000,
            checks_of_account: 2,
            rates: Rates::default(),
            policy: Policy::default(),
            clock: system_clock,
        }
    }
}

impl Default for ProposalLimits {
    fn default() -> Self {
        Self { all: 1000, of_one: 100, outside: 50, bytes_of_one: 2 << 20, bytes: 16 << 20 }
    }
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, every| Rate { burst, every };
        let (ms, secs) = (Duration::from_millis, Duration::from_secs);
        Self {
            account: rate(500, ms(50)),
            member: rate(500, ms(20)),
            outsider: rate(50, secs(1)),
            invited: rate(200, ms(100)),
            claims: rate(1000, secs(10)),
            claims_of_one: rate(20, secs(10 * 60)),
            fresh_of_one: rate(3, secs(10 * 60)),
            fresh: rate(10, secs(10 * 60)),
            registrations: rate(1000, ms(3600)),
            devices: rate(10, secs(10 * 60)),
            groups: rate(100, secs(10 * 60)),
            outside: rate(20, secs(60)),
            outside_of_group: rate(50, secs(60)),
            trees: rate(32, secs(10)),
        }
    }
}

impl fmt::Debug for ServiceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

const DAY: u64 = 24 * 60 * 60;

fn system_clock() -> Seconds {
    Seconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
