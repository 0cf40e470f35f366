//! The tables, for groups of three sizes, and a short flood.

use super::flood::{Kept, flood};
use super::{C, Cost, Siege, joining, messages};
use crate::counting::Kind;

/// The greatest number of operations for each level and proposal.
fn greatest(siege: &Siege, costs: &[Cost]) -> f64 {
    let ratio = |cost: &Cost| {
        let per = siege.levels() + cost.proposals;
        f64::from(u32::try_from(cost.counts.public_key_operations()).unwrap())
            / f64::from(u32::try_from(per).unwrap())
    };
    costs.iter().map(ratio).fold(0.0, f64::max)
}

fn members(count: usize) {
    let siege = Siege::new(count);
    let costs = messages::table(&siege);
    costs.iter().for_each(|cost| println!("{cost}"));
    let greatest = greatest(&siege, &costs);
    println!("{count} members: {greatest} operations for each level and proposal");
    assert!(greatest <= f64::from(u32::try_from(C).unwrap()));
}

#[test]
fn a_message_to_a_group_of_two_costs_no_more_than_its_size_allows() {
    members(2);
}

#[test]
fn a_message_to_a_group_of_64_costs_no_more_than_its_size_allows() {
    members(64);
}

#[test]
fn a_message_to_a_group_of_1000_costs_no_more_than_its_size_allows() {
    members(1000);
}

#[test]
fn to_join_costs_one_decapsulation_and_a_signature_for_each_leaf() {
    for count in [2, 64, 1000] {
        let siege = Siege::new(count);
        for cost in joining::table(&siege) {
            println!("{count} members: {cost}");
            assert!(cost.counts.of(Kind::Decap).calls <= 1);
        }
    }
}

#[test]
fn a_flood_leaves_no_more_behind_than_the_policy_allows() {
    let flooded = flood(6_000, 1);
    println!("{flooded:?}");
    assert!(flooded.taken > 500 && flooded.epochs == 15);
    let Kept { rows, bytes, .. } = flooded.later;
    // Of what is kept in the first epochs, and no more later.
    assert!(rows <= flooded.first.rows * 3 / 2, "{flooded:?}");
    assert!(bytes <= flooded.first.bytes * 3 / 2, "{flooded:?}");
}
