//! Changing a few bytes of what is valid, so that what comes of it gets far.

use arbitrary::Unstructured;

use crate::random::SeededRandom;

/// Up to eight changes.
pub(super) fn mutate(valid: &[u8], choices: &mut Unstructured<'_>) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..below(choices, 9) {
        let place = below(choices, bytes.len() + 1);
        let value = choices.arbitrary::<u8>().unwrap_or_default();
        match below(choices, 4) {
            0 => bytes.insert(place, value),
            1 if place < bytes.len() => _ = bytes.remove(place),
            2 => bytes.truncate(place.max(1)),
            _ => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= value;
                }
            }
        }
    }
    bytes
}

/// A number below `end`, or 0.
pub(super) fn below(choices: &mut Unstructured<'_>, end: usize) -> usize {
    choices.int_in_range(0..=end.saturating_sub(1)).unwrap_or(0)
}

/// One of them.
pub(super) fn pick<'t, T>(choices: &mut Unstructured<'_>, of: &'t [T]) -> &'t T {
    &of[below(choices, of.len())]
}

/// Scripts of choices: nothing at all, and some at random.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut random = SeededRandom::new(40);
    let mut seeds = vec![Vec::new(), vec![0; 64], vec![0xff; 64]];
    seeds.extend((0..5).map(|number| random.bytes(16 << number)));
    seeds
}
