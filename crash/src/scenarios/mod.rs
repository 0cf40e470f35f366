//! What the client is doing when it is killed.

mod commits;
mod lives;
mod messages;
mod proposals;

use crate::failure::Failure;
use crate::world::World;

/// Something that the client does, from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// After how many steps the store empties its log by itself.
    pub checkpoint_steps: u64,
    script: fn(&mut World<'_>) -> Result<(), Failure>,
}

impl Scenario {
    /// Plays it to its end: how many encryptions there were.
    ///
    /// # Errors
    /// What the checks find.
    pub fn play(&self, world: &mut World<'_>) -> Result<u64, Failure> {
        (self.script)(world)?;
        if world.window.1 == usize::MAX {
            world.end();
        }
        world.finish()
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }
}

macro_rules! scenarios {
    ($( $module:ident :: $name:ident $(every $steps:literal)? ),* $(,)?) => {
        /// Every scenario.
        pub const ALL: &[Scenario] = &[$( Scenario {
            name: stringify!($name),
            checkpoint_steps: scenarios!(@ $($steps)?),
            script: $module::$name,
        } ),*];
    };
    (@) => { 3 };
    (@ $steps:literal) => { $steps };
}

scenarios! {
    lives::create,
    lives::create_and_invite,
    lives::key_packages,
    lives::last_resort_key_package,
    lives::pre_shared_keys_kept,
    lives::join_with_the_tree_inside,
    lives::join_with_the_tree_beside,
    lives::join_with_a_pre_shared_key,
    lives::join_from_outside,
    lives::join_from_outside_loses,
    lives::resync,
    lives::removed_and_back,
    lives::forget,
    lives::branch,
    lives::branched_by_another,
    lives::reinit,
    lives::reinit_by_another,
    lives::another_store_key,
    lives::log_emptied every 1000,
    lives::opened_again every 1000,
    proposals::propose_each_kind,
    proposals::propose_in_the_open,
    proposals::propose_update_committed_by_another,
    proposals::propose_update_with_another_key,
    proposals::propose_to_leave,
    proposals::propose_reinit,
    proposals::receive_each_kind,
    proposals::receive_from_outside,
    proposals::receive_late_and_commit,
    commits::add_applied,
    commits::add_without_path,
    commits::add_one_welcome_each,
    commits::remove_applied,
    commits::update_applied,
    commits::update_with_another_key,
    commits::pre_shared_key_applied,
    commits::extensions_applied,
    commits::discarded,
    commits::lost_to_another,
    commits::two_staged_one_applied,
    commits::own_commit_returned,
    commits::in_the_open,
    commits::processed,
    commits::processed_by_reference,
    commits::removed_by_another,
    messages::first_message_sent,
    messages::later_messages_sent,
    messages::sent_and_not_acknowledged,
    messages::first_message_read,
    messages::later_messages_read,
    messages::read_and_not_acknowledged,
    messages::out_of_order,
    messages::of_past_epochs,
    messages::past_epochs_expire,
    messages::policy_changed,
    messages::caught_up_in_batches,
    messages::commits_in_a_batch,
    messages::a_long_message every 1000,
    messages::a_conversation every 7,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_each_has_its_name() {
        assert!(ALL.len() >= 30);
        for scenario in ALL {
            let same_name = ALL.iter().filter(|other| other.name == scenario.name);
            assert_eq!(same_name.count(), 1, "{}", scenario.name);
            assert_eq!(Scenario::named(scenario.name).unwrap().name, scenario.name);
        }
    }
}
