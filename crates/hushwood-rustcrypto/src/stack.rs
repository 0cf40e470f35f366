//! What functions leave behind on the stack.

use std::hint::black_box;

/// Zeros where the functions that were called just before had their variables: hashes and ciphers have keys and results there once
/// more than we can erase. Whatever is called next from the same place has its own variables there, and may carry what it
/// finds on to the heap, in the gaps between the fields of a structure.
///
/// `N` is how deep, in bytes. The function that used the secret has to have returned: call this beside it, from a function into which
/// that one is not inlined.
#[inline(never)]
pub(crate) fn wipe_stack<const N: usize>() {
    black_box([0_u8; N]);
}
