//! Many trees, counted.

use std::collections::BTreeMap;
use std::fmt;

use super::dice::Dice;
use super::growth::{Grown, leaf_node, put_together};
use super::joining::Fault;
use super::judge::{compare, compare_all, leaf_index, verdict};
use super::shapes::{self, Shape};
use super::tree::{Leaf, Tree};
use super::{mutation, shapes::count};
use crate::fake_crypto::SUITE;

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Shapes, each with what its chains can be.
    pub shapes: u64,
    /// Trees whose hashes and resolutions were compared.
    pub trees: u64,
    /// Trees with one thing wrong.
    pub mutated: u64,
    /// Adds, Removes, Updates and paths, done to both.
    pub changes: u64,
    /// Trees that both took.
    pub taken: u64,
    /// Trees that both refused, for each rule that was broken.
    pub refused: BTreeMap<Fault, u64>,
}

impl Totals {
    /// What both say of a list of nodes.
    fn judge(&mut self, list: &[Option<super::Node>]) -> bool {
        match verdict(SUITE, list) {
            Ok(_) => {
                self.taken += 1;
                true
            }
            Err(faults) => {
                faults.into_iter().for_each(|fault| *self.refused.entry(fault).or_default() += 1);
                false
            }
        }
    }

    fn mutate(&mut self, tree: &Tree, mutation: mutation::Mutation) {
        if let Some(list) = mutation::mutated(tree, mutation) {
            self.mutated += 1;
            self.judge(&list);
        }
    }

    /// A mutation that changes something.
    fn mutate_somehow(&mut self, tree: &Tree, dice: &mut Dice) {
        let before = self.mutated;
        while self.mutated == before {
            self.mutate(tree, mutation::some(tree, dice));
        }
    }

    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        self.shapes += other.shapes;
        self.trees += other.trees;
        self.mutated += other.mutated;
        self.changes += other.changes;
        self.taken += other.taken;
        for (fault, count) in &other.refused {
            *self.refused.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shapes, trees, mutated, changes, taken, refused } = self;
        write!(
            f,
            "{shapes} shapes, {trees} trees compared, {mutated} mutated, {changes} changes, {taken} taken"
        )?;
        refused.iter().try_for_each(|(fault, count)| write!(f, ", {fault:?} {count}"))
    }
}

/// How much is done with each shape.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Every how manieth shape is taken; 1 for all.
    pub every: u64,
    /// Every way to chain the parents, or one.
    pub all_chains: bool,
    /// Every mutation, or so many of them by chance.
    pub mutations: Option<usize>,
    /// Every Add, Remove and Update, or so many of them by chance.
    pub changes: Option<usize>,
}

impl Effort {
    /// All that can be done.
    pub const ALL: Self = Self { every: 1, all_chains: true, mutations: None, changes: None };
}

/// All shapes of a width. `progress` is told the totals now and then.
pub fn shapes(leaves: usize, effort: Effort, mut progress: impl FnMut(&Totals)) -> Totals {
    let (mut totals, mut number) = (Totals::default(), 0_u64);
    shapes::each(leaves, |shape| {
        number += 1;
        if number.is_multiple_of(effort.every) && !shape.is_narrower() {
            one_shape(shape, number, effort, &mut totals);
            if totals.shapes.is_multiple_of(100_000) {
                progress(&totals);
            }
        }
    });
    assert_eq!(number, count(leaves), "as many as were counted");
    totals
}

fn one_shape(shape: &Shape, number: u64, effort: Effort, totals: &mut Totals) {
    let dice = &mut Dice::new(number);
    totals.shapes += 1;
    let unchained = shape.tree(SUITE, dice);
    // Two ways for each parent that has a candidate on either side.
    let forks = unchained.parents().into_iter().filter(|p| unchained.candidates(*p).len() == 2).count();
    let ways = if effort.all_chains { 1 << forks } else { 1 };
    for way in 0..ways {
        let (mut tree, mut fork) = (unchained.clone(), 0);
        let valid = tree.chain(&mut |count| match (count, effort.all_chains) {
            (1, _) => 0,
            (_, true) => {
                fork += 1;
                (way >> (fork - 1)) & 1
            }
            (_, false) => dice.below(count),
        });
        totals.trees += 1;
        assert_eq!(totals.judge(tree.list()), valid, "a tree is taken if all its parents are chained");
        match effort.mutations {
            None => mutation::all(&tree).into_iter().for_each(|mutation| totals.mutate(&tree, mutation)),
            Some(some) => (0..some).for_each(|_| totals.mutate_somehow(&tree, dice)),
        }
        change(&tree, effort, totals, dice);
    }
}

/// Compares a tree, and what becomes of it: a Remove and an Update of each leaf, an Add and a path.
fn change(tree: &Tree, effort: Effort, totals: &mut Totals, dice: &mut Dice) {
    // Whatever its parent hashes are, it can be read; but for parents that nobody is below.
    let bytes = super::to_extension(tree.list());
    let policy = hushwood::policy::Policy::default();
    let Ok(fast) = hushwood::tree::RatchetTree::from_extension(SUITE, &bytes, &policy) else { return };
    compare_all(&fast, tree);
    let members = tree.members();
    let changes = 2 * members.len() + 3;
    let chosen: Vec<usize> = match effort.changes {
        None => (0..changes).collect(),
        Some(some) => (0..some).map(|_| dice.below(changes)).collect(),
    };
    for which in chosen {
        let mut grown = Grown { fast: fast.clone(), tree: tree.clone() };
        totals.changes += 1;
        match which.checked_sub(2 * members.len()) {
            None if which % 2 == 0 => grown.remove(members[which / 2]),
            None => grown.update(members[which / 2], dice),
            Some(0) => grown.add(1, dice),
            Some(1) => grown.add(1 + dice.below(4), dice),
            Some(_) => grown.commit(members[dice.below(members.len())], dice),
        }
        compare_all(&grown.fast, &grown.tree);
    }
}

/// How many trees [`world`] makes.
pub const TREES_OF_A_WORLD: u64 = 64;

/// A group that grows and shrinks, and trees put together by chance; each once as it is, and once with one mutation.
#[must_use]
pub fn world(seed: u64) -> Totals {
    let dice = &mut Dice::new(seed.wrapping_mul(0xD134_2543_DE82_EF95));
    let mut totals = Totals::default();
    let most = [4, 8, 8, 16, 16, 32, 64][dice.below(7)];
    let mut grown = Grown::new(dice);
    // Half of the groups begin large.
    if dice.once_in(2) {
        grown.add(most - 1, dice);
    }
    for _ in 0..24 {
        for _ in 0..=dice.below(3) {
            grown.step(most, dice);
            totals.changes += 1;
        }
        look(&grown.fast, &grown.tree, dice);
        assert!(totals.judge(grown.tree.list()), "whatever happens to a group, its tree is valid");
        totals.trees += 1;
        totals.mutate_somehow(&grown.tree, dice);
    }
    for _ in 0..8 {
        let mut tree = put_together(most, dice);
        if tree.list().is_empty() {
            tree.add(Leaf::new(leaf_node(dice.number())));
        }
        totals.trees += 1;
        if totals.judge(tree.list()) {
            let fast = verdict(SUITE, tree.list()).expect("it is taken");
            look(&fast, &tree, dice);
            remove_somebody(fast, tree.clone(), dice);
        }
        totals.mutate_somehow(&tree, dice);
    }
    totals
}

fn look(fast: &hushwood::tree::RatchetTree, tree: &Tree, dice: &mut Dice) {
    if dice.once_in(8) { compare_all(fast, tree) } else { compare(fast, tree) }
}

fn remove_somebody(mut fast: hushwood::tree::RatchetTree, mut tree: Tree, dice: &mut Dice) {
    let members = tree.members();
    let x = members[dice.below(members.len())];
    fast.remove(leaf_index(x)).unwrap();
    tree.remove(x);
    compare(&fast, &tree);
}
